"""Have a record held by r replicas before it is shown: a read that writes back what its replicas differed in.

Those that hold it already count. The other primaries are sent it, in the order in which they are read, and, if
stand-ins count (sloppy), fallbacks, each with a hint for a primary that has not acknowledged. As many at a time as are
still needed; one more when the hedge delay is over.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

from dynkv.coordinator.plan import Surroundings, nearest_first, words
from dynkv.coordinator.results import Trace
from dynkv.core.errors import QuorumUnmet, StoreError
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.quorum import WriteQuorum
from dynkv.peer.messages import Applied, Apply, Failed
from dynkv.peer.transport import Outcome


class Subject(NamedTuple):
    """Which key this is about, and until when."""

    bucket: str
    key: bytes
    plan: Plan
    deadline: float
    trace: Trace | None


def note(around: Surroundings, subject: Subject, node: str, what: str) -> None:
    if subject.trace is not None:
        subject.trace.note(around.clock.now(), node, what)


class Hold:
    """One record on its way to r replicas. Make one; `await run(record)` unless it is `done`."""

    def __init__(self, around: Surroundings, subject: Subject, levels: Levels, holders: Collection[str]) -> None:
        self._around = around
        self._subject = subject
        self._levels = levels
        self._quorum = WriteQuorum(levels.r, levels.pr, subject.plan.primaries, levels.sloppy)
        for node in holders:
            self._quorum.acknowledged(node)
        self._holders = holders
        self._outstanding: dict[str, None] = {}
        self._targets: list[str] = []
        self._answers: asyncio.Queue[tuple[str, Outcome]] = asyncio.Queue()

    @property
    def done(self) -> bool:
        return self._quorum.enough()

    async def run(self, record: bytes) -> None:
        """QuorumUnmet if too few take it in time."""
        around, subject, quorum = self._around, self._subject, self._quorum
        around.counters.written_back += 1
        line = self._line()
        hedge_s = around.transport.hedge_delay_s()
        while not quorum.enough():
            needed = self._levels.r - quorum.got()["w"]
            if needed <= 0:
                line = [node for node in line if node in subject.plan.primaries]  # only pr is not met
            while line and len(self._outstanding) < max(1, needed):
                self._send(line.pop(0), record)
            left = subject.deadline - around.clock.now()
            if not self._outstanding or left <= 0:
                raise self._unmet("the deadline passed" if left <= 0 else "too few replicas can be reached")
            try:
                async with asyncio.timeout(min(left, hedge_s) if line else left):
                    node, outcome = await self._answers.get()
            except TimeoutError:
                if line:
                    self._send(line.pop(0), record)
                continue
            self._hear(node, outcome)

    def _line(self) -> list[str]:
        """Whom to send it to, in this order."""
        around, plan = self._around, self._subject.plan
        self._targets = [node for node in plan.primaries if node not in self._holders]
        line = self._reachable(self._targets)
        if self._levels.sloppy:
            line += self._reachable([node for node in plan.fallbacks if node not in self._holders])
        for node in self._targets:
            if node not in line:
                self._quorum.failed(node, "unreachable", reached=False)
                note(around, self._subject, node, "not asked: down or suspected")
        return line

    def _reachable(self, nodes: Sequence[str]) -> list[str]:
        """Those that can be reached: this node first, of course."""
        own = [node for node in nodes if node == self._around.node]
        return own + nearest_first(self._around.transport, [node for node in nodes if node not in own])

    def _send(self, node: str, record: bytes) -> None:
        around, subject = self._around, self._subject
        hint_for = ""
        if node not in subject.plan.primaries:
            # Somebody is owed it for certain: else all primaries held it, and there were enough.
            hint_for = next(name for name in self._targets if self._quorum.replicas.get(name) != "ok")
            self._targets.remove(hint_for)
            self._targets.append(hint_for)
        note(around, subject, node, f"sent what was found{', as stand-in for ' + hint_for if hint_for else ''}")
        self._outstanding[node] = None
        if node == around.node:
            self._apply_here(record, hint_for)
        else:
            message = Apply(subject.bucket, subject.key, record, hint_for)
            left = subject.deadline - around.clock.now()
            around.transport.request(node, message, left, partial(self._answered, node))

    def _apply_here(self, record: bytes, hint_for: str) -> None:
        around, subject = self._around, self._subject

        def durable(error: Exception | None) -> None:
            failed = None if error is None else Failed("sync failed", str(error), True)
            self._answered(around.node, failed or Applied(b""))

        try:
            around.replica.apply(subject.bucket, subject.key, record, hint_for)
        except StoreError as error:
            self._answered(around.node, Failed("store failed", str(error), True))
        else:
            around.replica.durable(durable)

    def _answered(self, node: str, outcome: Outcome) -> None:
        self._answers.put_nowait((node, outcome))

    def _hear(self, node: str, outcome: Outcome) -> None:
        del self._outstanding[node]
        if isinstance(outcome, Applied):
            note(self._around, self._subject, node, "holds it durably")
            self._quorum.acknowledged(node)
        else:
            note(self._around, self._subject, node, words(outcome))
            self._quorum.failed(node, words(outcome), reached=True)

    def _unmet(self, why: str) -> QuorumUnmet:
        levels, got = self._levels, self._quorum.got()
        replicas = dict(self._quorum.replicas)
        for node in self._outstanding:
            replicas.setdefault(node, "no answer yet")
        return QuorumUnmet(
            f"what was read is held by too few replicas to be shown in a session: {why}; "
            f"r={levels.r} got {got['w']}, pr={levels.pr} got {got['pw']}",
            outcome=None,
            needed={"r": levels.r, "pr": levels.pr},
            got={"r": got["w"], "pr": got["pw"]},
            replicas=replicas,
        )
