"""Reaping: letting go of tombstones that nothing needs any more (why, and when: `core.reaping`).

A key's tombstone is looked after by the key's first primary. That node hears of one when its own copy becomes nothing
but deletions (`on_tombstone`), and from the scrub, which reads all records (`candidate`). What is due is worked off in
trials: one partition at a time, up to TRIAL_KEYS of its tombstones, asked about in messages of TOMBSTONES_MAX.

    look        read our copy: still a tombstone, and past its grace period?
    first       ask all members, ourselves included; drop from the trial whatever has an obstacle
    (quiet)     other partitions have their turn
    second      ask all members once more
    reap        have the other primaries drop theirs, then drop ours, each in one batch

A partition has one trial at a time, because every removal of a copy makes the marks of its other cases worthless. Our
own copy goes last, and only if every other primary has said that its copy is gone or another: as long as it is here,
the case is ours, whatever crashed. While any member is away nothing can go at all, so nothing is asked.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError, StoreReadFailed
from dynkv.core.phrases import count
from dynkv.core.reaping import Case, Kind, Obstacle, Said, away, grace_left_s, in_grace
from dynkv.core.tombstones import Name, Tombstones
from dynkv.membership import Membership
from dynkv.peer.asking import ask
from dynkv.peer.messages import Failed
from dynkv.peer.reaping_messages import TOMBSTONES_MAX, Held, Holding, Reap, Reaped, Tombstone
from dynkv.peer.transport import Failure, Outcome, Transport
from dynkv.repair.holdings import Holdings
from dynkv.repair.journal import Journal
from dynkv.replica import Replica
from dynkv.runtime import Clock
from dynkv.worker import IDLE, Found

TRIAL_KEYS = 1024
TIMEOUT_S = 10.0

IN_GRACE = Obstacle("grace", "in its grace period")
CONFIRMED = Obstacle("being confirmed", "everybody has confirmed it once")
WRITTEN = Obstacle("differs", "it was written to meanwhile")

log = structlog.get_logger("dynkv.reaping")


class Pace(NamedTuple):
    """`grace_s`: a tombstone's least age. `quiet_s`: between the two rounds. `keys_per_s`: looked at."""

    grace_s: float
    quiet_s: float
    keys_per_s: float


class Candidate(NamedTuple):
    """A tombstone of ours, and its case."""

    tombstone: Tombstone
    primaries: tuple[str, ...]
    case: Case

    @property
    def name(self) -> Name:
        return self.tombstone.bucket, self.tombstone.key


class Trial:
    """The tombstones of one partition that are worked on together. `names`: not looked at yet. `place`: of the chunk
    that comes next in this stage."""

    __slots__ = ("chunks", "names", "partition", "place", "stage")

    def __init__(self, partition: int, names: list[Name]) -> None:
        self.partition = partition
        self.names = names
        self.chunks: list[list[Candidate]] = []
        self.stage = "first"
        self.place = 0

    def quiet_until(self) -> float:
        """When the last of the cases may be asked about again."""
        return max(candidate.case.quiet_until or 0.0 for chunk in self.chunks for candidate in chunk)

    def waits(self, now: float) -> bool:
        return self.stage == "second" and self.place == 0 and now < self.quiet_until()

    def left(self) -> list[Name]:
        """All that are still in it."""
        return [*self.names, *(candidate.name for chunk in self.chunks for candidate in chunk)]


class Reaper:
    """Of one node. `step` is a worker's step."""

    def __init__(
        self,
        node: str,
        *,
        replica: Replica,
        membership: Membership,
        holdings: Holdings,
        transport: Transport,
        clock: Clock,
        journal: Journal,
        pace: Pace,
    ) -> None:
        self.known = Tombstones()
        self.reaped = 0
        self._node = node
        self._replica = replica
        self._membership = membership
        self._holdings = holdings
        self._transport = transport
        self._clock = clock
        self._journal = journal
        self._pace = pace
        self._trials: dict[int, Trial] = {}

    # --- hearing of tombstones ----------------------------------------------------------------------------------------

    def on_tombstone(self, partition: int, bucket: str, key: bytes) -> None:
        """Our copy of the key has just become one. On the path of every delete."""
        if self._holdings.first_primary(partition) == self._node:
            self.known.add(partition, (bucket, key), self._clock.now() + self._pace.grace_s, IN_GRACE)

    def candidate(self, partition: int, bucket: str, key: bytes) -> None:
        """Somebody came upon a tombstone of ours."""
        if self._holdings.first_primary(partition) == self._node:
            self.known.add(partition, (bucket, key), self._clock.now())

    def hurry(self) -> None:
        """Somebody came back: what could not go is looked at again."""
        self.known.hurry()

    # --- saying why ---------------------------------------------------------------------------------------------------

    def why(self, bucket: str, key: bytes) -> Obstacle | None:
        """Why the tombstone under this key is still there. None if our copy is none, or is not ours to look after."""
        partition = self._replica.partition(bucket, key)
        if self._holdings.first_primary(partition) != self._node:
            return None
        try:
            copy = self._replica.read(partition, bucket, key)
            record = None if copy is None else records.decode(copy.record)
        except (DamagedRecord, StoreReadFailed):
            return Obstacle("unreadable", f"{self._node} cannot read its copy")
        if record is None or not records.is_deleted(record):
            return None
        left_s = grace_left_s(record, self._pace.grace_s, self._clock.wall_ms())
        if left_s > 0:
            return in_grace(left_s)
        if gone := self._away():
            return gone[0]
        known = self.known.obstacle((bucket, key))
        return known or Obstacle("being confirmed", "not looked at yet; the scrub comes upon it")

    def counts(self) -> dict[Kind, int]:
        """Tombstones known to wait, by reason."""
        counts = self.known.counts()
        if self._away():
            grace = counts.pop("grace", 0)
            counts = {"grace": grace, "member away": sum(counts.values())}
        return {kind: count for kind, count in counts.items() if count}

    def _away(self) -> list[Obstacle]:
        """Members that cannot be asked."""
        peers = self._transport.peers()
        return [
            away(name, f"is {peers[name].state}" if name in peers else "is down")
            for name in sorted(self._membership.members)
            if name != self._node and not self._transport.available(name)
        ]

    # --- working ------------------------------------------------------------------------------------------------------

    async def step(self) -> Found:
        """Go on with one chunk of one trial."""
        now = self._clock.now()
        self.known.make_ready(now)
        if self._membership.placement is None or self._away():
            return IDLE
        trial = next((one for one in self._trials.values() if not one.waits(now)), None) or self._begin(now)
        if trial is None:
            return IDLE
        try:
            looked_at = await self._go_on(trial)
        except BaseException:
            self._end(trial)
            raise
        if not trial.names and not trial.chunks:
            self._end(trial)
        return looked_at / self._pace.keys_per_s

    def _begin(self, now: float) -> Trial | None:
        taken = self.known.take(now, TRIAL_KEYS, self._trials.keys())
        if taken is None:
            return None
        trial = self._trials[taken[0]] = Trial(*taken)
        return trial

    def _end(self, trial: Trial) -> None:
        """It is over, be it before its time: what is left in it is looked at another time."""
        del self._trials[trial.partition]
        for name in trial.left():
            self.known.put_back(name, self._clock.now(), self.known.obstacle(name) or CONFIRMED)

    async def _go_on(self, trial: Trial) -> int:
        """Do the next chunk of the trial's stage; keys looked at."""
        if trial.stage == "first":
            names, trial.names = trial.names[:TOMBSTONES_MAX], trial.names[TOMBSTONES_MAX:]
            chunk: list[Candidate] = []
            trial.chunks.append(chunk)
            for name in names:
                self._look(trial.partition, name, chunk)
            trial.chunks[-1] = await self._ask(trial.partition, chunk)
            looked_at = len(names)
        else:
            chunk = trial.chunks[trial.place]
            looked_at = len(chunk)
            trial.chunks[trial.place] = await (
                self._ask(trial.partition, chunk) if trial.stage == "second" else self._reap(trial.partition, chunk)
            )
        trial.place += 1
        if not trial.names and trial.place >= len(trial.chunks):
            trial.stage = {"first": "second", "second": "reap", "reap": "over"}[trial.stage]
            trial.place = 0
            trial.chunks = [chunk for chunk in trial.chunks if chunk]
        return looked_at

    def _look(self, partition: int, name: Name, chunk: list[Candidate]) -> None:
        """If our copy is a tombstone and old enough, its case is one of the chunk."""
        bucket, key = name
        now = self._clock.now()
        try:
            copy = self._replica.read(partition, bucket, key)
            record = None if copy is None else records.decode(copy.record)
        except (DamagedRecord, StoreReadFailed):
            self.known.put_back(name, now, Obstacle("unreadable", f"{self._node} cannot read its copy"))
            return
        if copy is None or record is None or not records.is_deleted(record):
            self.known.gone(name)
            return
        left_s = grace_left_s(record, self._pace.grace_s, self._clock.wall_ms())
        if left_s > 0:
            self.known.too_young(name, now + left_s, IN_GRACE)
            return
        primaries = self._membership.plan(bucket, key, self._membership.bucket(bucket).n).primaries
        others = [member for member in self._membership.members if member not in primaries]
        case = Case(primaries, others, self._pace.quiet_s)
        chunk.append(Candidate(Tombstone(bucket, key, copy.digest), primaries, case))

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, partition: int, chunk: Sequence[Candidate]) -> list[Candidate]:
        """Ask all members about these, in the round that is theirs; those that nothing stands in the way of so far."""
        now = self._clock.now()
        for candidate in chunk:
            candidate.case.ask_again(now)  # of the first round: not yet
        if not chunk:
            return []
        question = Holding(partition, tuple(candidate.tombstone for candidate in chunk), claims=True)
        members = sorted(self._membership.members)
        heard = await asyncio.gather(*(self._holding(member, question) for member in members))
        now = self._clock.now()
        for member, outcome in zip(members, heard, strict=True):
            self._take_in(member, outcome, chunk, now)
        return [candidate for candidate in chunk if self._stays(candidate, now)]

    async def _holding(self, member: str, question: Holding) -> Outcome:
        if member != self._node:
            return await ask(self._transport, member, question, TIMEOUT_S)
        own: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._holdings.ask_own(question, lambda answer: None if own.done() else own.set_result(answer))
        except StoreError as error:
            return Failed("store failed", str(error), False)
        return await own

    @staticmethod
    def _take_in(member: str, outcome: Outcome, chunk: Sequence[Candidate], now: float) -> None:
        if not isinstance(outcome, Held) or len(outcome.stands) != len(chunk):
            for candidate in chunk:
                candidate.case.silent(member, _words(outcome))
            return
        for candidate, stand in zip(chunk, outcome.stands, strict=True):
            said = Said(stand.state, stand.hint_for, outcome.sound, outcome.mark)
            candidate.case.hear(member, said, candidate.case.round, now)

    def _stays(self, candidate: Candidate, now: float) -> bool:
        """Whether the case goes on."""
        obstacle = candidate.case.obstacle
        if obstacle is None:
            self.known.tell(candidate.name, CONFIRMED)
        else:
            self.known.put_back(candidate.name, now, obstacle)
        return obstacle is None

    # --- letting go ---------------------------------------------------------------------------------------------------

    async def _reap(self, partition: int, chunk: Sequence[Candidate]) -> list[Candidate]:
        """Nothing older than these is left anywhere: all primaries drop them, we last."""
        assert all(candidate.case.proved for candidate in chunk)
        peers = sorted({peer for candidate in chunk for peer in candidate.primaries} - {self._node})
        heard = await asyncio.gather(*(self._have_dropped(peer, partition, chunk) for peer in peers))
        silent = {peer: _words(outcome) for peer, outcome in zip(peers, heard, strict=True) if outcome is not None}
        kept = {candidate.name: peer for candidate in chunk for peer in candidate.primaries if peer in silent}
        dropped = self._holdings.reap([candidate.tombstone for candidate in chunk if candidate.name not in kept])
        now = self._clock.now()
        for candidate in chunk:
            name = candidate.name
            if name in dropped:
                self.known.gone(name)
            elif name in kept:
                self.known.put_back(name, now, away(kept[name], silent[kept[name]]))
            else:
                self.known.put_back(name, now, WRITTEN)
        if dropped:
            self.reaped += len(dropped)
            self._journal.note("reaping", f"{count(len(dropped), 'deleted key')} forgotten by all", partition)
        return []

    async def _have_dropped(self, peer: str, partition: int, chunk: Sequence[Candidate]) -> Outcome | None:
        """Have another primary drop its copies; what came instead of an answer, if it gave none."""
        theirs = tuple(candidate.tombstone for candidate in chunk if peer in candidate.primaries)
        outcome = await ask(self._transport, peer, Reap(partition, theirs), TIMEOUT_S)
        return None if isinstance(outcome, Reaped) else outcome


def _words(outcome: Outcome) -> str:
    """What a member did instead of answering."""
    if isinstance(outcome, Failure):
        return f"did not answer: {outcome.kind}"
    if isinstance(outcome, Failed):
        return f"failed: {outcome.code}"
    return "answered what was not asked"
