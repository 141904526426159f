"""One page of one partition's keys, as r of its primaries tell it together."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from operator import lt
from typing import NamedTuple

from dynkv.coordinator.plan import Surroundings, nearest_first, words
from dynkv.core.errors import QuorumUnmet, StoreError
from dynkv.listing import list_records
from dynkv.peer.many_messages import ListRecords, Records
from dynkv.peer.transport import Outcome

# A page that has not come after so long is asked of one more. It takes a hundredth of that where there is no load.
HEDGE_S = 0.5


class Merged(NamedTuple):
    """`live`: keys that are there; `disputed`: keys that one says are deleted and another says are not. Both ascend.
    `until`: how far all pages go, b"" to the end."""

    live: Sequence[bytes]
    disputed: Sequence[bytes]
    until: bytes


def merged(pages: Sequence[Records]) -> Merged:
    """What one or more pages of the same stretch say together."""
    first = pages[0]
    if not first.deleted and all(page.keys == first.keys and not page.deleted for page in pages):
        # Nearly every page there is. Of equal keys each goes as far as any other that does not end before.
        return Merged(first.keys, (), min((page.until for page in pages if page.until), default=b""))
    until = min((page.until for page in pages if page.until), default=b"")
    live: set[bytes] = set()
    deleted: set[bytes] = set()
    for page in pages:
        keys = page.keys[: bisect_right(page.keys, until)] if until else page.keys
        gone = {keys[place] for place in page.deleted if place < len(keys)}
        deleted |= gone
        live.update(key for key in keys if key not in gone)
    disputed = live & deleted
    return Merged(sorted(live - disputed), sorted(disputed), until)


def sound(page: Records, asked: ListRecords) -> bool:
    """Whether a peer's page can be an answer to `asked`."""
    keys, until = page.keys, page.until
    if page.deleted and not 0 <= min(page.deleted) <= max(page.deleted) < len(keys):
        return False
    if until and (until <= asked.after or (keys and keys[-1] > until)):
        return False  # no step forward, or beyond what it says
    if not keys:
        return True
    # If they ascend, and the first and the last begin with the prefix, all between do.
    begin = keys[0].startswith(asked.prefix) and keys[-1].startswith(asked.prefix)
    return begin and keys[0] > asked.after and all(map(lt, keys, keys[1:]))


class PageRequest:
    """A page in the making. Make one, `await run()`, throw it away."""

    def __init__(
        self, around: Surroundings, asked: ListRecords, primaries: Sequence[str], r: int, lagging: set[str]
    ) -> None:
        """`lagging`: nodes to be asked last; those found to lag are added."""
        self._around = around
        self._asked = asked
        self._r = r
        self._lagging = lagging
        self._pages: list[Records] = []
        self._replicas: dict[str, str] = {}
        self._outstanding: set[str] = set()
        self._answers: asyncio.Queue[tuple[str, Outcome]] = asyncio.Queue()
        others = [node for node in primaries if node != around.node]
        self._candidates = sorted(nearest_first(around.transport, others), key=lagging.__contains__)
        for node in others:
            if node not in self._candidates:
                self._replicas[node] = "unreachable"
        self._own = around.node in primaries

    async def run(self, deadline: float) -> Merged:
        """QuorumUnmet if too few can tell, or have not by the deadline."""
        around = self._around
        if self._own + len(self._candidates) < self._r:
            raise self._unmet("too few replicas can be reached")
        self._ask(self._r - self._own, deadline)  # before this node's own share of the work
        if self._own and around.clock.now() < deadline:
            await self._read_own()
        while (needed := self._r - len(self._pages)) > 0:
            self._ask(needed - len(self._outstanding), deadline)
            left = deadline - around.clock.now()
            if len(self._outstanding) < needed or left <= 0:
                raise self._unmet("the deadline passed" if left <= 0 else "too few replicas can tell")
            try:
                async with asyncio.timeout(min(left, HEDGE_S) if self._candidates else left):
                    node, outcome = await self._answers.get()
            except TimeoutError:
                self._lagging |= self._outstanding
                self._ask(1, deadline)
            else:
                self._hear(node, outcome)
        return merged(self._pages[: self._r])

    def _ask(self, count: int, deadline: float) -> None:
        """Ask so many more, as far as there are any."""
        around = self._around
        left = deadline - around.clock.now()
        while count > 0 and self._candidates and left > 0:
            node = self._candidates.pop(0)
            self._outstanding.add(node)
            around.transport.request(node, self._asked, left, partial(self._heard, node))
            count -= 1

    def _heard(self, node: str, outcome: Outcome) -> None:
        self._answers.put_nowait((node, outcome))

    def _hear(self, node: str, outcome: Outcome) -> None:
        self._outstanding.discard(node)
        if not isinstance(outcome, Records):
            self._replicas[node] = words(outcome)
            self._lagging.add(node)  # it may well fail again: the other pages are asked of others first
        elif not sound(outcome, self._asked):
            self._replicas[node] = "sent what is no page of these keys"
        else:
            self._count(node, outcome)

    async def _read_own(self) -> None:
        try:
            page = await list_records(self._around.replica, self._asked)
        except StoreError as error:
            self._replicas[self._around.node] = str(error)
        else:
            self._count(self._around.node, page)

    def _count(self, node: str, page: Records) -> None:
        if page.complete:
            self._replicas[node] = "ok"
            self._pages.append(page)
        else:
            self._replicas[node] = "is being refilled"

    def _unmet(self, why: str) -> QuorumUnmet:
        for node in self._outstanding:
            self._replicas[node] = "no answer yet"
        told = ", ".join(f"{node}: {what}" for node, what in sorted(self._replicas.items()))
        return QuorumUnmet(
            f"{why}; r={self._r} got {len(self._pages)} ({told})",
            outcome=None,
            needed={"r": self._r},
            got={"r": len(self._pages)},
            replicas=self._replicas,
        )
