"""Sessions over the real coordinators, while nodes come and go and messages are lost: no guarantee is ever broken.

A walk is drawn from its number. Whoever is told "behind" or "quorum unmet" was told the truth and goes on elsewhere.
"""

import itertools
from collections.abc import Sequence

import pytest

from dynkv.coordinator.hold import Subject
from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.results import ReadResult
from dynkv.coordinator.session import Reader
from dynkv.core import record as records
from dynkv.core.errors import QuorumUnmet, ServiceError, SessionBehind
from dynkv.core.levels import Levels
from dynkv.core.record import Sibling
from dynkv.core.session import Demand
from dynkv.peer.transport import Failure
from dynkv.runtime import SeededRandom
from tests.unit.cluster_in_memory import BUCKET, Caller, Cluster, Verdict, run
from tests.unit.session_told import TellTale, Told
from tests.unit.visitors import Visitor

STEPS = 120
KEYS = ("k1", "k2")


class Walk:
    """One walk over five nodes."""

    def __init__(self, number: int) -> None:
        self.chance = SeededRandom(f"walk {number}")
        self.cluster = Cluster(5)
        self.cluster.hedge_s = 0.002
        self.told = {key: Told() for key in KEYS}
        self.visitors = [(Visitor(self.cluster), TellTale()) for _ in range(3)]
        self.contexts: dict[tuple[int, str], tuple[tuple[tuple[int, int], ...], frozenset[bytes]]] = {}
        self.count = {"read": 0, "written": 0, "behind": 0, "unmet": 0}
        self.attempts = 0
        self.dots: dict[bytes, int] = {}  # by write id: the actor that counted it first
        self.loss = 0.0
        self.cluster.rule = self.rule

    def odds(self, chance: float) -> bool:
        return self.chance.uniform(0, 1) < chance

    def below(self, count: int) -> int:
        return self.chance.u64() % count

    def rule(self, call: Caller) -> Verdict:
        return Failure("timed out", reached=True) if self.odds(self.loss) else None

    async def run(self) -> None:
        for _ in range(STEPS):
            if self.odds(0.3):
                self.cluster.away = {name for name in self.cluster.names if self.odds(0.3)}
                self.loss = self.chance.uniform(0, 0.3) if self.odds(0.5) else 0.0
            await self.step()
            self.check_copies()
        await self.heal()

    async def step(self) -> None:
        number, key = self.below(len(self.visitors)), KEYS[self.below(len(KEYS))]
        near = [name for name in self.cluster.names if name not in self.cluster.away]
        if not near:
            return
        at = near[self.below(len(near))]
        try:
            if self.odds(0.5):
                await self.read(number, key, at)
            else:
                await self.write(number, key, at)
        except SessionBehind:
            self.count["behind"] += 1
        except ServiceError:
            self.count["unmet"] += 1

    async def read(self, number: int, key: str, at: str, r: int | None = None) -> None:
        visitor, tale = self.visitors[number]
        before = visitor.session.demand(BUCKET, key.encode())
        shown = await visitor.get(at, key.encode(), r=r or 1 + self.below(2), sloppy=self.odds(0.7))
        values = [value for value in shown if value is not None]
        self.contexts[number, key] = (
            visitor.session.demand(BUCKET, key.encode()).vector,
            tale.is_shown(self.told[key], key, values),
        )
        assert values or not before.vector
        self.count["read"] += 1

    async def write(self, number: int, key: str, at: str) -> None:
        visitor, tale = self.visitors[number]
        self.attempts += 1
        value = b"%d/%d" % (number, self.attempts)
        context, replaced = self.contexts.get((number, key), ((), frozenset())) if self.odds(0.4) else ((), frozenset())
        told = self.told[key]
        told.writes(value, {*replaced, *tale.wrote.get(key, ())}, tale.seen.get(key, ()))
        levels = self.cluster.levels(w=1 + self.below(2), sloppy=self.odds(0.8))
        try:
            await visitor.put(at, key.encode(), value, context=context, levels=levels, write_id=value)
        except QuorumUnmet as error:
            if error.outcome == "not_applied":
                raise
            at = self.cluster.names[self.below(5)]
            await visitor.put(at, key.encode(), value, context=context, levels=levels, write_id=value)
        tale.has_written(key, value)
        self.count["written"] += 1

    def check_copies(self) -> None:
        for key, told in self.told.items():
            held = {name: self.siblings(name, key.encode()) for name in self.cluster.names}
            for sibling in itertools.chain(*held.values()):
                if self.dots.setdefault(sibling.write_id, sibling.actor) != sibling.actor:
                    told.repeats(sibling.write_id)
            for name, siblings in held.items():
                told.check(f"{name}'s copy of {key}", {sibling.write_id for sibling in siblings})

    def siblings(self, name: str, key: bytes) -> Sequence[Sibling]:
        replica = self.cluster.nodes[name].replica
        copy = replica.read(replica.partition(BUCKET, key), BUCKET, key)
        return () if copy is None else records.decode(copy.record).siblings

    async def heal(self) -> None:
        """With everybody there no session is refused anything."""
        self.cluster.away, self.loss = set(), 0.0
        await self.cluster.pay()
        for key in KEYS:
            for number in range(len(self.visitors)):
                await self.read(number, key, self.cluster.names[number], r=2)


@pytest.mark.parametrize("number", range(24))
def test_no_guarantee_is_broken(number: int) -> None:
    async def main() -> None:
        walk = Walk(number)
        await walk.run()
        assert walk.count["read"] > 10, walk.count
        assert walk.count["written"] > 10, walk.count

    run(main)


def test_walks_meet_what_they_are_about() -> None:
    async def main() -> None:
        searches = behind = back = 0
        for number in range(100, 108):
            walk = Walk(number)
            await walk.run()
            behind += walk.count["behind"]
            nodes = walk.cluster.nodes.values()
            searches += sum(node.counters.session_searches for node in nodes)
            back += sum(node.counters.written_back for node in nodes)
        assert searches > 20, "replicas that know too little"
        assert behind > 5, "sessions that nobody can help"
        assert back > 10, "values that too few held"

    run(main)


async def knows_nothing(*_: object) -> None:
    """Instead of `catch_up`."""


async def plain_read(
    around: Surroundings, read: Reader, subject: Subject, levels: Levels, demand: Demand
) -> ReadResult:
    """Instead of `read_in_session`."""
    return await read(subject.bucket, subject.key, levels, subject.trace)


@pytest.mark.parametrize(
    ("where", "instead", "why"),
    [
        ("dynkv.coordinator.write.catch_up", knows_nothing, "what its session had seen|is back beside"),
        ("dynkv.coordinator.coordinator.read_in_session", plain_read, "read your writes|monotonic reads"),
    ],
    ids=["write", "read"],
)
def test_walks_turn_red_without(where: str, instead: object, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        for number in range(24):
            await Walk(number).run()

    monkeypatch.setattr(where, instead)
    with pytest.raises(AssertionError, match=why):
        run(main)
