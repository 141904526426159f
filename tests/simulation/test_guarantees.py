"""The judge of sessions, held against histories that are known: what is promised is found broken where it is."""

from collections.abc import Sequence

import pytest

from dynkv.core.record import Vector
from dynkv.sim.guarantees import broken
from dynkv.sim.history import History, Kind, Op

A, B = (1, 1), (2, 1)


class Story:
    """Operations of one key, one after the other."""

    def __init__(self) -> None:
        self.history = History()
        self.now = 0.0

    def op(self, client: str, kind: Kind, *, session: bool = True) -> Op:
        op = self.history.begin(client, kind, "k", False, self.now)
        op.session = session
        self.now += 1.0
        op.ended = self.now - 0.5
        return op

    def wrote(self, client: str, *dots: tuple[int, int], acknowledged: bool = True) -> Op:
        op = self.op(client, "put")
        op.outcome, op.dots = ("applied", [*dots]) if acknowledged else ("ambiguous", [])
        return op

    def read(
        self, client: str, vector: Vector | None, shows: Sequence[Op] = (), *, session: bool = True, ok: bool = True
    ) -> Op:
        op = self.op(client, "get", session=session)
        op.outcome = "ok" if ok else "failed"
        op.vector, op.shows = vector, tuple(shown.number for shown in shows)
        return op

    def broken(self, forgotten: bool = False) -> list[str]:
        return [words.partition(":")[0] for words in broken(self.history.of("k"), lambda since, until: forgotten)]


@pytest.mark.parametrize("vector", [None, (), (B,)])
def test_a_read_that_does_not_know_its_sessions_write(vector: Vector | None) -> None:
    story = Story()
    story.wrote("c", A)
    story.read("c", vector)
    assert story.broken() == ["read your writes"]
    assert story.broken(forgotten=True) == []


def test_a_write_that_was_tried_twice_is_known_by_either_dot() -> None:
    story = Story()
    story.wrote("c", A, B)
    story.read("c", (B,))
    assert story.broken() == []


def test_a_read_that_knows_less_than_the_one_before() -> None:
    story = Story()
    story.wrote("d", A)
    story.wrote("e", B)
    story.read("c", (A, B))
    story.read("c", (A,))
    assert story.broken() == ["monotonic reads"]


def test_what_was_never_acknowledged_may_be_read_and_be_gone() -> None:
    story = Story()
    story.wrote("d", A)
    story.wrote("e", acknowledged=False)
    story.read("c", (A, B))
    story.read("c", (A,))
    assert story.broken() == []


def test_what_others_know_is_no_matter_of_a_sessions_reads() -> None:
    story = Story()
    story.wrote("c", A)
    story.read("d", (B,))
    story.read("e", (), session=False)
    assert story.broken() == []


@pytest.mark.parametrize("acknowledged", [True, False])
def test_who_shows_a_write_knows_what_its_session_had_written_before(acknowledged: bool) -> None:
    story = Story()
    story.wrote("c", A)
    later = story.wrote("c", B, acknowledged=acknowledged)
    story.read("d", (B,), [later], session=False)
    assert story.broken() == ["monotonic writes"]


def test_who_shows_a_write_knows_what_its_session_had_read_before() -> None:
    story = Story()
    story.wrote("e", A)
    story.read("c", (A,))
    later = story.wrote("c", B)
    story.read("d", (B,), [later], session=False)
    assert story.broken() == ["writes follow reads"]


def test_a_write_may_begin_with_a_read_of_its_own() -> None:
    story = Story()
    write = story.op("c", "put")
    look = story.read("c", ())
    write.ended, write.outcome, write.dots = look.ended + 1.0, "applied", [A]
    assert story.broken() == []
    story.read("d", (), [write], session=False)
    assert story.broken() == []


def test_what_failed_or_was_outside_of_the_session_promises_nothing() -> None:
    story = Story()
    story.read("c", (A,), ok=False)
    story.read("c", (A, B), session=False)
    story.wrote("c", acknowledged=False)
    story.read("c", ())
    assert story.broken() == []
