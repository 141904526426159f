"""Anti-entropy: comparing this node's partitions with those of its peers, and repairing what differs.

Each peer has a worker. Its step takes the pairs that are due (`antientropy.Schedule`), asks for all their roots in one
message, and runs an `antientropy.Exchange` for each pair that is not the same: all of them side by side, so that they
wait for writes under way together, but few at a time list keys and repair, each to its end before the next: of a node
that is being refilled one partition after the other counts again. What an exchange asks for is done here: questions to
the peer, listings of our own keys, the wait, repairs. What is decided is decided there.

Two exchanges of one partition do not run at once, so that a node that is being refilled does not fetch everything from
two peers; the later one comes again shortly.

A tree may lose its worth while an exchange is at work on it (a failed disk, a census that found it wrong): it is looked
at before every step and at the end, and the exchange ends as unknown, never as in step.
"""

import asyncio
from collections import defaultdict
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from antientropy import (
    Action,
    AskKeys,
    AskLeaves,
    AskRoot,
    Budget,
    Exchange,
    Finish,
    Inner,
    Keys,
    Leaves,
    ListOwn,
    Outcome,
    Pair,
    Repair,
    Result,
    Same,
    Schedule,
    Settle,
    Unknown,
    unpack_nodes,
)
from antientropy.steps import Counts
from dynkv.peer import messages
from dynkv.peer.asking import ask
from dynkv.peer.messages import Request
from dynkv.peer.transport import Failure, Transport
from dynkv.peer.transport import Outcome as Heard
from dynkv.peer.wire import answer_bytes, request_bytes
from dynkv.repair.journal import Journal, Moved
from dynkv.repair.listing import Lister, Unreadable
from dynkv.repair.pairing import Pairing
from dynkv.repair.reconcile import Reconciler
from dynkv.repair.refill import Refill
from dynkv.runtime import Clock, Slices, pause
from dynkv.trees import Trees
from dynkv.worker import IDLE, Found

# Longer than a write is on its way between two healthy replicas.
SETTLE_S = 0.25
TIMEOUT_S = 10.0
RETRY_S = 1.0
# A pair whose tree cannot be trusted, here or there, is asked about again after so long.
RETRY_UNKNOWN_S = 2.0
BUSY_RETRY_S = 0.2
# With one peer: exchanges that list keys and repair, and questions for leaves.
AT_ONCE = 2
LEAVES_AT_ONCE = 4
REBUILT = "here: the tree is being rebuilt"

log = structlog.get_logger("dynkv.exchange")


class Running(msgspec.Struct):
    """An exchange under way, for people; `step` as in `survey.Running`."""

    pair: Pair
    began_ms: int
    exchange: Exchange
    moved: Moved
    mark: int
    step: str = "roots"


class Traffic(NamedTuple):
    """How fast repair may go: one budget for all peers. `busy`: partitions that an exchange is at work on."""

    budget: Budget
    busy: set[int]


class Comparer:
    """The comparisons that this node begins. `step` is a worker's step, one worker a peer."""

    def __init__(
        self,
        *,
        trees: Trees,
        pairing: Pairing,
        refill: Refill,
        lister: Lister,
        reconciler: Reconciler,
        transport: Transport,
        clock: Clock,
        journal: Journal,
        cycle_s: float,
        budget: Budget,
    ) -> None:
        self.schedule = Schedule(cycle_s, open_max=messages.ROOTS_MAX)
        self.running: dict[Pair, Running] = {}
        self.doubtful: set[int] = set()
        """Partitions of which a tree may be wrong: leaves differ, and no key does. A scrub should look at them."""
        self._trees = trees
        self._pairing = pairing
        self._refill = refill
        self._lister = lister
        self._reconciler = reconciler
        self._transport = transport
        self._clock = clock
        self._journal = journal
        self._traffic = Traffic(budget, set())
        self._few: dict[str, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, AT_ONCE))
        self._few_leaves: dict[str, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, LEAVES_AT_ONCE))
        self._scheduled: object = None
        self._news: object = None

    def hurry(self, peer: str | None = None, partition: int | None = None) -> int:
        """Make matching comparisons due at once; how many."""
        self._reschedule()
        return self.schedule.hurry(self._clock.now(), peer, partition)

    async def step(self, peer: str) -> Found:
        """Run the comparisons with `peer` that are due."""
        self._reschedule()
        if not self._transport.available(peer):
            return IDLE
        now = self._clock.now()
        pairs = self.schedule.due(now, (peer,), messages.ROOTS_MAX)
        if not pairs:
            return IDLE
        self.schedule.began(pairs, now)
        free: list[Pair] = []
        for pair in pairs:
            if pair.partition in self._traffic.busy:
                self.schedule.ended(pair, now, False, BUSY_RETRY_S)
            else:
                free.append(pair)
        taken = {pair.partition for pair in free}
        self._traffic.busy.update(taken)
        try:
            spent = await self._compare(peer, free)
        finally:
            self._traffic.busy.difference_update(taken)
            for pair in free:  # of one that has ended this says nothing
                self.schedule.ended(pair, self._clock.now(), False, RETRY_UNKNOWN_S)
        return self._traffic.budget.spend(spent, self._clock.now())

    # --- a batch ------------------------------------------------------------------------------------------------------

    async def _compare(self, peer: str, pairs: list[Pair]) -> int:
        """Compare these and repair; bytes that went over the wire, about."""
        began_ms = self._clock.wall_ms()
        batch: list[Running] = []
        slices = Slices(self._clock)
        for pair in pairs:
            tree = self._trees.tree(pair.partition, pair.n)
            if isinstance(tree, str):
                self._end_unknown(pair, began_ms, f"here: {tree}")
            else:
                exchange = Exchange(tree, partial(self._lister.name_of, pair.partition, pair.n))
                batch.append(Running(pair, began_ms, exchange, Moved(), self._refill.mark(pair.partition)))
            await slices.end()
        spent = 0
        for refilling in (True, False):
            some = [running for running in batch if self._refill.lacking(running.pair.partition) is refilling]
            if some:
                spent += await self._ask_roots(peer, some, refilling)
        self.running.update({running.pair: running for running in batch})
        try:
            return spent + sum(await asyncio.gather(*map(self._run, batch)))
        finally:
            for running in batch:
                self.running.pop(running.pair, None)

    async def _ask_roots(self, peer: str, batch: list[Running], refilling: bool) -> int:
        roots = [messages.Root(one.pair.partition, one.pair.n, one.exchange.tree.root) for one in batch]
        question = messages.Compare(tuple(roots), refilling)
        heard = await ask(self._transport, peer, question, TIMEOUT_S)
        if not isinstance(heard, messages.Compared):
            for one in batch:
                one.exchange.failed(_words(heard))
            return request_bytes(question)
        said = {(one.partition, one.n): one for one in heard.comparisons}
        for one in batch:
            comparison = said.get((one.pair.partition, one.pair.n))
            if comparison is None:
                one.exchange.failed("an answer that does not fit the question")
            elif comparison.why:
                one.exchange.heard(Unknown(f"{peer}: {comparison.why}"))
            elif comparison.inner:
                one.exchange.heard(_unpacked(Inner, comparison.inner))
            else:
                one.exchange.heard(Same())
        return request_bytes(question) + answer_bytes(heard)

    # --- one exchange -------------------------------------------------------------------------------------------------

    async def _run(self, running: Running) -> int:
        """Run an exchange to its end, and note what came of it; bytes, about."""
        exchange, pair = running.exchange, running.pair
        spent = 0
        try:
            spent += await self._until(running, (AskKeys, Finish))
            if not isinstance(exchange.action, Finish):
                async with self._few[pair.peer]:
                    spent += await self._until(running, (Finish,))
        except Unreadable as error:
            exchange.unknown(f"here: {error}")
        except Exception as error:  # a defect: this pair is not compared, and the others shall be
            log.error("an exchange failed", peer=pair.peer, partition=pair.partition, exc_info=error)
            exchange.failed(f"a defect: {type(error).__name__}")
        assert isinstance(exchange.action, Finish)
        result = exchange.action.result
        if result.whole and not self._trusted(running):
            result = Result(Outcome.UNKNOWN, REBUILT, result.counts)
        self._ended(running, result)
        return spent

    async def _until(self, running: Running, ends: tuple[type[Action], ...]) -> int:
        """Do what the exchange asks for until it asks for one of `ends`; bytes, about, without those of repairs."""
        exchange = running.exchange
        spent = 0
        while not isinstance(exchange.action, ends):
            if not self._trusted(running):
                exchange.unknown(REBUILT)
            else:
                spent += await self._do(running, exchange.action)
        return spent

    def _trusted(self, running: Running) -> bool:
        """Whether the tree that the exchange began with is still what is believed."""
        return self._trees.tree(running.pair.partition, running.pair.n) is running.exchange.tree

    async def _do(self, running: Running, action: Action) -> int:
        """Do what the exchange asks for, and tell it; bytes of questions and answers."""
        exchange, (partition, n, peer) = running.exchange, running.pair
        match action:
            case AskLeaves(inner):
                running.step = "leaves"
                async with self._few_leaves[peer]:  # of all partitions at once they would be a long turn for the peer
                    return await self._ask(running, messages.TreeLeaves(partition, n, inner))
            case Settle():
                running.step = "settle"
                if not self._refill.lacking(partition):  # whoever lost data need not wait for writes under way
                    await pause(SETTLE_S)
                exchange.settled()
            case AskKeys(leaves, after):
                running.step = "keys"
                return await self._ask(running, messages.ListKeys(partition, n, leaves, after))
            case ListOwn(leaves, after, until):
                entries, reached = await self._lister.page(partition, n, leaves, after, until)
                exchange.listed(entries, reached)
            case Repair(differences):
                running.step = "repair"
                self._journal.found_apart(running.pair, exchange.counts, exchange.leaves)
                urgent = self._refill.lacking(partition)
                skipped = await self._reconciler.repair(peer, partition, differences, running.moved, urgent=urgent)
                exchange.repaired(skipped)
            case AskRoot() | Finish():
                raise AssertionError("asked for already, or over")
        return 0

    async def _ask(self, running: Running, question: Request) -> int:
        heard = await ask(self._transport, running.pair.peer, question, TIMEOUT_S)
        exchange = running.exchange
        match heard:
            case messages.Leaves(nodes):
                exchange.heard(_unpacked(Leaves, nodes))
            case messages.Keys(entries, until):
                exchange.heard(Keys(entries, until))
            case messages.Failed("unknown", why):
                exchange.heard(Unknown(f"{running.pair.peer}: {why}"))
            case _:
                exchange.failed(_words(heard))
                return request_bytes(question)
        return request_bytes(question) + answer_bytes(heard)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _ended(self, running: Running, result: Result) -> None:
        pair = running.pair
        self.running.pop(pair, None)
        self._traffic.busy.discard(pair.partition)
        unknown = result.outcome in (Outcome.UNKNOWN, Outcome.FAILED)
        self.schedule.ended(pair, self._clock.now(), result.whole, RETRY_UNKNOWN_S if unknown else RETRY_S)
        self._journal.ended(pair, running.began_ms, result, running.moved)
        if result.whole:
            self._refill.compared(pair, running.mark)
        if result.counts.leaves and not result.counts.keys and not unknown:
            self.doubtful.add(pair.partition)

    def _end_unknown(self, pair: Pair, began_ms: int, why: str) -> None:
        self.schedule.ended(pair, self._clock.now(), False, RETRY_UNKNOWN_S)
        self._journal.ended(pair, began_ms, Result(Outcome.UNKNOWN, why, Counts()), Moved())

    def _reschedule(self) -> None:
        """Compare what is this node's to compare as things are now, and at once what is new: the cluster has just been
        formed, a bucket has an n that none had, or something was lost."""
        news = (self._pairing.formed, self._refill.losses, self._pairing.ns())
        situation = (news, self._refill.done)
        if situation == self._scheduled:
            return
        self._scheduled = situation
        now = self._clock.now()
        pairs = frozenset(self._pairing.pairs(self._refill.lacking))
        self.schedule.set_pairs(pairs, now)
        self._journal.keep(pairs)
        if news != self._news:
            self._news = news
            self.schedule.hurry(now)


def _unpacked(kind: type[Inner] | type[Leaves], nodes: bytes) -> Inner | Leaves:
    try:
        return kind(unpack_nodes(nodes))
    except ValueError:
        return kind(())  # no whole number of nodes: never the right number of them


def _words(heard: Heard) -> str:
    if isinstance(heard, Failure):
        return f"no answer: {heard.kind}"
    return str(getattr(heard, "detail", "an answer that does not fit the question"))
