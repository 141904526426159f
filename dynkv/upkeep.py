"""All that a node does in the background to keep replicas equal, wired: one worker for each thing to do.

    handoff to P          pays hints                     exchange with P       compares, and repairs what differs
    scrub                 checks records and trees       damaged records       replaces what the scrub found damaged
    refill                notes what nobody can refill   tombstones            reaps what nothing needs any more

The node adds its `marks`, which say nothing of replicas, so that all its work is started and shown in one place.

Nothing here decides: it makes the parts, gives them to each other, and answers peers' questions with them.
"""

from collections.abc import Awaitable, Callable

import structlog

from antientropy import Budget, Deference
from dynkv.config import AntiEntropy, Config
from dynkv.convergence import Convergence
from dynkv.hints import HintBook
from dynkv.inbound import Inbound, Reply
from dynkv.membership import Membership
from dynkv.peer.asking import ask
from dynkv.peer.messages import Compare, Hurried, Hurry, ListKeys, Request, TreeLeaves
from dynkv.peer.network import Network
from dynkv.peer.reaping_messages import Holding, Reap
from dynkv.repair.answers import ExchangeAnswers
from dynkv.repair.damaged import DamagedRecords
from dynkv.repair.exchange import Comparer
from dynkv.repair.handoff import Handoff, Rate
from dynkv.repair.holdings import Holdings
from dynkv.repair.journal import Journal
from dynkv.repair.listing import Lister
from dynkv.repair.pairing import Pairing
from dynkv.repair.reap import Pace, Reaper
from dynkv.repair.reconcile import Rate as RepairRate
from dynkv.repair.reconcile import Reconciler, Yielding
from dynkv.repair.refill import Persist, Refill
from dynkv.repair.scrub import Scrub
from dynkv.repair.strays import Strays
from dynkv.replica import Replica
from dynkv.runtime import Clock, Tasks
from dynkv.storage.base import Store
from dynkv.trees import Trees
from dynkv.worker import Found, Worker

log = structlog.get_logger("dynkv.upkeep")

HANDOFF_REST_S = 1.0
LOOK_S = 1.0
# From one look at what is due to be compared to the next.
EXCHANGE_REST_S = 0.25
UNCONFIRMED_REST_S = 0.1
HURRY_TIMEOUT_S = 2.0


def _repair_rate(settings: AntiEntropy, share: float) -> RepairRate:
    records_per_s, bytes_per_s = settings.records_per_s * share, settings.bytes_per_s * share
    return RepairRate(Budget(records_per_s, records_per_s / 100), Budget(bytes_per_s, bytes_per_s / 20))


class Upkeep:
    """One node's."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        replica: Replica,
        hints: HintBook,
        membership: Membership,
        network: Network,
        clock: Clock,
        tasks: Tasks,
        convergence: Convergence,
        persist: Persist,
        asked: Callable[[], int],
    ) -> None:
        """`asked`: how often clients have asked this node, or peers for theirs."""
        settings = config.antientropy
        identity, trees = replica.identity, replica.trees
        self._identity = identity
        self._node = config.id
        self._network = network
        self._tasks = tasks
        self._membership = membership
        self.journal = Journal(clock, convergence)
        self.pairing = Pairing(config.id, membership, trees.partitions)
        self.refill = Refill(identity, trees.partitions, self.pairing.needs, persist, clock)
        rate, gently = _repair_rate(settings, 1.0), _repair_rate(settings, settings.share_beside_clients)
        deference = Deference()
        yielding = Yielding(lambda: deference.due(asked(), clock.now()), gently)
        lister = Lister(store, trees, lambda bucket: membership.bucket(bucket).n, clock)
        self.answers = ExchangeAnswers(identity, trees, lister, self.pairing.holds, tasks, clock)
        self.comparer = Comparer(
            trees=trees,
            pairing=self.pairing,
            refill=self.refill,
            lister=lister,
            reconciler=Reconciler(replica, network, clock, convergence, rate, yielding),
            transport=network,
            clock=clock,
            journal=self.journal,
            cycle_s=settings.cycle_s,
            budget=rate.bytes,
        )
        self.holdings = Holdings(store, replica, hints, membership)
        self.reaper = self._make_reaper(config, replica, clock)
        self.strays = Strays(replica, hints, membership, self.journal, self.pairing.holds)
        self.scrub = self._make_scrub(config, store, replica, trees, clock)
        self.damaged = DamagedRecords(replica, trees, network, self.journal, self._other_primaries)
        self.handoffs = [
            self._handoff(config, target, store, replica, hints, clock)
            for target in config.members
            if target != config.id
        ]
        self.workers = self._make_workers()

    def answer_peers(self, inbound: Inbound) -> None:
        """Have peers' questions about comparisons and tombstones answered."""
        inbound.serve(Compare, self.answers.compare)
        inbound.serve(TreeLeaves, self.answers.leaves)
        inbound.serve(ListKeys, self.answers.keys)
        inbound.serve(Hurry, self._hurry)
        inbound.serve(Holding, self.holdings.serve_holding)
        inbound.serve(Reap, self.holdings.serve_reap)

    def start(self) -> None:
        """Begin to work."""
        for worker in self.workers:
            worker.start(self._tasks)
        self._network.on_change(self._peer_changed)

    async def run(self, partition: int | None, node: str | None) -> dict[str, int | None]:
        """Have matching comparisons made now, by whichever node makes them: how many each node has begun to make; None
        for a node that did not answer."""
        begun: dict[str, int | None] = {self._node: self._hurry_own(partition, node)}
        question = Hurry(-1 if partition is None else partition, node or "")
        for peer in sorted(self._network.peers()):
            answer = await ask(self._network, peer, question, HURRY_TIMEOUT_S)
            begun[peer] = answer.pairs if isinstance(answer, Hurried) else None
        return begun

    # --- making -------------------------------------------------------------------------------------------------------

    def _make_scrub(self, config: Config, store: Store, replica: Replica, trees: Trees, clock: Clock) -> Scrub:
        settings = config.antientropy
        return Scrub(
            store,
            trees,
            self.refill,
            clock,
            self.journal,
            doubtful=self.comparer.doubtful,
            rate=Budget(settings.scrub_bytes_per_s, settings.scrub_bytes_per_s / 4),
            cycle_s=settings.scrub_cycle_s,
            on_record=self.strays.look,
            on_tombstone=self.reaper.candidate,
            on_damage=replica.doubt_copy,
        )

    def _handoff(
        self, config: Config, target: str, store: Store, replica: Replica, hints: HintBook, clock: Clock
    ) -> Handoff:
        return Handoff(
            target,
            store=store,
            replica=replica,
            hints=hints,
            transport=self._network,
            clock=clock,
            convergence=self.journal.convergence,
            rate=Rate(config.handoff.records_per_s, config.handoff.bytes_per_s),
            members=tuple(config.members),
            is_primary=lambda bucket, key: self._membership.is_primary(config.id, bucket, key),
        )

    def _make_reaper(self, config: Config, replica: Replica, clock: Clock) -> Reaper:
        settings = config.tombstones
        reaper = Reaper(
            config.id,
            replica=replica,
            membership=self._membership,
            holdings=self.holdings,
            transport=self._network,
            clock=clock,
            journal=self.journal,
            pace=Pace(settings.grace_s, settings.quiet_s, settings.keys_per_s),
        )
        replica.on_tombstone = reaper.on_tombstone
        return reaper

    def _make_workers(self) -> list[Worker]:
        self._by_peer: dict[str, list[Worker]] = {}
        for handoff in self.handoffs:
            self._by_peer[handoff.target] = [
                Worker(f"handoff to {handoff.target}", self._hands_off(handoff), rest_s=HANDOFF_REST_S),
                Worker(f"exchange with {handoff.target}", self._compares(handoff.target), rest_s=EXCHANGE_REST_S),
            ]
        return [
            *(worker for workers in self._by_peer.values() for worker in workers),
            Worker("scrub", self.scrub.step, rest_s=LOOK_S),
            Worker("damaged records", self.damaged.step, rest_s=LOOK_S),
            Worker("refill", self.refill.step, rest_s=LOOK_S),
            Worker("tombstones", self.reaper.step, rest_s=LOOK_S),
        ]

    # A data directory may be an old copy, with values that were deleted since. Until peers have said that they know of
    # no later life of this node it gives nothing away (see inbound for what it is asked).

    def _hands_off(self, handoff: Handoff) -> Callable[[], Awaitable[Found]]:
        async def step() -> Found:
            return await handoff.step() if self._identity.confirmed else UNCONFIRMED_REST_S

        return step

    def _compares(self, peer: str) -> Callable[[], Awaitable[Found]]:
        async def step() -> Found:
            return await self.comparer.step(peer) if self._identity.confirmed else UNCONFIRMED_REST_S

        return step

    # --- news ---------------------------------------------------------------------------------------------------------

    def _peer_changed(self, peer: str, available: bool) -> None:
        if available:
            self.comparer.hurry(peer)  # whatever it missed is found at once
            self.reaper.hurry()
            for worker in self._by_peer[peer]:
                worker.wake()

    def _hurry(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        assert isinstance(request, Hurry)
        partition = None if request.partition < 0 else request.partition
        reply(Hurried(self._hurry_own(partition, request.node or None)))

    def _hurry_own(self, partition: int | None, node: str | None) -> int:
        """Of a node's comparisons: those that others make with it, and all that it makes itself."""
        due = self.comparer.hurry(None if node == self._node else node, partition)
        for workers in self._by_peer.values():
            for worker in workers:
                worker.wake()
        return due

    def _other_primaries(self, bucket: str, key: bytes) -> tuple[str, ...]:
        plan = self._membership.plan(bucket, key, self._membership.bucket(bucket).n)
        return tuple(node for node in plan.primaries if node != self._node)
