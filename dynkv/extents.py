"""Extents: how far members' databases went, which tells a young snapshot of a running node from the node.

Such a snapshot, put back, looks like a node that was killed and started: its start count is the next one, and its lives
are those that the peers know. (Older ones are told by these, see marks.) But its database ends before what the node had
said of itself. So each heartbeat says how many changes of the sender's database are durable, every member remembers
what it heard of each other in the newest two starts, and says it with gossip to the member itself, which compares the
extent of the newest start before its own with where its database ended when it was opened. If that is earlier, it has
forgotten what it acknowledged since, and nothing else is wrong with it: it is incomplete and is refilled, as after a
salvage; nothing needs to be set aside.

What peers have heard is all the evidence there is, and each start that they hear of pushes an older one out. So a node
keeps silent about its extent until it is confirmed, and, if it fell short, until that is noted on its disk.

Where it ends: what peers have heard is in their memory only, so one that was itself started since has nothing to say,
and a node that hears of such a peer first is confirmed by it; a snapshot younger than the last heartbeat lacks nothing
that anybody could name; and one that lacks a few changes and is started a few times before it meets anybody has made up
for their number. A peer that was cut off for a whole start may tell of the one before once more: a refill too many.
"""

from collections.abc import Callable, Iterable

import structlog

from dynkv.identity import Identity
from dynkv.peer.gossip_messages import EXTENTS_MAX, Extent
from dynkv.storage.base import Store

log = structlog.get_logger("dynkv.extents")

SILENT = Extent(0, "", 0)


class Extents:
    """Of one life of a node; made when its store has been opened, and nothing was written yet. `fell_short`: told once,
    if the database lacks what peers have heard to be durable in it; `noted` is to be called when that is on disk."""

    def __init__(self, store: Store, identity: Identity, fell_short: Callable[[], None]) -> None:
        self._store = store
        self._identity = identity
        self._fell_short: Callable[[], None] | None = fell_short
        self._opened = self._now()
        self._unnoted = False
        self._heard: dict[str, tuple[Extent, ...]] = {}

    def own(self) -> Extent:
        """What this node says of itself."""
        return self._now() if self._identity.confirmed and not self._unnoted else SILENT

    def _now(self) -> Extent:
        return Extent(self._identity.start_count, *self._store.durable)

    def noted(self) -> None:
        """That this node is incomplete is on its disk, or that it is complete again."""
        self._unnoted = False

    def hear(self, node: str, extent: Extent) -> None:
        """The peer `node` says this of itself. What arrives late, of a start before its last, changes nothing."""
        if not extent.start_count:
            return
        known = self._heard.get(node, ())
        if known and known[-1].start_count >= extent.start_count:
            if known[-1].start_count > extent.start_count or known[-1].sequence >= extent.sequence:
                return
            known = known[:-1]
        self._heard[node] = (*known, extent)[-EXTENTS_MAX:]

    def of(self, node: str) -> tuple[Extent, ...]:
        """What was heard of the peer, by start count."""
        return self._heard.get(node, ())

    def judge(self, heard: Iterable[Extent]) -> None:
        """A peer has heard this of us."""
        opened = self._opened
        before = [extent for extent in heard if extent.start_count < opened.start_count]
        if not before or self._fell_short is None:
            return
        last = max(before, key=lambda extent: extent.start_count)
        if last.database == opened.database and last.sequence > opened.sequence:
            log.warning(
                "the database has forgotten changes that were durable: an old copy of it, or it was cut",
                ends_at=opened.sequence,
                heard=last.sequence,
                start_count=last.start_count,
            )
            fell_short, self._fell_short = self._fell_short, None
            self._unnoted = True
            fell_short()
