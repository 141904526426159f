"""Refill: what this node must compare with whom before it may speak again for what it lost.

A node that lost data (its directory, some files of it, records that a scrub missed) answers, and takes writes, but its
answers about the partitions concerned count to no quorum: a write that it once acknowledged may be missing. A partition
counts again when, since the loss, it has been compared with every other primary and holds what they hold. Whatever this
node had acknowledged is then back as far as any replica has it. An exchange begun before the loss proves nothing.

The copies that are left may be older than what this node has counted on them: with every loss its incarnation ends, so
that no dot is used twice (`Persist`).
"""

from collections.abc import Callable

import structlog

from antientropy import Pair
from dynkv.identity import Identity
from dynkv.runtime import Clock
from dynkv.worker import IDLE, Found

Persist = Callable[[bool], None]
"""`complete`: whether the node has all it acknowledged, to be remembered over restarts. False, said at every loss, also
ends the incarnation: at once in memory, and durably as soon as can be."""

log = structlog.get_logger("dynkv.refill")


class Refill:
    """Keeps `identity.complete` and `identity.refilled`. `step` is a worker's step. `needs`: what a partition must be
    compared with, None while the cluster is not formed."""

    def __init__(
        self,
        identity: Identity,
        partitions: int,
        needs: Callable[[int], frozenset[Pair] | None],
        persist: Persist,
        clock: Clock,
    ) -> None:
        self.losses = 0
        """Losses since the start: what lacks something now must be compared at once."""
        self.began_ms = clock.wall_ms()
        self._clock = clock
        self._identity = identity
        self._needs = needs
        self._persist = persist
        self._all = range(partitions)
        self._compared: dict[int, set[Pair]] = {}
        self._losses = [0] * partitions
        if not identity.complete:
            self._compared = {partition: set() for partition in self._all}

    @property
    def done(self) -> bool:
        """Whether nothing is lacking."""
        return not self._compared

    def lacking(self, partition: int) -> bool:
        """Whether the partition may lack what this node once acknowledged."""
        return partition in self._compared

    def lost(self, *partitions: int) -> None:
        """Records of these partitions are missing or unreadable."""
        self.losses += 1
        identity = self._identity
        if identity.complete:
            self.began_ms = self._clock.wall_ms()
            identity.refilled = set(self._all)
            identity.complete = False
        for partition in partitions:
            self._losses[partition] += 1
            self._compared[partition] = set()
            identity.refilled.discard(partition)
        self._persist(False)

    def mark(self, partition: int) -> int:
        """To be taken when an exchange begins, and given back with its result."""
        return self._losses[partition]

    def compared(self, pair: Pair, mark: int) -> None:
        """An exchange begun at `mark` has compared the pair whole and made equal what differed, durably here."""
        found = self._compared.get(pair.partition)
        if found is None or mark != self._losses[pair.partition]:
            return
        found.add(pair)
        needed = self._needs(pair.partition)
        if needed is not None and needed <= found:
            del self._compared[pair.partition]
            self._identity.refilled.add(pair.partition)
            self._look_whether_done()

    async def step(self) -> Found:
        """What has no other replica needs nobody: it is not waited for."""
        if self._compared:
            self._look_whether_done()
        return IDLE

    def progress(self) -> tuple[int, int]:
        """Partitions done, of how many that this node is a primary of."""
        total = sum(1 for partition in self._all if self._needs(partition))
        return total - sum(1 for partition in self._compared if self._needs(partition)), total

    def _look_whether_done(self) -> None:
        # What this node is no primary of needs nothing, for others look for it elsewhere; nor does what it has alone.
        for partition in self._compared:
            if self._needs(partition) != frozenset():
                return
        self._compared.clear()
        self._identity.complete = True
        self._identity.refilled.clear()
        self._persist(True)
        log.info("refilled: everything that was lost and that a replica has is back")
