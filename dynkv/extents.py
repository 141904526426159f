"""Extents: how far members' databases went, which tells a young snapshot of a running node from the node.

Such a snapshot, put back, looks like a node that was killed and started: its start count is the next one, and its lives
are those that the peers know. (Older ones are told by these, see marks.) But its database ends before what the node had
said of itself. So each heartbeat says how many changes of the sender's database are durable, every member remembers
what it heard of each other in the newest two starts, and says it with gossip to the member itself, which compares the
extent of the start before this one with where its database ended when it was opened. If that is earlier, it has
forgotten what it acknowledged since, and nothing else is wrong with it: it is incomplete and is refilled, as after a
salvage; nothing needs to be set aside.

What peers have heard is in their memory only. A peer that was itself started since has nothing to say, and a snapshot
younger than the last heartbeat lacks nothing that anybody could name.
"""

from collections.abc import Callable, Iterable

import structlog

from dynkv.identity import Identity
from dynkv.peer.gossip_messages import EXTENTS_MAX, Extent
from dynkv.storage.base import Store

log = structlog.get_logger("dynkv.extents")


class Extents:
    """Of one life of a node; made when its store has been opened, and nothing was written yet. `fell_short`: told once,
    if the database lacks what peers have heard to be durable in it."""

    def __init__(self, store: Store, identity: Identity, fell_short: Callable[[], None]) -> None:
        self._store = store
        self._identity = identity
        self._fell_short: Callable[[], None] | None = fell_short
        self._opened = self.own()
        self._heard: dict[str, tuple[Extent, ...]] = {}

    def own(self) -> Extent:
        """This node's, now."""
        return Extent(self._identity.start_count, *self._store.durable)

    def hear(self, node: str, extent: Extent) -> None:
        """The peer `node` says this of itself. What arrives late, of a start before its last, changes nothing."""
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
            fell_short()
