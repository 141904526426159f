"""Copies that nobody is owed and nobody looks for: at a node that is no primary of their key, without a hint.

A node that stands in for a primary keeps the record beside a hint in one batch, and drops it with the last hint in one
batch, so such a copy is no ordinary thing. A salvage makes it, where the hint lay in what could not be read and the
record did not; so does a bucket whose n was set while somebody who had not heard of it wrote to it. It may be the only
copy of an acknowledged write, it is compared with nothing, and as long as it lies there no tombstone of its key can be
reaped. So whoever comes upon one owes it to the key's primaries; handoff does the rest.
"""

from collections.abc import Callable

import structlog

from dynkv.core.errors import StoreError
from dynkv.hints import HintBook
from dynkv.membership import Membership
from dynkv.repair.journal import Journal
from dynkv.replica import Replica

log = structlog.get_logger("dynkv.scrub")


class Strays:
    """Of one node. `holds(partition, n)`: whether it is a primary."""

    def __init__(
        self,
        replica: Replica,
        hints: HintBook,
        membership: Membership,
        journal: Journal,
        holds: Callable[[int, int], bool],
    ) -> None:
        self.found = 0
        self._replica = replica
        self._hints = hints
        self._membership = membership
        self._journal = journal
        self._holds = holds
        self._home: dict[tuple[int, int], bool] = {}

    def look(self, partition: int, bucket: str, key: bytes) -> None:
        """This node has a copy of the key. Asked of every record of a scrub."""
        n = self._membership.bucket(bucket).n
        home = self._home.get((partition, n))
        if home is None:
            if self._membership.placement is None:
                return
            home = self._home[partition, n] = self._holds(partition, n)  # for good, once the cluster is formed
        if not home:
            self._look_for_hint(partition, bucket, key, n)

    def _look_for_hint(self, partition: int, bucket: str, key: bytes, n: int) -> None:
        membership = self._membership
        try:
            if any(self._hints.get(name, partition, bucket, key) for name in membership.members):
                return
            for primary in membership.plan(bucket, key, n).primaries:
                self._replica.owe(primary, bucket, key)
        except StoreError as error:  # the next cycle comes upon it again
            log.warning("a stray copy could not be owed", bucket=bucket, partition=partition, error=str(error))
            return
        self.found += 1
        self._journal.note("scrub", "a copy that nobody was owed goes to its primaries", partition)
