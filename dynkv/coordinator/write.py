"""One write, coordinated by this node, which stores the key.

In a session: first have this node's own copy know what the session has seen of the key.
Refuse before anything is done if not enough replicas can be reached: the outcome is then `not_applied` for certain.
Give the write its dot in this node's own copy, and send the whole record to the other primaries at once, while this
node's sync is under way.
A primary that is away is replaced by the next fallback, which keeps a hint for it (sloppy); where no fallback is
left, this node keeps the hint beside its own copy, in the same batch.
Wait for w acknowledgements (`core.quorum.WriteQuorum`); the rest goes on in the background.
A primary that fails, or is not heard of by the deadline, is owed the record: by the next fallback, else by this node.
So when all is said, each primary either has acknowledged or is owed the record by somebody who holds it.
Not enough within the hedge delay: a primary that lags is stood in for without waiting for its time-out.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import structlog

from dynkv.coordinator.hold import Subject
from dynkv.coordinator.plan import Surroundings, nearest_first, words
from dynkv.coordinator.results import Trace, WriteResult
from dynkv.coordinator.session import catch_up
from dynkv.core import record as records
from dynkv.core.bucket import Conflict
from dynkv.core.errors import QuorumUnmet, StoreError
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.quorum import WriteQuorum
from dynkv.core.write import Write
from dynkv.peer.messages import Applied, Apply
from dynkv.peer.transport import Failure, Outcome
from dynkv.replica import Written

log = structlog.get_logger("dynkv.coordinator")

# A write is hedged later than a read: a stand-in costs two more durable writes and a handoff.
HEDGE_FACTOR = 4
HEDGE_SECONDS_MIN = 0.05
# To have a hint kept elsewhere; nobody waits for it.
KEEP_SECONDS = 5.0


class WriteRequest:
    """A write in progress. Make one, `await run()`, throw it away; its callbacks may outlive the answer."""

    __slots__ = (
        "_answer",
        "_around",
        "_conflict",
        "_covered",
        "_deadline",
        "_levels",
        "_outstanding",
        "_owed",
        "_own_failed",
        "_plan",
        "_quorum",
        "_stand_ins",
        "_timer",
        "_trace",
        "_write",
        "_written",
    )

    def __init__(
        self, around: Surroundings, write: Write, levels: Levels, conflict: Conflict, plan: Plan, trace: Trace | None
    ) -> None:
        self._around = around
        self._write = write
        self._levels = levels
        self._conflict = conflict
        self._plan = plan
        self._trace = trace
        self._quorum = WriteQuorum(levels.w, levels.pw, plan.primaries, levels.sloppy)
        self._deadline = around.clock.now() + levels.timeout_ms / 1000
        self._stand_ins: list[str] = []
        self._outstanding: dict[str, str] = {}  # node asked -> the primary it acknowledges for (itself, if it is one)
        self._covered: set[str] = set()  # primaries that a fallback durably stands in for
        self._owed: list[str] = []  # primaries that this node owes the record, noted in the batch of its own copy
        self._own_failed = False
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[None] | None = None
        self._written: Written | None = None

    async def run(self) -> WriteResult:
        """The answer once w and pw are met. QuorumUnmet, SessionBehind, RequestError, or StoreError if this node's disk
        refused."""
        around, write = self._around, self._write
        around.counters.writes += 1
        if write.demand is not None:
            subject = Subject(write.bucket, write.key, self._plan, self._deadline, self._trace)
            await catch_up(around, subject, self._levels, write.demand)
        targets, owed = self._assign()
        self._owed = owed
        written = around.replica.coordinate(write, self._conflict, owed)
        self._written = written
        if written.counter == 0:
            around.counters.retries_known += 1
        self._note(around.node, "applied to own copy, sync under way")
        answer = self._answer = around.loop.create_future()
        for node, target in targets:
            self._send(node, target)
        around.replica.durable(self.own_durable)
        if not answer.done():
            self._timer = around.loop.call_later(min(hedge_delay_s(around), self._left()), self.hedge)
        return await self.finish()

    async def finish(self) -> WriteResult:
        """Wait for the answer to what has begun. As with `run`."""
        assert self._answer is not None
        assert self._written is not None
        try:
            await self._answer
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if self._write.update:
            self._around.replica.settled(self._write)
        return result_of(self._written, self._quorum.replicas)

    # --- begun among others (see together) ----------------------------------------------------------------------------

    def take_over(
        self, written: Written, durable_at: Iterable[str], waiting: Iterable[str], deadline: float, *, answered: bool
    ) -> None:
        """Go on with a write that stands in this node's copy and was sent to all other primaries. `durable_at`: who has
        acknowledged; `waiting`: those not heard of. `answered`: its client has its answer already.

        What is heard from now on is told by `heard` and `own_durable`; `hedge` says that it takes too long.
        """
        around = self._around
        self._deadline = deadline
        self._written = written
        if self._levels.sloppy and self._plan.fallbacks:
            self._stand_ins = nearest_first(around.transport, self._plan.fallbacks)
        for node in durable_at:
            self._quorum.acknowledged(node)
            self._covered.add(node)
        self._outstanding = {node: node for node in waiting}
        self._answer = around.loop.create_future()
        if answered:
            self._answer.set_result(None)

    # --- before anything is done --------------------------------------------------------------------------------------

    def _assign(self) -> tuple[list[tuple[str, str]], list[str]]:
        """((node to send to, primary it acknowledges for), ...) and the primaries that this node itself owes.

        QuorumUnmet(not_applied) if even with all of them w or pw could not be met.
        """
        around = self._around
        node = around.node
        primaries = self._plan.primaries
        others = [name for name in primaries if name != node]
        reachable = [name for name in others if around.transport.available(name)]
        targets = [(name, name) for name in reachable]
        owed: list[str] = []
        if len(reachable) == len(others) == len(primaries) - 1:
            if self._levels.sloppy and self._plan.fallbacks:
                self._stand_ins = nearest_first(around.transport, self._plan.fallbacks)
            self._check_possible(1 + len(reachable), 1 + len(reachable), [])
            return targets, owed
        missing = [name for name in others if name not in reachable]
        for name in missing:
            self._note(name, "down or suspected")
            self._quorum.failed(name, "unreachable", reached=False)
        if self._levels.sloppy:
            fallbacks = [name for name in self._plan.fallbacks if name != node]
            self._stand_ins = nearest_first(around.transport, fallbacks)
        own_vote = node in primaries
        votes = len(reachable) + own_vote
        votes_pw = votes
        if not own_vote:
            # This node is a fallback: its own copy stands in for the first primary that is away. If none is (whoever
            # forwarded the write saw less), it still owes its copy to one, or it would keep it for good.
            owed.append(missing.pop(0) if missing else primaries[0])
            votes += self._levels.sloppy
        votes += min(len(missing), len(self._stand_ins))
        self._check_possible(votes, votes_pw, missing)
        for name in missing:
            if self._stand_ins:
                targets.append((self._stand_ins.pop(0), name))
            else:
                owed.append(name)
        return targets, owed

    def _check_possible(self, votes_w: int, votes_pw: int, missing: Sequence[str]) -> None:
        levels = self._levels
        if votes_w >= levels.w and votes_pw >= levels.pw:
            return
        self._around.counters.writes_not_applied += 1
        raise QuorumUnmet(
            f"write quorum cannot be met: only {votes_w} of w={levels.w}, {votes_pw} of pw={levels.pw} replicas can "
            "be reached; nothing was written",
            outcome="not_applied",
            needed=self._quorum.needed(),
            got={"w": 0, "pw": 0},
            replicas=self._quorum.replicas,
        )

    # --- sending and hearing ------------------------------------------------------------------------------------------

    def _send(self, node: str, target: str) -> None:
        assert self._written is not None
        self._outstanding[node] = target
        hint_for = "" if node == target else target
        if self._trace is not None:
            self._note(node, f"sent, as stand-in for {target}" if hint_for else "sent")
        message = Apply(self._write.bucket, self._write.key, self._written.record, hint_for)
        self._around.transport.request(node, message, self._left(), partial(self.heard, node))

    def own_durable(self, error: Exception | None) -> None:
        if error is None:
            self._note(self._around.node, "own copy durable")
            self._quorum.acknowledged(self._around.node)
            if self._quorum.everywhere():
                self._converged()
        else:
            self._note(self._around.node, f"own sync failed: {error}")
            self._quorum.failed(self._around.node, "sync failed", reached=True)
            # The copy may be gone after a restart, and with it the hints of its batch.
            self._own_failed = True
            for target in (self._around.node, *self._owed):
                if target in self._plan.primaries:
                    self._replace(target)
        self._consider()

    def heard(self, node: str, outcome: Outcome) -> None:
        target = self._outstanding.pop(node)
        if isinstance(outcome, Applied):
            self._note(node, "durable")
            self._quorum.acknowledged(node)
            if self._quorum.everywhere():
                self._converged()
            self._covered.add(target)
            self._compare(node, outcome.digest)
        else:
            reached = outcome.reached if isinstance(outcome, Failure) else getattr(outcome, "done", True)
            self._note(node, words(outcome))
            self._quorum.failed(node, words(outcome), reached=reached)
            self._replace(target)
        self._consider()

    def _replace(self, target: str) -> None:
        """`target` is owed the record: by the next fallback if there is one and time is left, else by this node, else,
        if this node's disk fails, by another primary."""
        if target in self._covered or target in self._outstanding.values():
            return
        if self._stand_ins and self._left() > 0:
            self._send(self._stand_ins.pop(0), target)
            return
        if not self._own_failed:
            try:
                self._around.replica.owe(target, self._write.bucket, self._write.key)
            except StoreError as error:
                self._not_kept(target, str(error))
            else:
                self._note(self._around.node, f"keeps a hint for {target}")
            return
        keeper = self._keeper(target)
        if keeper is None:
            self._not_kept(target, "own disk failed, and no other replica can be reached")
            return
        assert self._written is not None
        message = Apply(self._write.bucket, self._write.key, self._written.record, target)
        self._around.transport.request(keeper, message, KEEP_SECONDS, partial(self._kept, keeper, target))

    def _keeper(self, target: str) -> str | None:
        """Another primary to owe `target` the record: one that has it, else one that can be reached."""
        around, said = self._around, self._quorum.replicas
        others = [name for name in self._plan.primaries if name not in (target, around.node)]
        reachable = [name for name in others if around.transport.available(name)]
        return min(reachable, key=lambda name: said.get(name) != "ok", default=None)

    def _kept(self, keeper: str, target: str, outcome: Outcome) -> None:
        if isinstance(outcome, Applied):
            self._note(keeper, f"keeps a hint for {target}")
        else:
            self._not_kept(target, words(outcome))

    def _not_kept(self, target: str, why: str) -> None:
        # The record itself is where it was acknowledged; anti-entropy finds what no hint remembers.
        self._around.counters.hints_not_kept += 1
        log.warning("a hint could not be kept", target=target, error=why)

    def _compare(self, node: str, digest: bytes) -> None:
        """A replica that merged the write into more than we sent knows something that this node may not."""
        written = self._written
        assert written is not None
        if digest == written.digest:
            return
        bucket, key = self._write.bucket, self._write.key
        try:
            ours = self._around.replica.read(self._plan.partition, bucket, key)
        except StoreError:
            return  # counted where it is served; this is only an early look
        if ours is not None and ours.digest != digest:
            self._around.disagreement(bucket, key, ours.record, ours.digest, [node])

    def hedge(self) -> None:
        """Not enough within the hedge delay: let fallbacks stand in for those that lag; later, the deadline."""
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        left = self._left()
        if left <= 0:
            self._give_up("the deadline passed")
            return
        for node, target in list(self._outstanding.items()):
            if node == target and self._stand_ins:
                self._around.counters.hedged_writes += 1
                self._send(self._stand_ins.pop(0), target)
        self._timer = self._around.loop.call_later(left, self.hedge)

    # --- settling -----------------------------------------------------------------------------------------------------

    def _consider(self) -> None:
        if self._answer is None or self._answer.done():
            return
        if self._quorum.enough():
            self._note(self._around.node, "quorum met")
            self._answer.set_result(None)
        elif not self._outstanding and self._around.node in self._quorum.replicas:
            self._give_up("no replica is left to wait for")

    def _give_up(self, why: str) -> None:
        assert self._answer is not None
        self._around.counters.writes_ambiguous += 1
        got, needed = self._quorum.got(), self._quorum.needed()
        replicas = dict(self._quorum.replicas)
        for node in self._outstanding:
            replicas.setdefault(node, "no answer yet")
        self._answer.set_exception(
            QuorumUnmet(
                f"write quorum not met: {why}; w={needed['w']} got {got['w']}, pw={needed['pw']} got {got['pw']}; some "
                "replica may have the write and will spread it",
                outcome="ambiguous",
                needed=needed,
                got=got,
                replicas=replicas,
            )
        )

    def _converged(self) -> None:
        """Every primary has it: what replication took, from the start."""
        self._around.convergence.replicated(self._levels.timeout_ms / 1000 - self._left())

    def _left(self) -> float:
        return self._deadline - self._around.clock.now()

    def _note(self, node: str, what: str) -> None:
        if self._trace is not None:
            self._trace.note(self._around.clock.now(), node, what)


def hedge_delay_s(around: Surroundings) -> float:
    """How long a write waits for its primaries before fallbacks stand in for those that lag."""
    return max(HEDGE_SECONDS_MIN, HEDGE_FACTOR * around.transport.hedge_delay_s())


def result_of(written: Written, replicas: Mapping[str, str]) -> WriteResult:
    """The answer to a write of which `replicas` have said so much."""
    return WriteResult(
        written.actor,
        written.counter,
        written.context,
        written.digest,
        written.siblings,
        dict(replicas),
        # Of a retry of what was overwritten, only the whole record is known to have had it.
        ((written.actor, written.counter),) if written.counter else records.decode(written.record).vector,
        written.state,
    )
