"""A write on its way to a node that stores the key: tried down the preference list until one coordinates it."""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from dynkv.coordinator.plan import Surroundings, words
from dynkv.coordinator.results import Trace, WriteResult
from dynkv.coordinator.write import WriteRequest
from dynkv.core.bucket import Conflict
from dynkv.core.errors import (
    QuorumUnmet,
    RequestError,
    SessionBehind,
    StoreError,
    StoreWriteFailed,
    TooLarge,
    TooManySiblings,
    WriteIdReused,
    WrongType,
)
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.write import Write
from dynkv.peer.messages import Failed, Forward, Forwarded, Unmet
from dynkv.peer.transport import Failure, Outcome

FORWARD_HEDGE_FACTOR = 10
FORWARD_HEDGE_SECONDS = (0.05, 0.5)

BEHIND = "is behind the session"

# Errors of a forwarded write that are the client's, by their kind; their constructor is (field, detail, limit).
_REQUEST_ERRORS: dict[str, type[RequestError]] = {
    error.kind: error for error in (TooManySiblings, TooLarge, WriteIdReused, WrongType)
}


def _put(answers: asyncio.Queue[tuple[str, Outcome]], node: str, outcome: Outcome) -> None:
    answers.put_nowait((node, outcome))


class ForwardedWrite:
    """A write on its way to a node that stores the key."""

    def __init__(
        self,
        around: Surroundings,
        write: Write,
        levels: Levels,
        conflict: Conflict,
        plan: Plan,
        trace: Trace | None,
        refused: StoreError | None = None,
    ) -> None:
        """`refused`: what came of this node's own try, which may have left the write on its disk all the same."""
        self._around = around
        self._write = write
        self._levels = levels
        self._conflict: Conflict = conflict
        self._plan = plan
        self._trace = trace
        self._deadline = around.clock.now() + levels.timeout_ms / 1000
        self._replicas: dict[str, str] = {} if refused is None else {around.node: str(refused)}
        self._reached = isinstance(refused, StoreWriteFailed)
        self._asked: list[str] = []  # and not heard of
        self._unmet: Unmet | None = None
        self._behind: Failed | None = None

    async def run(self) -> WriteResult:
        """The answer of the first node that gives one. QuorumUnmet if none does."""
        around = self._around
        around.counters.forwarded += 1
        answers: asyncio.Queue[tuple[str, Outcome]] = asyncio.Queue()
        candidates = self._candidates()
        low, high = FORWARD_HEDGE_SECONDS
        hedge_s = min(high, max(low, FORWARD_HEDGE_FACTOR * around.transport.hedge_delay_s()))
        while (left := self._deadline - around.clock.now()) > 0:
            if candidates and candidates[0] == around.node:
                if not self._asked:
                    return await self._coordinate_as_fallback(left)
            elif candidates:
                node = candidates.pop(0)
                self._send(node, left, partial(_put, answers, node))
                self._asked.append(node)
            if not self._asked:
                break
            try:
                async with asyncio.timeout(min(left, hedge_s) if candidates else left):
                    node, outcome = await answers.get()
            except TimeoutError:
                continue
            self._asked.remove(node)
            if isinstance(outcome, Forwarded):
                self._note(node, "coordinated it: quorum met")
                return WriteResult(
                    outcome.actor,
                    outcome.counter,
                    outcome.context,
                    outcome.digest,
                    outcome.siblings,
                    dict(outcome.replicas),
                    outcome.covering,
                    outcome.state,
                )
            self._take_in(node, outcome)
        raise self._error()

    def _candidates(self) -> list[str]:
        """Available primaries, prompt ones first, then the fallbacks in order, of which this node may be one."""
        around = self._around
        transport = around.transport
        if not self._levels.sloppy:
            names = [name for name in self._plan.primaries if name != around.node]
        else:
            names = [*self._plan.primaries, *self._plan.fallbacks]
            if around.node in self._plan.primaries:
                names.remove(around.node)  # it was tried, and its disk refused
        reachable = []
        for name in names:
            if name == around.node or transport.available(name):
                reachable.append(name)
            else:
                self._replicas[name] = "unreachable"
        is_primary = self._plan.primaries.__contains__
        return sorted(reachable, key=lambda name: (not is_primary(name), is_primary(name) and transport.sluggish(name)))

    def _send(self, node: str, left: float, done: Callable[[Outcome], None]) -> None:
        write, levels = self._write, self._levels
        self._note(node, "forwarded: it stores the key")
        message = Forward(
            write.bucket,
            write.key,
            write.context,
            write.value,
            write.content_type,
            write.write_id,
            levels.n,
            levels.w,
            levels.pw,
            levels.sloppy,
            self._conflict,
            write.demand,
            write.update,
            write.repeated or self._reached or bool(self._asked),  # whoever was asked before may have taken it in
            write.returns,
        )
        self._around.transport.request(node, message, left, done)

    async def _coordinate_as_fallback(self, left: float) -> WriteResult:
        """No primary can be reached: this node stands in for one, and its copy is the coordinator's own."""
        self._note(self._around.node, "no primary can be reached: coordinating as a fallback")
        levels = self._levels._replace(timeout_ms=max(1, int(left * 1000)))
        write = msgspec.structs.replace(self._write, repeated=self._write.repeated or self._reached)
        request = WriteRequest(self._around, write, levels, self._conflict, self._plan, self._trace)
        try:
            return await request.run()
        except StoreError as error:
            self._replicas[self._around.node] = str(error)
            self._reached = self._reached or isinstance(error, StoreWriteFailed)
            raise self._error() from error
        except (QuorumUnmet, SessionBehind) as error:
            if self._reached and error.outcome == "not_applied":
                # Of this try that is true; one before it may have left the write somewhere.
                if isinstance(error, SessionBehind):
                    self._replicas[self._around.node] = BEHIND
                raise self._error() from error
            raise

    def _take_in(self, node: str, outcome: Outcome) -> None:
        """A try that brought no success: remember why, and raise what the client has to mend."""
        self._note(node, words(outcome))
        self._replicas[node] = words(outcome)
        if isinstance(outcome, Failure):
            self._reached = self._reached or outcome.reached
        elif isinstance(outcome, Unmet):
            self._unmet = outcome
            self._replicas[node] = outcome.detail
            self._reached = self._reached or outcome.outcome != "not_applied"
        elif isinstance(outcome, Failed):
            self._reached = self._reached or outcome.done
            if outcome.code == SessionBehind.kind:
                self._behind = outcome
                self._replicas[node] = BEHIND
            kind = outcome.code.removeprefix("bad request: ")
            if kind in _REQUEST_ERRORS and not self._reached:  # else an earlier try may have applied what this refuses
                field, detail, limit = [*outcome.detail.split("\n"), "", ""][:3]
                raise _REQUEST_ERRORS[kind](field, detail, limit)

    def _error(self) -> QuorumUnmet | SessionBehind:
        counters = self._around.counters
        for node in self._asked:
            self._reached = True
            self._replicas[node] = "no answer yet"
        if self._reached:
            counters.writes_ambiguous += 1
        else:
            counters.writes_not_applied += 1
        outcome = "ambiguous" if self._reached else "not_applied"
        if self._behind is not None and not self._reached:
            guarantee, detail = [*self._behind.detail.split("\n", 1), ""][:2]
            return SessionBehind(guarantee, detail, outcome=outcome, replicas=self._replicas)
        if (unmet := self._unmet) is not None:
            return QuorumUnmet(
                unmet.detail,
                outcome=outcome,
                needed=dict(unmet.needed),
                got=dict(unmet.got),
                replicas=dict(unmet.replicas) | self._replicas,
            )
        what = "some replica may have the write" if self._reached else "nothing was written"
        return QuorumUnmet(
            f"no node that stores the key could coordinate the write; {what}",
            outcome=outcome,
            needed={"w": self._levels.w, "pw": self._levels.pw},
            got={"w": 0, "pw": 0},
            replicas=self._replicas,
        )

    def _note(self, node: str, what: str) -> None:
        if self._trace is not None:
            self._trace.note(self._around.clock.now(), node, what)
