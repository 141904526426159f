"""Marks: a node that runs for long counts on, as if it had been started, so that a copy of its directory made while it
ran (a snapshot of its disk, or of its virtual machine) can be told from it, as a copy made before a start can.

What such a copy would bring back are deleted values, once their tombstones are gone from all nodes. That takes
`tombstones.grace_s` at least, and this node had to run at its end to agree. So a mark every quarter of that makes each
copy that could do this an old one: peers have heard of a later mark, and whoever comes back with the copy is told so
and sets it aside (membership). A younger copy has forgotten what was acknowledged since; see extents for that.

A copy of the database alone is told from it at the next start, by the changes that the mark has counted (see
incarnation).

A mark is on disk before a peer hears of it, and only of a life that is known to be the newest (`Identity.confirmed`):
an old copy that counts on would look newer than it is.
"""

import asyncio
from collections.abc import Callable

import structlog

from dynkv.identity import Identity
from dynkv.runtime import Clock
from dynkv.storage.base import Store
from dynkv.storage.incarnation import DataDirectory
from dynkv.worker import Found

log = structlog.get_logger("dynkv.marks")

# Each is a small file replaced and synced. A grace this short is for trying things out.
EVERY_S_MIN = 10.0
# To a life that is not confirmed yet, and after a disk that failed.
RETRY_S = 1.0


class Marks:
    """`step` is a worker's step. `marked`: told on the loop when peers are to hear of a mark."""

    def __init__(
        self,
        identity: Identity,
        directory: DataDirectory,
        store: Store,
        clock: Clock,
        grace_s: float,
        marked: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._directory = directory
        self._store = store
        self._clock = clock
        self._every_s = max(EVERY_S_MIN, grace_s / 4)
        self._marked = marked
        self._due = clock.now() + self._every_s

    async def step(self) -> Found:
        """Make a mark if one is due; seconds until the next."""
        left = self._due - self._clock.now()
        if left > 0:
            return left
        if not self._identity.confirmed:
            return RETRY_S
        noted: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not noted.done():
                noted.set_result(error)

        self._store.in_turn(lambda: self._directory.count_on(self._store.durable), done)
        error = await noted
        if error is not None:
            log.warning("a mark could not be noted", error=str(error))
            return RETRY_S
        self._marked()
        self._due = self._clock.now() + self._every_s
        return self._every_s
