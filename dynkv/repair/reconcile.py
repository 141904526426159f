"""Making the keys equal in which two replicas were found to differ: whole records, merged, never overwritten.

    Read our copy anew. If it is not what was listed, somebody wrote it meanwhile: leave it to them.
    Ask the peer for its record, if it had one. If it is not what was listed, or is there now: the same.
    Merge it into ours. If the result is more than the peer has, give it the result.

So each key ends with the merge of both sides on both sides, or is passed over for the next time. What was taken is
durable here before it counts as done.

Some keys are asked for in one message and given in one, go to the disk in one batch (`new_keys`), and many wait for one
sync: of a node that lost everything, each key costs as much as merging it and no more. Clients' requests come between:
a message holds what takes about a millisecond to take in, and less to answer. The next keys are asked for when the rate
allows it, and not before those so far are taken in, so that a slow peer or a slow disk makes it slower; and when the
loop is late for it, because clients want the processor, it rests once more.

Beside clients it is gentler by far: a share of the rate (`antientropy.Deference`), a few keys in a message. However
short the turns are, a request has about eight of them to wait for (three loops, two disks and back), so one in a
hundred waits for several, and only doing less makes that rarer. What is urgent does not give way so: of what a node
lost there may be one copy less until it is back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from antientropy import Budget, Difference, courtesy_s
from dynkv.convergence import Convergence
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError
from dynkv.core.hlc import wall_ms_of
from dynkv.core.portions import portions
from dynkv.new_keys import apply_many
from dynkv.peer.asking import ask
from dynkv.peer.many_messages import AppliedMany, ApplyMany, Copies, Copy, KeyRecord, ReadMany
from dynkv.peer.transport import Transport
from dynkv.repair.journal import Moved
from dynkv.replica import Replica
from dynkv.runtime import Clock, pause
from dynkv.storage.envelope import Envelope
from dynkv.storage.keys import parse_record_key, record_key_at

# Asked for, and given, in one message.
TOGETHER = 32
# The same beside clients.
GENTLY = 8
# Taken in before the disk is waited for: clients' writes, here and at others on this disk, wait for it too.
SYNCED_TOGETHER = 8 * TOGETHER
GIVEN_BYTES = 128 * 1024
TIMEOUT_S = 10.0

log = structlog.get_logger("dynkv.exchange")


class Rate(NamedTuple):
    """How fast repair may go with all peers together: records and bytes of records a second."""

    records: Budget
    bytes: Budget


class Yielding(NamedTuple):
    """What repair keeps to besides while clients ask (`due`), unless it is urgent. Budgets of their own: what waits for
    these is no debt to what is urgent."""

    due: Callable[[], bool]
    rate: Rate


class Case(NamedTuple):
    """A key that differed when it was listed."""

    bucket: str
    key: bytes
    listed: Difference


class Reconciler:
    """Repairs with any peer."""

    def __init__(
        self,
        replica: Replica,
        transport: Transport,
        clock: Clock,
        convergence: Convergence,
        rate: Rate,
        yielding: Yielding | None = None,
    ) -> None:
        self._replica = replica
        self._transport = transport
        self._clock = clock
        self._rate = rate
        self._yielding = yielding
        self._convergence = convergence

    async def repair(
        self, peer: str, partition: int, differences: Sequence[Difference], moved: Moved, *, urgent: bool = False
    ) -> int:
        """How many of `differences` were passed over; what went over the wire is added to `moved`. `urgent`: clients
        wait for it rather than it for them."""
        equal = taken = start = 0  # `taken`: equal too, and not known to be on disk
        while start < len(differences):
            yielding = self._yielding if not urgent and self._yielding is not None and self._yielding.due() else None
            rates = [self._rate] if yielding is None else [self._rate, yielding.rate]
            some = differences[start : start + (TOGETHER if yielding is None else GENTLY)]
            now = self._clock.now()
            await self._rest(max(rate.records.spend(len(some), now) for rate in rates))
            before = moved.bytes_pulled + moved.bytes_pushed
            answered, done = await self._make_equal(peer, partition, some, moved)
            if not answered:
                break  # the rest would fare no better with this peer
            start += answered
            taken += done
            if taken >= SYNCED_TOGETHER:
                if not await self._durable():
                    return len(differences) - equal
                equal, taken = equal + taken, 0
            spent = moved.bytes_pulled + moved.bytes_pushed - before
            now = self._clock.now()
            await self._rest(max(rate.bytes.spend(spent, now) for rate in rates))
        if taken and await self._durable():
            equal += taken
        return len(differences) - equal

    async def _rest(self, seconds: float) -> None:
        due = self._clock.now() + seconds
        await pause(seconds)
        more = courtesy_s(self._clock.now() - due)
        if more:
            await pause(more)

    async def _make_equal(
        self, peer: str, partition: int, differences: Sequence[Difference], moved: Moved
    ) -> tuple[int, int]:
        """How many, the first, the peer gave an answer about; and how many of them are equal now."""
        cases = [self._case(partition, difference) for difference in differences]
        still = [at for at, case in enumerate(cases) if self._as_listed(peer, partition, case)]
        if not still:
            return len(cases), 0
        question = ReadMany(tuple((cases[at].bucket, cases[at].key) for at in still))
        answer = await ask(self._transport, peer, question, TIMEOUT_S)
        if not isinstance(answer, Copies) or len(answer.copies) > len(still):
            return 0, 0
        told = len(answer.copies)  # it need not answer about all
        heard = zip((cases[at] for at in still[:told]), answer.copies, strict=True)
        known = [(case, theirs) for case, theirs in heard if theirs and theirs.digest == (case.listed.theirs or b"")]
        held = self._take(peer, partition, [(case, theirs) for case, theirs in known if theirs.digest], moved)
        equal = 0
        to_give: list[tuple[KeyRecord, bytes]] = []
        for case, theirs in known:
            if theirs.digest and held.get(case) == theirs.digest:
                equal += 1
            elif not theirs.digest or case in held:
                ours = self._read(peer, partition, case)
                if ours is not None:  # it may have been dropped while we waited
                    to_give.append((KeyRecord(case.bucket, case.key, ours.record), ours.digest))
        for portion in portions(to_give, lambda one: len(one[0].record), TOGETHER, GIVEN_BYTES):
            equal += await self._give(peer, portion, moved)
        return (len(cases) if told == len(still) else still[told]), equal

    def _case(self, partition: int, difference: Difference) -> Case:
        _, bucket, key = parse_record_key(record_key_at(partition, difference.key))
        return Case(bucket, key, difference)

    def _as_listed(self, peer: str, partition: int, case: Case) -> bool:
        """Whether our copy still is what was listed."""
        try:
            ours = self._replica.read(partition, case.bucket, case.key, keep=False)
        except StoreError as error:
            self._failed(peer, partition, error)
            return False
        return case.listed.ours == (None if ours is None else ours.digest)

    def _read(self, peer: str, partition: int, case: Case) -> Envelope | None:
        try:
            return self._replica.read(partition, case.bucket, case.key, keep=False)
        except StoreError as error:
            self._failed(peer, partition, error)
            return None

    def _take(self, peer: str, partition: int, given: Sequence[tuple[Case, Copy]], moved: Moved) -> dict[Case, bytes]:
        """Merge the peer's records into our copies: the digests that these have now, but for keys that are passed
        over."""
        sound = [(case, theirs) for case, theirs in given if records.digest(theirs.record) == theirs.digest]
        if len(sound) < len(given):
            log.warning("a peer sent damaged records", peer=peer, partition=partition, records=len(given) - len(sound))
        digests: list[bytes] = []
        failed = False
        try:
            apply_many(self._replica, [(case.bucket, case.key, theirs.record) for case, theirs in sound], digests)
        except StoreError as error:
            self._failed(peer, partition, error)
            failed = True
        held: dict[Case, bytes] = {}
        for (case, theirs), together in zip(sound, digests, strict=not failed):
            digest = together if together or failed else self._alone(peer, partition, case, theirs)
            if digest:
                held[case] = digest
                if digest != case.listed.ours:
                    moved.keys_pulled += 1
                    moved.bytes_pulled += len(theirs.record)
                    self._converged(theirs.record)
        return held

    def _alone(self, peer: str, partition: int, case: Case, theirs: Copy) -> bytes:
        """One that could not be merged with the others: b"" if it cannot be by itself, and why is logged."""
        try:
            return self._replica.apply(case.bucket, case.key, theirs.record)
        except StoreError as error:
            self._failed(peer, partition, error)
            return b""

    async def _give(self, peer: str, given: Sequence[tuple[KeyRecord, bytes]], moved: Moved) -> int:
        """Have the peer merge these records, with their digests; how many it holds now as they are."""
        answer = await ask(self._transport, peer, ApplyMany(tuple(one for one, _ in given)), TIMEOUT_S)
        if not isinstance(answer, AppliedMany) or len(answer.digests) != len(given):
            return 0
        for (one, _), held in zip(given, answer.digests, strict=True):
            if held:  # else it could not be merged there
                moved.keys_pushed += 1
                moved.bytes_pushed += len(one.record)
                self._converged(one.record)
        return sum(held == digest for (_, digest), held in zip(given, answer.digests, strict=True))

    def _failed(self, peer: str, partition: int, error: StoreError) -> None:
        if isinstance(error, DamagedRecord):
            log.error("two replicas cannot be made equal", peer=peer, partition=partition, error=str(error))
        else:
            log.warning("a repair failed", peer=peer, partition=partition, error=str(error))

    def _converged(self, record: bytes) -> None:
        newest = records.newest(records.glance(record))
        self._convergence.observe("exchange", (self._clock.wall_ms() - wall_ms_of(newest)) / 1000)

    async def _durable(self) -> bool:
        """Wait until what was applied so far is on disk; false if that failed."""
        synced: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not synced.done():
                synced.set_result(error is None)

        self._replica.durable(done)
        return await synced
