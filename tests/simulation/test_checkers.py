"""The judges of a run, each held against a history that it must find wrong, and the same without the fault in it."""

import pytest

from dynkv.core.record import Record, Sibling, Vector
from dynkv.sim.checkers import OF_HISTORY, Case
from dynkv.sim.history import Kind, Op, bit, value_of
from dynkv.sim.journal import Journal
from dynkv.sim.options import Options
from dynkv.sim.run import Run
from dynkv.sim.witness import Drop, Event, Seen
from dynkv.sim.world import World

PRIMARIES = ("n1", "n2", "n3")


class Story:
    """A run that never ran, with a history of one key, one operation after the other."""

    def __init__(self, key: str = "k", nodes: int = 3) -> None:
        world = World()
        self.run = Run(Options(1, nodes=nodes), world, Journal(world))
        self.run.cluster.primaries = lambda key: PRIMARIES  # type: ignore[method-assign]  # no cluster was formed
        self.key = key
        self.now = 0.0
        self.final: Record | None = None
        self.seen = self.run.witness.keys.setdefault(key, Seen())

    def op(self, kind: Kind) -> Op:
        op = self.run.history.begin("c", kind, self.key, self.key.startswith("s"), self.now)
        self.now += 1.0
        op.ended = self.now - 0.5
        return op

    def wrote(
        self, counter: int, *, over: tuple[Op, ...] = (), kind: Kind = "put", acknowledged: bool = True, at: int = 3
    ) -> Op:
        """A write under (7, counter), on the disks of so many primaries."""
        op = self.op(kind)
        op.outcome, op.dots = ("applied", [(7, counter)]) if acknowledged else ("ambiguous", [])
        op.context = tuple((7, max(replaced.dots[0][1] for replaced in over)) for _ in over[:1])
        for replaced in over:
            op.seen |= bit(replaced.number) | replaced.seen
        op.durable_at = PRIMARIES[:at]
        self.happened(op, counter)
        return op

    def happened(self, op: Op, counter: int) -> None:
        value = value_of(op, 0) if op.kind == "put" else None
        self.seen.events[(7, counter)] = Event(op.write_id, value, "n1")
        self.seen.dots.setdefault(op.write_id, []).append((7, counter))
        self.run.witness.written[op.number] = "n1"

    def read(self, vector: Vector | None, *shows: Op) -> Op:
        op = self.op("get")
        op.outcome, op.vector, op.shows = "ok", vector, tuple(shown.number for shown in shows)
        return op

    def ends_with(self, counter: int, *ops: Op) -> None:
        self.final = Record(
            ((7, counter),),
            tuple(Sibling(7, op.dots[0][1] if op.dots else 9, 0, value_of(op, 0), "", op.write_id) for op in ops),
        )

    def wrong(self) -> set[str]:
        """The checkers that find something."""
        case = Case(self.run.cluster, self.run.history, self.run.witness, {self.key: self.final})
        found = {name for name, look in OF_HISTORY.items() if list(look(case))}
        self.run.end()
        return found


def test_a_history_in_which_all_is_well() -> None:
    story = Story()
    first = story.wrote(1)
    story.read(((7, 1),), first)
    second = story.wrote(2, over=(first,))
    story.read(((7, 2),), second)
    story.ends_with(2, second)
    assert story.wrong() == set()


def test_an_acknowledged_write_is_gone() -> None:
    story = Story()
    story.wrote(1)
    other = story.wrote(2)
    story.ends_with(2, other)
    assert story.wrong() == {"lost"}


def test_a_read_knows_of_a_write_and_does_not_show_it() -> None:
    story = Story()
    first, second = story.wrote(1), story.wrote(2)
    story.read(((7, 2),), second)
    story.ends_with(2, first, second)
    assert story.wrong() == {"lost"}


def test_what_was_replaced_only_by_a_write_that_never_happened_is_lost() -> None:
    story = Story()
    first = story.wrote(1)
    ghost = story.op("put")
    ghost.outcome, ghost.seen = "ambiguous", bit(first.number)
    other = story.wrote(2)
    story.ends_with(2, other)
    assert story.wrong() == {"lost"}


@pytest.mark.parametrize("kind", ["put", "delete"])
def test_what_was_replaced_is_there_in_the_end(kind: Kind) -> None:
    story = Story()
    first = story.wrote(1)
    second = story.wrote(2, over=(first,), kind=kind)
    story.ends_with(2, *([first, second] if kind == "put" else [first]))
    assert story.wrong() == {"overwritten"}


def test_a_read_that_knows_who_replaced_a_value_shows_it_again() -> None:
    story = Story()
    first = story.wrote(1)
    second = story.wrote(2, over=(first,))
    story.read(((7, 2),), first, second)
    story.ends_with(2, second)
    assert story.wrong() == {"overwritten"}


def test_nothing_is_found_of_what_enough_hold() -> None:
    story = Story()
    first = story.wrote(1)
    story.read(None)
    story.ends_with(1, first)
    assert story.wrong() == {"not-found"}


def test_nothing_is_found_of_what_was_forgotten_or_never_on_enough_disks() -> None:
    story = Story()
    first = story.wrote(1, at=1)
    story.read(None)
    story.ends_with(1, first)
    assert story.wrong() == set()
    story = Story()
    gone = story.wrote(2, over=(story.wrote(1),), kind="delete")
    story.seen.drops.append(Drop("n1", gone.ended + 0.1))
    story.read(None)
    assert story.wrong() == set()


def test_a_strict_read_does_not_know_of_a_strict_write_before_it() -> None:
    def told(key: str) -> set[str]:
        story = Story(key, nodes=5)
        first, second = story.wrote(1), story.wrote(2)
        story.read(((7, 1),), first)
        story.ends_with(2, first, second)
        return story.wrong()

    assert told("s") == {"stale"}
    assert told("k") == set()  # a stand-in may have been asked


def test_a_session_is_held_to_its_word() -> None:
    story = Story(nodes=5)
    first, second = story.wrote(1), story.wrote(2)
    read = story.read(((7, 1),), first)
    for op in (first, second, read):
        op.session = True
    story.ends_with(2, first, second)
    assert story.wrong() == {"session"}


def test_one_write_is_shown_twice() -> None:
    story = Story()
    first = story.wrote(1)
    story.read(((7, 1),), first).repeats = True
    story.ends_with(1, first)
    assert story.wrong() == {"twice"}


def test_what_was_not_applied_is_on_a_disk() -> None:
    story = Story()
    first = story.wrote(1)
    refused = story.op("put")
    refused.outcome = "not_applied"
    story.happened(refused, 2)
    story.ends_with(1, first)
    assert story.wrong() == {"nowhere"}


def test_a_vector_grows_without_a_reason() -> None:
    story = Story()
    first = story.wrote(1)
    story.ends_with(1, first)
    story.seen.longest = 3
    assert story.wrong() == set()
    story.seen.longest = 4
    assert story.wrong() == {"bounded"}


def test_every_checker_of_histories_was_made_to_speak_here() -> None:
    assert set(OF_HISTORY) == {
        "lost",
        "overwritten",
        "not-found",
        "stale",
        "session",
        "twice",
        "nowhere",
        "bounded",
    }
