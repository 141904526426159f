"""Listing a bucket across nodes: every key that a client would be shown something of, exactly once.

A bucket's keys lie in all partitions. They are gone through in their order, a few of them at a time.
Of each partition r primaries are asked for the next page of their keys; this node, if it is one, is one of them.
One that fails, that cannot read some of it, or that lost data and is not whole again, has no vote: the next is asked.
The pages are merged as far as the shortest goes. A key that somebody holds is there, unless all who hold it say that it
is deleted. Where they disagree it is read, at r, by the same means as for a client.
A partition of which too few can tell is missing, and is said to be; the listing goes on behind it. What is missing
belongs to the rest, with which a later listing goes on.

Why this is right: of a write that w primaries have, r + w > n makes one of those asked tell, as with reads. Who says
"deleted" may know less than one who says "there" (it was written again) or more (it was deleted since); only the
records can tell, so the key is read. Two that both hold something live may hold different things; of the two together
the newest write stays at least, and that is a live one.

Fallbacks are not asked: what they hold is owed to a primary, and that they hold nothing says nothing.

The listing gives up when it has got no further for the time in its levels: all that is left is then missing. How long
it takes as a whole is up to the bucket and to the client.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from dynkv.coordinator.page import Merged, PageRequest
from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.results import Listed, Missing, ReadResult, Stretch
from dynkv.core.errors import BadParameter, QuorumUnmet, ServiceError
from dynkv.core.levels import Levels
from dynkv.core.record import shows_nothing
from dynkv.peer.many_messages import LISTED_MAX, ListRecords
from dynkv.runtime import pause

# Partitions asked at once: one at first, for a short listing needs no more, twice as many with each step. What they
# answer is held until its turn.
AHEAD_MAX = 8
PAGE_KEYS_MIN = 64
PAGE_KEYS_MAX = LISTED_MAX
DISPUTED_AT_ONCE = 64
# What is missing is told in a cursor, which is a parameter of a request: a listing that misses more in too many places
# ends there.
REST_BYTES_MAX = 2048


class Get(Protocol):
    """`Coordinator.get`."""

    async def __call__(self, bucket: str, key: bytes, levels: Levels) -> ReadResult: ...


class Lane:
    """One partition in the making. `after`: the last key handed out. `page`: what is to be handed out next, or why not;
    None if it is not there yet."""

    __slots__ = ("after", "page", "partition")

    def __init__(self, partition: int, after: bytes) -> None:
        self.partition = partition
        self.after = after
        self.page: Merged | QuorumUnmet | None = None


class Scan:
    """One listing, a `Scanner`."""

    def __init__(
        self, around: Surroundings, get: Get, listed: Listed, stretches: Sequence[Stretch] | None, limit: int | None
    ) -> None:
        """BadParameter if there are no such partitions; NotFormed."""
        partitions = around.replica.partitions
        if stretches and stretches[-1].last >= partitions:
            raise BadParameter("cursor", "is of a cluster with more partitions", "one that this cluster gave")
        around.placing.plan_of(0, listed.levels.n)
        self._around = around
        self._get = get
        self._listed = listed
        self._todo = deque((Stretch(0, partitions - 1, b""),) if stretches is None else stretches)
        self._lanes: deque[Lane] = deque()
        self._width = 1
        self._limit = limit
        self._lagging: set[str] = set()
        self._got_on = 0.0
        self._failed: tuple[Stretch, ...] = ()
        self.missing: list[Missing] = []
        self.unmet: QuorumUnmet | None = None

    async def step(self) -> Sequence[bytes]:
        self._got_on = self._around.clock.now()
        while self._limit != 0 and (lane := self._front()) is not None:
            page = lane.page
            if page is None:
                await self._fetch()
            elif isinstance(page, QuorumUnmet):
                self._miss(lane, page)
            elif keys := self._take(lane, page):
                await pause(0)  # pages that lie ready must not hold the loop one after the other
                return keys
        return ()

    def rest(self) -> Sequence[Stretch]:
        begun = (Stretch(lane.partition, lane.partition, lane.after) for lane in self._lanes)
        return joined([*self._failed, *begun, *self._todo])

    # --- parts --------------------------------------------------------------------------------------------------------

    def _front(self) -> Lane | None:
        """The partition whose turn it is; None if there are no more, or too much is missing to go on."""
        if sum(8 + len(stretch.after) for stretch in self._failed) > REST_BYTES_MAX:
            return None
        while self._todo and len(self._lanes) < self._width:
            first, last, after = self._todo.popleft()
            self._lanes.append(Lane(first, after))
            if first < last:
                self._todo.appendleft(Stretch(first + 1, last, b""))
        return self._lanes[0] if self._lanes else None

    async def _fetch(self) -> None:
        """The next page of every partition in the making that has none."""
        waiting = [lane for lane in self._lanes if lane.page is None]
        pages = await asyncio.gather(*map(self._page, waiting))
        for lane, page in zip(waiting, pages, strict=True):
            lane.page = page
        self._width = min(AHEAD_MAX, 2 * self._width)

    def _take(self, lane: Lane, page: Merged) -> Sequence[bytes]:
        """The keys of the page, and go on behind them."""
        lane.page = None
        keys = page.live
        if self._limit is not None:
            if len(keys) > self._limit:
                keys = keys[: self._limit]
                lane.after = keys[-1]
                self._limit = 0
                return keys
            self._limit -= len(keys)
        if page.until:
            lane.after = page.until
        else:
            self._lanes.popleft()
        return keys

    def _miss(self, lane: Lane, why: QuorumUnmet) -> None:
        self._lanes.popleft()
        self._failed = joined([*self._failed, Stretch(lane.partition, lane.partition, lane.after)])
        self.missing.append(Missing(lane.partition, why.detail))
        self.unmet = why

    async def _page(self, lane: Lane) -> Merged | QuorumUnmet:
        around, listed = self._around, self._listed
        levels = listed.levels
        limit = PAGE_KEYS_MAX if self._limit is None else min(PAGE_KEYS_MAX, max(PAGE_KEYS_MIN, self._limit))
        asked = ListRecords(lane.partition, listed.bucket, listed.prefix, lane.after, limit, listed.conflict)
        primaries = around.placing.plan_of(lane.partition, levels.n).primaries
        request = PageRequest(around, asked, primaries, levels.r, self._lagging)
        try:
            page = await request.run(self._got_on + levels.timeout_ms / 1000)
            if page.disputed:
                page = Merged(sorted([*page.live, *await self._settle(page.disputed)]), (), page.until)
        except QuorumUnmet as error:
            return error
        self._got_on = around.clock.now()
        return page

    async def _settle(self, disputed: Sequence[bytes]) -> list[bytes]:
        """Which of these keys are there. QuorumUnmet if that cannot be known of one."""
        found: list[bytes] = []
        for start in range(0, len(disputed), DISPUTED_AT_ONCE):
            keys = disputed[start : start + DISPUTED_AT_ONCE]
            shown = await asyncio.gather(*map(self._is_shown, keys))
            found += [key for key, there in zip(keys, shown, strict=True) if there]
        return found

    async def _is_shown(self, key: bytes) -> bool:
        listed = self._listed
        try:
            record = (await self._get(listed.bucket, key, listed.levels)).record
        except QuorumUnmet:
            raise
        except ServiceError as error:
            raise QuorumUnmet(error.detail, outcome=None, needed={}, got={}, replicas={}) from error
        return record is not None and not shows_nothing(record, listed.conflict == "lww")


def joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same, neighbours as one where they can be. Ascending, as they were."""
    result: list[Stretch] = []
    for stretch in stretches:
        if result and stretch.first == result[-1].last + 1 and not stretch.after:
            result[-1] = result[-1]._replace(last=stretch.last)
        else:
            result.append(stretch)
    return tuple(result)
