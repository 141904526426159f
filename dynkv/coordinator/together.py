"""Writes of many keys together: the way that nearly all writes of a batch go.

Writes whose keys this node stores, that have the same primaries, all of them there, and the same levels, are one thing
but for their records. They get their dots in this node's copies one after the other; then the records go to each other
primary in one message, one sync here and one at each of them makes all durable, and w acknowledgements of the whole are
w of each. That is one call, one timer and one future for a hundred writes.

Whatever else comes is not decided here. A write that it concerns leaves the others and goes on by itself, as the
`WriteRequest` that it would have been from the start, in the state that it is in (`take_over`), and is told what is
heard from then on:

    a replica holds another record of the key than was sent, or could not merge it     that one write leaves
    a replica fails, or is not heard of in time, or this node's sync fails             all leave
    w are not met within the hedge delay, and there is a fallback to stand in          all leave
    nor until the deadline                                                             all leave

Writes may leave after they were answered too: a replica that fails then is owed their records all the same. What cannot
begin (a full key, a disk that refuses) is the caller's to deal with. This is a matter of speed only: leave it out, and
each write has the same outcome.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.results import WriteResult
from dynkv.coordinator.write import WriteRequest, hedge_delay_s, result_of
from dynkv.core.bucket import Conflict
from dynkv.core.errors import DynkvError
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.quorum import WriteQuorum
from dynkv.core.write import Write
from dynkv.new_keys import coordinate_many
from dynkv.peer.many_messages import APPLIED_MAX, AppliedMany, ApplyMany, KeyRecord
from dynkv.peer.messages import Applied, Failed
from dynkv.peer.transport import Failure, Outcome
from dynkv.replica import Written

# What a message may hold of records; one that is larger is a message alone.
MESSAGE_BYTES = 1024 * 1024

UNFIT = Failed("bad answer", "what it said is no answer to these records", True)
NOT_MERGED = Failed("store failed", "the record could not be merged there", False)


class Ask(NamedTuple):
    """A write of a batch, its number there, and where its key lies."""

    number: int
    write: Write
    levels: Levels
    conflict: Conflict
    plan: Plan


class Begun:
    """One write that stands in this node's copy. `alone`: what it goes on as, once it has left the others."""

    __slots__ = ("alone", "ask", "written")

    def __init__(self, ask: Ask, written: Written) -> None:
        self.ask = ask
        self.written = written
        self.alone: WriteRequest | None = None


def parted(around: Surroundings, asks: Sequence[Ask]) -> tuple[list[list[Ask]], list[Ask]]:
    """Those that go together, in parts of which each is no more than a message takes, and those that go alone."""
    parts: list[list[Ask]] = []
    alone: list[Ask] = []
    kinds: dict[
        tuple[str, ...], frozenset[str] | None
    ] = {}  # primaries, in whatever order -> who they are; None: alone
    open_parts: dict[tuple[frozenset[str], Levels], tuple[list[Ask], int]] = {}  # the last of a kind, and its bytes
    for ask in asks:
        primaries = ask.plan.primaries
        if primaries not in kinds:
            kinds[primaries] = frozenset(primaries) if all_there(around, primaries) else None
        nodes = kinds[primaries]
        if nodes is None or ask.write.demand is not None:  # a session's demand may have to wait for others first
            alone.append(ask)
            continue
        name = (nodes, ask.levels)
        size = len(ask.write.key) + len(ask.write.value or b"")
        part, held = open_parts.get(name, (None, 0))
        if part is None or len(part) == APPLIED_MAX or held + size > MESSAGE_BYTES:
            part, held = [], 0
            parts.append(part)
        part.append(ask)
        open_parts[name] = (part, held + size)
    return parts, alone


def all_there(around: Surroundings, primaries: Sequence[str]) -> bool:
    """Whether this node is one of them, and the others can be reached."""
    if around.node not in primaries:
        return False
    return all(node == around.node or around.transport.available(node) for node in primaries)


class Together:
    """Writes of one part, in progress. Make one, `await run()`, throw it away; its callbacks may outlive the answer."""

    def __init__(self, around: Surroundings, asks: Sequence[Ask]) -> None:
        self._around = around
        self._asks = asks
        levels, primaries = asks[0].levels, asks[0].plan.primaries
        self._started = around.clock.now()
        self._deadline = self._started + levels.timeout_ms / 1000
        self._quorum = WriteQuorum(levels.w, levels.pw, primaries, levels.sloppy)
        self._waiting = [node for node in primaries if node != around.node]
        self._begun: list[Begun] = []
        self._settled: asyncio.Future[None] = around.loop.create_future()
        self._timer: asyncio.TimerHandle

    async def run(self) -> list[WriteResult | Exception]:
        """What became of each, in order. A StoreError says that this node's disk refused it: nobody else has it."""
        around = self._around
        outcomes = self._begin()
        begun = self._begun
        if begun:
            message = ApplyMany(
                tuple(KeyRecord(one.ask.write.bucket, one.ask.write.key, one.written.record) for one in begun)
            )
            left = self._deadline - around.clock.now()
            for node in self._waiting:
                around.transport.request(node, message, left, partial(self._heard, node))
            around.replica.durable(self._own_durable)
            self._timer = around.loop.call_later(min(hedge_delay_s(around), left), self._too_late)
            try:
                await self._settled
            finally:
                self._timer.cancel()
        finished = iter(begun)
        replicas = dict(self._quorum.replicas)
        results: list[WriteResult | Exception] = []
        for outcome in outcomes:
            if outcome is not None:
                results.append(outcome)
                continue
            one = next(finished)
            results.append(result_of(one.written, replicas) if one.alone is None else await _finished(one.alone))
        return results

    def _begin(self) -> list[Exception | None]:
        """Give each its dot; None for those that have it, the error of those that have not."""
        counters = self._around.counters
        outcomes: list[Exception | None] = []
        written = coordinate_many(self._around.replica, [(ask.write, ask.conflict) for ask in self._asks])
        for ask, one in zip(self._asks, written, strict=True):
            if isinstance(one, Exception):
                outcomes.append(one)
                continue
            counters.writes += 1
            counters.retries_known += one.counter == 0
            self._begun.append(Begun(ask, one))
            outcomes.append(None)
        return outcomes

    # --- hearing ------------------------------------------------------------------------------------------------------

    def _heard(self, node: str, outcome: Outcome) -> None:
        if isinstance(outcome, AppliedMany) and len(outcome.digests) == len(self._begun):
            for one, digest in zip(self._begun, outcome.digests, strict=True):
                if one.alone is not None or digest != one.written.digest:
                    self._leave(one).heard(node, Applied(digest) if digest else NOT_MERGED)
            self._waiting.remove(node)
            self._acknowledged(node)
        else:
            failure = outcome if isinstance(outcome, Failure | Failed) else UNFIT
            for one in self._begun:
                self._leave(one).heard(node, failure)
            self._waiting.remove(node)
        self._consider()

    def _own_durable(self, error: Exception | None) -> None:
        for one in self._begun:
            if error is not None or one.alone is not None:
                self._leave(one).own_durable(error)
        if error is None:
            self._acknowledged(self._around.node)
        self._consider()

    def _acknowledged(self, node: str) -> None:
        self._quorum.acknowledged(node)
        if self._quorum.everywhere():
            took = self._around.clock.now() - self._started
            for one in self._begun:
                if one.alone is None:
                    self._around.convergence.replicated(took)

    def _too_late(self) -> None:
        """Not enough within the hedge delay; or until the deadline, if there is nobody to stand in for who lags."""
        around, (ask, *_) = self._around, self._asks
        left = self._deadline - around.clock.now()
        if left > 0 and not (ask.levels.sloppy and any(map(around.transport.available, ask.plan.fallbacks))):
            self._timer = around.loop.call_later(left, self._too_late)
            return
        for one in self._begun:
            self._leave(one).hedge()
        self._consider()

    def _leave(self, one: Begun) -> WriteRequest:
        """The write by itself, in the state that all are in now."""
        if one.alone is None:
            ask = one.ask
            one.alone = WriteRequest(self._around, ask.write, ask.levels, ask.conflict, ask.plan, None)
            durable_at = [node for node, said in self._quorum.replicas.items() if said == "ok"]
            answered = self._settled.done()
            one.alone.take_over(one.written, durable_at, self._waiting, self._deadline, answered=answered)
        return one.alone

    def _consider(self) -> None:
        if not self._settled.done() and (self._quorum.enough() or all(one.alone is not None for one in self._begun)):
            self._settled.set_result(None)


async def _finished(alone: WriteRequest) -> WriteResult | Exception:
    try:
        return await alone.finish()
    except DynkvError as error:
        return error
