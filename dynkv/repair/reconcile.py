"""Making the keys equal in which two replicas were found to differ: whole records, merged, never overwritten.

    Read our copy anew. If it is not what was listed, somebody wrote it meanwhile: leave it to them.
    Ask the peer for its record, if it had one. If it is not what was listed, or is there now: the same.
    Merge it into ours. If the result is more than the peer has, give it the result.

So each key ends with the merge of both sides on both sides, or is passed over for the next time. What was taken is
durable here before it counts as done.
"""

import asyncio
from collections.abc import Sequence

import structlog

from antientropy import Budget, Difference
from dynkv.convergence import Convergence
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError
from dynkv.core.hlc import wall_ms_of
from dynkv.peer.asking import ask
from dynkv.peer.messages import Absent, Applied, Apply, Found, Read
from dynkv.peer.transport import Transport
from dynkv.repair.journal import Moved
from dynkv.replica import Replica
from dynkv.runtime import Clock, pause
from dynkv.storage.keys import parse_record_key, record_key_at

AT_ONCE = 16
TIMEOUT_S = 10.0

log = structlog.get_logger("dynkv.exchange")


class Reconciler:
    """Repairs with any peer."""

    def __init__(
        self, replica: Replica, transport: Transport, clock: Clock, convergence: Convergence, rate: Budget
    ) -> None:
        """`rate`: records a second, with all peers together."""
        self._replica = replica
        self._transport = transport
        self._clock = clock
        self._rate = rate
        self._convergence = convergence

    async def repair(self, peer: str, partition: int, differences: Sequence[Difference], moved: Moved) -> int:
        """How many of `differences` were passed over; what went over the wire is added to `moved`."""
        skipped = 0
        for start in range(0, len(differences), AT_ONCE):
            some = differences[start : start + AT_ONCE]
            done = await asyncio.gather(*(self._one(peer, partition, difference, moved) for difference in some))
            skipped += len(some) - sum(done)
            if not await self._durable():
                return skipped + len(differences) - start - len(some) + sum(done)
            await pause(self._rate.spend(len(some), self._clock.now()))
        return skipped

    async def _one(self, peer: str, partition: int, difference: Difference, moved: Moved) -> bool:
        _, bucket, key = parse_record_key(record_key_at(partition, difference.key))
        try:
            return await self._make_equal(peer, partition, bucket, key, difference, moved)
        except DamagedRecord as error:
            log.error("two replicas cannot be made equal", peer=peer, partition=partition, error=str(error))
        except StoreError as error:
            log.warning("a repair failed", peer=peer, partition=partition, error=str(error))
        return False

    async def _make_equal(
        self, peer: str, partition: int, bucket: str, key: bytes, difference: Difference, moved: Moved
    ) -> bool:
        ours = self._replica.read(partition, bucket, key)
        if difference.ours != (None if ours is None else ours.digest):
            return False
        if difference.theirs is None:
            answer = await ask(self._transport, peer, Read(bucket, key, False), TIMEOUT_S)
            if not isinstance(answer, Absent):
                return False
        elif not await self._pull(peer, partition, bucket, key, difference.theirs, moved):
            return False
        ours = self._replica.read(partition, bucket, key)
        if ours is None:
            return False  # dropped while we waited
        if ours.digest == difference.theirs:
            return True
        given = await ask(self._transport, peer, Apply(bucket, key, ours.record, ""), TIMEOUT_S)
        if not isinstance(given, Applied):
            return False
        moved.keys_pushed += 1
        moved.bytes_pushed += len(ours.record)
        self._converged(ours.record)
        return given.digest == ours.digest

    async def _pull(self, peer: str, partition: int, bucket: str, key: bytes, theirs: bytes, moved: Moved) -> bool:
        """Take in the peer's record, if it still is the one with the digest `theirs`."""
        answer = await ask(self._transport, peer, Read(bucket, key, True), TIMEOUT_S)
        if not isinstance(answer, Found) or answer.digest != theirs:
            return False
        if not records.is_sound(answer.record, answer.digest):
            log.warning("a peer sent a damaged record", peer=peer, partition=partition)
            return False
        before = self._replica.read(partition, bucket, key)
        digest = self._replica.apply(bucket, key, answer.record)
        if before is None or before.digest != digest:
            moved.keys_pulled += 1
            moved.bytes_pulled += len(answer.record)
            self._converged(answer.record)
        return True

    def _converged(self, record: bytes) -> None:
        newest = records.newest(records.decode(record))
        self._convergence.observe("exchange", (self._clock.wall_ms() - wall_ms_of(newest)) / 1000)

    async def _durable(self) -> bool:
        """Wait until what was applied so far is on disk; false if that failed."""
        synced: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not synced.done():
                synced.set_result(error is None)

        self._replica.durable(done)
        return await synced
