"""One increment, sent again through other nodes while its first coordinator is dead or cut off, counts once, however
many other updates come between. Runs are made to remember three updates here instead of 128, so that "many" is soon.

The window that the package's text leaves open is here too, so that nobody takes it for closed.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.core.record import Record, merge
from dynkv.core.types import lineage
from dynkv.core.types.counter import Counter
from dynkv.core.types.operation import KINDS
from dynkv.core.types.reading import read
from tests.property.types_histories import applied

NODES = 3
RECENT = 3


@pytest.fixture(autouse=True, scope="module")
def _short_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lineage, "RECENT", RECENT)
        yield


class Cluster:
    """Copies that hear of each other at once unless one is away (cut off, or dead)."""

    def __init__(self) -> None:
        self.copies: list[Record | None] = [None] * NODES
        self.actors = [(number + 1) * 1000 for number in range(NODES)]
        self.away: set[int] = set()
        self.doubts: list[set[bytes]] = [set() for _ in range(NODES)]
        self.writes = 0

    def increment(self, node: int, write: int, *, repeated: bool = False) -> None:
        doubts = frozenset(self.doubts[node])
        write_id = b"w%d" % write
        self.copies[node] = applied(
            self.copies[node],
            "counter",
            {"increment": 1},
            self.actors[node],
            write_id,
            repeated=repeated,
            doubts=doubts,
        )
        if node not in self.away:
            self.settle()

    def settle(self) -> None:
        """Whoever is not away hears of all who are not."""
        present = [node for node in range(NODES) if node not in self.away]
        for _ in present:
            for one in present:
                for other in present:
                    ours, theirs = self.copies[one], self.copies[other]
                    if theirs is not None:
                        self.copies[one] = theirs if ours is None else merge(ours, theirs)

    def fresh(self) -> int:
        self.writes += 1
        return self.writes

    def values(self) -> list[int]:
        states = [read(copy, KINDS["counter"]) for copy in self.copies]
        return [0 if state is None else state.show() for state in states]


nodes = st.integers(0, NODES - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("increment"), nodes, st.integers(1, 5)),
        st.tuples(st.sampled_from(["dies", "cut off"]), nodes, st.integers(1, 3)),
        st.tuples(st.just("back"), nodes, st.just(0)),
    ),
    max_size=25,
)
Steps = list[tuple[str, int, int]]


def play(cluster: Cluster, steps: Steps) -> None:
    """Two of three at least are never away. Who is cut off goes on with what reaches it; who is dead does nothing."""
    dead: set[int] = set()
    for what, node, count in steps:
        others = [other for other in range(NODES) if other not in cluster.away and other != node]
        if what == "increment":
            for _ in range(count):
                cluster.increment(others[0] if node in dead else node, cluster.fresh())
        elif what == "back":
            cluster.away.discard(node)
            dead.discard(node)
            cluster.settle()
        elif not cluster.away:
            cluster.away.add(node)
            for _ in range(count):
                write = cluster.fresh()
                cluster.increment(node, write)  # nobody hears of it, and neither does the client: it asks another
                cluster.increment(others[0], write, repeated=True)
                if what == "cut off":
                    cluster.doubts[node].add(lineage.hash_of(b"w%d" % write))
            if what == "dies":
                cluster.actors[node] += 1  # whatever it counted under is frozen now
                dead.add(node)
    cluster.away.clear()
    cluster.settle()


STORIES = settings(max_examples=400)


@STORIES
@given(steps)
def test_each_write_counts_once_wherever_else_it_was_repeated(steps: Steps) -> None:
    cluster = Cluster()
    play(cluster, steps)
    assert cluster.values() == [cluster.writes] * NODES
    for _ in range(2 * RECENT):
        for node in range(NODES):
            cluster.increment(node, cluster.fresh())
    assert cluster.values() == [cluster.writes] * NODES


def test_of_two_runs_with_one_write_the_larger_takes_its_own_back() -> None:
    cluster = Cluster()
    play(cluster, [("cut off", 0, 2), ("back", 0, 0)])
    assert cluster.values() == [2] * NODES
    cluster.increment(1, cluster.fresh())
    copy = cluster.copies[0]
    state = read(copy, KINDS["counter"])
    assert state is not None
    assert isinstance(state.body, Counter)
    assert [(share.base, [by for _, by in share.deltas]) for share in state.body.shares] == [(0, [1, 1]), (0, [1])]
    assert [len(run.kept) for run in state.runs] == [0, 0], (
        "what was taken back needs no memory beyond the last updates"
    )
    assert cluster.values() == [3] * NODES


def not_said_to_be_repeated() -> Cluster:
    """The node with the larger run died, so its run stays as it is for good; nobody said that a write was repeated."""
    cluster = Cluster()
    cluster.away.add(2)
    cluster.increment(2, cluster.fresh())
    cluster.increment(0, cluster.writes)
    cluster.actors[2] += 1
    cluster.away.clear()
    cluster.settle()
    for _ in range(5 * RECENT):
        cluster.increment(0, cluster.fresh())
    return cluster


def test_what_another_run_shows_too_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = not_said_to_be_repeated()
    assert cluster.values() == [cluster.writes] * NODES
    monkeypatch.setattr(lineage, "find", lambda runs, write: None)
    assert not_said_to_be_repeated().values() == [cluster.writes + 1] * NODES, "without the rule it counts twice"


STORY: Steps = [("dies", 0, 1), *([("increment", 1, 5)] * 3), ("back", 0, 0)]
DOUBTFUL: Steps = [("cut off", 0, 1), *([("increment", 0, 5)] * 3), ("back", 0, 0)]


def _extended_without(**replaced: object) -> Callable[..., lineage.Extended]:
    real = lineage.extended

    def extended(*args: object, **said: object) -> lineage.Extended:
        return real(*args, **(said | replaced))  # type: ignore[arg-type]  # what it was called with, but for one

    return extended


@pytest.mark.parametrize(
    ("story", "replaced"),
    [(STORY, {"repeated": False}), (DOUBTFUL, {"doubted": lambda name: False})],
    ids=["repetitions are kept", "doubtful ones are kept"],
)
def test_it_counts_twice_without_the_rule_that(
    story: Steps, replaced: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    play(cluster, story)
    assert cluster.values() == [cluster.writes] * NODES
    monkeypatch.setattr(lineage, "extended", _extended_without(**replaced))
    broken = Cluster()
    play(broken, story)
    assert broken.values() == [broken.writes + 1] * NODES


def test_the_window_that_remains() -> None:
    """The first attempt went well, and its answer was lost; the client repeats it at a node that has heard nothing of
    it. That counts once, unless RECENT other updates came between at the first node, before it heard of the second."""
    for between, counted in ((RECENT - 1, 0), (RECENT, 1)):
        cluster = Cluster()
        cluster.away.add(0)
        cluster.increment(0, 0)
        for _ in range(between):
            cluster.increment(0, cluster.fresh())
        cluster.increment(1, 0, repeated=True)
        cluster.away.clear()
        cluster.settle()
        assert cluster.values() == [1 + between + counted] * NODES
