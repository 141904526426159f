"""Surveys of clusters that are not there: healthy ones, and what can be wrong with them, for tests of what is shown."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from msgspec import structs

from dynkv.core.overview import overview
from dynkv.core.overview_rows import ClusterFacts, KnownMember, Overview
from dynkv.core.survey import (
    CONVERGENCE_BOUNDS_S,
    Compared,
    Convergence,
    Differing,
    Entry,
    Load,
    NodeSurvey,
    Owed,
    PairState,
    PeerView,
    Refill,
    Running,
    Scrub,
    Tombstones,
    Totals,
    Trees,
)
from ring.members import Member, MemberMap
from ring.placement import Placement

NOW_MS = 1_800_000_000_000
CYCLE_S = 60.0


class Told:
    """A cluster by its surveys, all well at first. Each method makes one thing different and returns this object."""

    def __init__(self, nodes: int = 3, partitions: int = 16, n: int = 3, asked: str = "n1") -> None:
        self.ids = [f"n{number}" for number in range(1, nodes + 1)]
        self.now_ms = NOW_MS
        placement = Placement(MemberMap(Member(name) for name in self.ids), partitions, n)
        preference = tuple(tuple(placement.preference(partition)) for partition in range(partitions))
        self.facts = ClusterFacts(
            node=asked,
            partitions=partitions,
            n=n,
            members=tuple(
                KnownMember(id=name, http=f"10.0.0.{number}:8101", region="eu", zone=f"z{number % 3 + 1}", host=name)
                for number, name in enumerate(self.ids, 1)
            ),
            preference=preference,
        )
        self.surveys: dict[str, NodeSurvey | None] = {name: self._well(name) for name in self.ids}
        self.whys: dict[str, str] = {}

    def overview(self) -> Overview:
        return overview(self.surveys, self.facts, self.now_ms, self.whys)

    def text(self) -> str:
        """The whole judgement: state, sentence and what is said below it, a line each."""
        verdict = self.overview().verdict
        return "\n".join((f"{verdict.state}: {verdict.text}", *verdict.also))

    # --- what can be different ----------------------------------------------------------------------------------------

    def change(self, name: str, **fields: Any) -> "Told":
        """Fields of one node's survey."""
        survey = self.surveys[name]
        assert survey is not None
        self.surveys[name] = structs.replace(survey, **fields)
        return self

    def pairs(self, how: Callable[[NodeSurvey, Compared], Compared]) -> "Told":
        """Every pair that is told, made anew by `how`."""
        for name, survey in self.surveys.items():
            if survey is not None:
                self.change(name, pairs=tuple(how(survey, pair) for pair in survey.pairs))
        return self

    def silent(self, name: str, state: str = "up", why: str = "") -> "Told":
        """`name` does not answer; the others see its link in this `state`."""
        self.surveys[name] = None
        if why:
            self.whys[name] = why
        for other in self.ids:
            self.sees(other, name, state)
        return self

    def sees(self, who: str, whom: str, state: str) -> "Told":
        survey = self.surveys[who]
        if survey is not None and who != whom:
            latency = 0.4 if state == "up" else None
            view = PeerView(whom, state, latency, 0.1 if state == "up" else 4.0)  # type: ignore[arg-type]  # as told
            peers = [view if peer.node == whom else peer for peer in survey.peers]
            self.change(who, peers=tuple(peers))
        return self

    def owes(self, who: str, target: str, count: int, paid_per_s: float = 0.0) -> "Told":
        owed = Owed(target, count, count * 1024, self.now_ms - 9_500, paid_per_s)
        survey = self.surveys[who]
        assert survey is not None
        return self.change(who, hints=(*survey.hints, owed))

    def apart(self, partition: int, a: str, b: str, keys: int, leaves: Sequence[int] = ()) -> "Told":
        """This pair was found apart by whoever compares it."""

        def worse(survey: NodeSurvey, pair: Compared) -> Compared:
            if pair.partition != partition or {survey.node, pair.peer} != {a, b}:
                return pair
            if leaves:
                found = Differing(partition, pair.n, pair.peer, self.now_ms - 2_000, len(leaves), tuple(leaves[:64]))
                self.change(survey.node, differing=(*survey.differing, found))
            return structs.replace(pair, state=PairState.APART, apart=keys)

        return self.pairs(worse)

    def repairing(self, partition: int, by: str, peer: str, done: int, total: int) -> "Told":
        running = Running(partition, self.facts.n, peer, self.now_ms - 1_500, "repair", done, total)
        return self.change(by, running=(running,))

    def refilling(self, name: str, done: int, total: int, for_s: float = 2.0) -> "Told":
        """`name` lost its data; every pair that it shares is unknown to the others."""
        for other in self.ids:
            if self.surveys[other] is not None:
                self.unknown(other, f"{name} is being refilled", lambda a, b: name in (a, b))
        refill = Refill(done, total, self.now_ms - int(for_s * 1000))
        return self.change(name, complete=False, refill=refill)

    def unknown(self, by: str, why: str, which: Callable[[str, str], bool]) -> "Told":
        survey = self.surveys[by]
        assert survey is not None
        whys = (*survey.whys, why)
        pairs = tuple(
            structs.replace(pair, state=PairState.UNKNOWN, why=len(whys) - 1) if which(by, pair.peer) else pair
            for pair in survey.pairs
        )
        return self.change(by, whys=whys, pairs=pairs)

    def building(self, name: str, fraction: float) -> "Told":
        survey = self.surveys[name]
        assert survey is not None
        trees = Trees(3, survey.trees.exact - 3, 0, fraction, "")
        for other in self.ids:
            if self.surveys[other] is not None:
                self.unknown(other, f"trees of {name} are being rebuilt", lambda a, b: name in (a, b))
        return self.change(name, trees=trees)

    # --- all well -----------------------------------------------------------------------------------------------------

    def _well(self, name: str) -> NodeSurvey:
        number = self.ids.index(name)
        mine = [partition for partition, nodes in enumerate(self.facts.preference) if name in nodes[: self.facts.n]]
        return NodeSurvey(
            node=name,
            start=3,
            wall_ms=self.now_ms,
            cycle_s=CYCLE_S,
            complete=True,
            not_ready=(),
            refill=None,
            trees=Trees(len(mine), 0, 0, 1.0, ""),
            load=Load(410.5 + 20 * number, 102.0 + 5 * number, 3.2 + 0.1 * number, 11.4 + number),
            peers=tuple(PeerView(other, "up", 0.4 + 0.05 * number, 0.1) for other in self.ids if other != name),
            hints=(),
            whys=(),
            pairs=tuple(self._compared(name)),
            differing=(),
            running=(),
            log=tuple(self._entries(name, 6)),
            totals=Totals(1200, 40, 12, 40_960, 12_288, 0.0),
            convergence=(
                Convergence("replication", (9000, 4000, 800, 60, 9, 2, 0, 0, 0, 0, 0, 0, 0)),
                Convergence("hint", (0, 0, 0, 3, 20, 90, 140, 30, 0, 0, 0, 0, 0)),
                Convergence("read repair", (2, 9, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
                Convergence("exchange", (0, 0, 0, 0, 1, 4, 20, 27, 0, 0, 0, 0, 0)),
            ),
            tombstones=Tombstones((("the grace period is not over", 41), ("n3 has not confirmed yet", 2)), 310),
            scrub=Scrub(2, 0.41, 82_000, 0, 0),
        )

    def _compared(self, name: str) -> list[Compared]:
        """The pairs that `name` compares; the oldest comparison of all is 58 s old."""
        found = []
        for partition, preference in enumerate(self.facts.preference):
            for number, (a, b) in enumerate(combinations(sorted(preference[: self.facts.n]), 2)):
                by, peer = (a, b) if (partition + number) % 2 else (b, a)
                if by == name:
                    age_ms = 58_000 - (partition * 7 + number * 13) % 58 * 1000
                    began = self.now_ms - age_ms
                    found.append(Compared(partition, self.facts.n, peer, PairState.IN_STEP, 0, began, began + 4, -1))
        return found

    def _entries(self, name: str, count: int) -> list[Entry]:
        others = [other for other in self.ids if other != name] or [name]
        ago_s = 7 + 3 * self.ids.index(name)
        return [
            Entry(
                number,
                self.now_ms - (count - number) * 60_000 - ago_s * 1000,
                "exchange",
                number % self.facts.partitions,
                others[number % len(others)],
                number % 4,
                number % 3,
                1024 * (number % 4 + number % 3),
                40 + 9 * number,
                "repaired",
            )
            for number in range(1, count + 1)
        ]


assert len(CONVERGENCE_BOUNDS_S) == 12  # as the fakes above have it
