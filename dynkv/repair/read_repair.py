"""Read repair: whoever turned out to be behind is sent the merged record, after the client has its answer.

The coordinator reports a disagreement and goes on; here it is worked off. A bounded number of repairs is under way at a
time and what exceeds it is dropped and counted: read repair is an early chance, not the promise (hints and anti-entropy
are). A node whose digest differs is not always only *behind*: it may hold a sibling that nobody else showed, so its
answer's digest is compared again, and if it still differs its record is fetched and merged here.
"""

from collections.abc import Sequence

import structlog

from dynkv.convergence import Convergence
from dynkv.core import record as records
from dynkv.core.errors import StoreError
from dynkv.core.hlc import wall_ms_of
from dynkv.peer.messages import Applied, Apply, Found, Read
from dynkv.peer.transport import Outcome, Transport
from dynkv.replica import Replica
from dynkv.runtime import Clock

REPAIRS_MAX = 256
REPAIR_TIMEOUT_S = 5.0

log = structlog.get_logger("dynkv.repair")


class ReadRepair:
    """Repairs of one node. `disagreement` is what the coordinator calls."""

    def __init__(
        self, node: str, replica: Replica, transport: Transport, clock: Clock, convergence: Convergence
    ) -> None:
        self._node = node
        self._replica = replica
        self._transport = transport
        self._clock = clock
        self._convergence = convergence
        self.under_way = 0
        self.repaired = 0
        self.failed = 0
        self.dropped = 0

    def disagreement(self, bucket: str, key: bytes, record: bytes, digest: bytes, behind: Sequence[str]) -> None:
        """`behind` hold something else than `record` (or nothing) under the key."""
        for node in behind:
            if self.under_way >= REPAIRS_MAX:
                self.dropped += 1
            elif node == self._node:
                self._apply_here(bucket, key, record)
            else:
                self._send(node, bucket, key, record, digest)

    def _apply_here(self, bucket: str, key: bytes, record: bytes) -> None:
        try:
            self._replica.apply(bucket, key, record)
        except StoreError as error:
            self.failed += 1
            log.warning("own copy could not be repaired", error=str(error))
        else:
            self.repaired += 1
            self._converged(record)

    def _converged(self, record: bytes) -> None:
        newest = records.newest(records.decode(record))
        self._convergence.observe("read repair", (self._clock.wall_ms() - wall_ms_of(newest)) / 1000)

    def _send(self, node: str, bucket: str, key: bytes, record: bytes, digest: bytes) -> None:
        self.under_way += 1

        def heard(outcome: Outcome) -> None:
            self.under_way -= 1
            if not isinstance(outcome, Applied):
                self.failed += 1
                return
            self.repaired += 1
            self._converged(record)
            if outcome.digest != digest:
                self._fetch(node, bucket, key)

        self._transport.request(node, Apply(bucket, key, record, ""), REPAIR_TIMEOUT_S, heard)

    def _fetch(self, node: str, bucket: str, key: bytes) -> None:
        """`node` knows more than was sent: take it in, if this node is a replica of the key."""
        self.under_way += 1

        def heard(outcome: Outcome) -> None:
            self.under_way -= 1
            if isinstance(outcome, Found) and outcome.record and self._holds(bucket, key):
                self._apply_here(bucket, key, outcome.record)

        self._transport.request(node, Read(bucket, key, True), REPAIR_TIMEOUT_S, heard)

    def _holds(self, bucket: str, key: bytes) -> bool:
        # A node that stores nothing of the key must not begin to, or it would keep a copy that nobody looks for.
        try:
            return self._replica.read(self._replica.partition(bucket, key), bucket, key) is not None
        except StoreError:
            return False
