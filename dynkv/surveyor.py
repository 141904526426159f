"""This node's own survey: what it says of itself when somebody looks, gathered from its parts at that moment."""

from collections.abc import Callable, Sequence

from dynkv.core.survey import (
    Compared,
    Convergence,
    Differing,
    Load,
    NodeSurvey,
    Owed,
    PeerView,
    Refill,
    Running,
    Scrub,
    Tombstones,
    Totals,
    Trees,
)
from dynkv.hints import HintBook
from dynkv.identity import Identity
from dynkv.meter import Meter
from dynkv.peer.transport import Transport
from dynkv.runtime import Clock
from dynkv.trees import Trees as HashTrees
from dynkv.upkeep import Upkeep

DIFFERING_MAX = 64
RUNNING_MAX = 64


class Surveyor:
    """`survey` makes one. `ready`: why the node takes no requests."""

    def __init__(
        self,
        *,
        identity: Identity,
        trees: HashTrees,
        hints: HintBook,
        upkeep: Upkeep,
        meter: Meter,
        transport: Transport,
        clock: Clock,
        cycle_s: float,
        ready: Callable[[], Sequence[str]],
    ) -> None:
        self._identity = identity
        self._start = identity.start_count  # not as of now: the journal's numbers go on when the node counts on
        self._trees = trees
        self._hints = hints
        self._upkeep = upkeep
        self._meter = meter
        self._transport = transport
        self._clock = clock
        self._cycle_s = cycle_s
        self._ready = ready

    def survey(self) -> NodeSurvey:
        """Everything, as of now."""
        identity, journal = self._identity, self._upkeep.journal
        pairs, whys = self._pairs()
        return NodeSurvey(
            node=identity.node,
            start=self._start,
            wall_ms=self._clock.wall_ms(),
            cycle_s=self._cycle_s,
            complete=identity.complete,
            not_ready=tuple(reason[:512] for reason in self._ready())[:16],
            refill=self._refill(),
            trees=self._of_trees(),
            load=Load(*self._meter.requests()),
            peers=tuple(
                PeerView(node, peer.state, peer.latency_ms, peer.last_heard_s)
                for node, peer in sorted(self._transport.peers().items())
            ),
            hints=self._owed(),
            whys=whys,
            pairs=pairs,
            differing=self._differing(),
            running=self._running(),
            log=tuple(journal.log),
            totals=self._totals(),
            convergence=tuple(
                Convergence(mechanism, tuple(histogram.counts))
                for mechanism, histogram in journal.convergence.histograms.items()
            ),
            tombstones=Tombstones(tuple(sorted(self._upkeep.reaper.counts().items())), self._upkeep.reaper.reaped),
            scrub=self._scrub(),
        )

    def _refill(self) -> Refill | None:
        if self._identity.complete:
            return None
        done, total = self._upkeep.refill.progress()
        return Refill(done, total, self._upkeep.refill.began_ms)

    def _of_trees(self) -> Trees:
        exact = building = unreadable = 0
        for partition in range(self._trees.partitions):
            if not self._trees.exact(partition):
                building += 1
            elif self._trees.unreadable(partition):
                unreadable += 1
            else:
                exact += 1
        fraction = 1.0 - building / self._trees.partitions
        return Trees(exact, building, unreadable, fraction, "damaged records are being replaced" if unreadable else "")

    def _owed(self) -> tuple[Owed, ...]:
        return tuple(
            Owed(target, owed.count, owed.bytes, owed.oldest_ms, max(0.0, self._meter.paid_per_s(target)))
            for target, owed in sorted(self._hints.backlogs.items())
        )

    def _pairs(self) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
        whys: dict[str, int] = {}
        pairs = []
        for pair, standing in self._upkeep.journal.standings.items():
            why = -1
            if standing.why and len(whys) < 256:
                why = whys.setdefault(standing.why[:512], len(whys))
            pairs.append(
                Compared(
                    pair.partition,
                    pair.n,
                    pair.peer,
                    standing.state,
                    standing.apart,
                    standing.compared_ms,
                    standing.tried_ms,
                    why,
                )
            )
        return tuple(pairs), tuple(whys)

    def _differing(self) -> tuple[Differing, ...]:
        found = [
            Differing(pair.partition, pair.n, pair.peer, standing.found_ms, standing.leaves_total, standing.leaves)
            for pair, standing in self._upkeep.journal.standings.items()
            if standing.leaves
        ]
        found.sort(key=lambda one: -one.found_ms)
        return tuple(found[:DIFFERING_MAX])

    def _running(self) -> tuple[Running, ...]:
        return tuple(
            Running(
                *running.pair,
                running.began_ms,
                running.step,
                running.exchange.counts.repaired,
                running.exchange.counts.keys,
            )
            for running in list(self._upkeep.comparer.running.values())[:RUNNING_MAX]
        )

    def _totals(self) -> Totals:
        journal, moved = self._upkeep.journal, self._upkeep.journal.moved
        return Totals(
            journal.comparisons,
            moved.keys_pulled,
            moved.keys_pushed,
            moved.bytes_pulled,
            moved.bytes_pushed,
            max(0.0, self._meter.repaired_per_s()),
        )

    def _scrub(self) -> Scrub:
        scrub, repaired = self._upkeep.scrub, self._upkeep.damaged.replaced
        # What no replica holds is not waited for, so it is in neither number; the log and a metric tell of it.
        left = sum(len(self._trees.unreadable(partition)) for partition in range(self._trees.partitions))
        return Scrub(scrub.cycle, scrub.fraction(), scrub.read, repaired + left, repaired)
