"""Short stories of two or three copies with the value that each must end in: what is promised of deletes and removals.

Each guard that chance seldom reaches is taken out once: the story must then end otherwise.
"""

from collections.abc import Callable
from typing import Any

import pytest

from dynkv.core.record import Record, merge, put
from dynkv.core.types import lineage, reading
from dynkv.core.types.lineage import Run, Seen
from dynkv.core.types.operation import KINDS
from dynkv.core.types.reading import read
from dynkv.core.types.register import Register
from tests.property.types_histories import applied

A, B, C = 1, 2, 3


class Copies:
    """Copies of one typed key by the actor that updates them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.of: dict[int, Record] = {}
        self.writes = 0

    def update(self, actor: int, said: dict[str, Any], *, seen: Record | None = None, time: int = 0) -> Record:
        self.writes += 1
        context = () if seen is None else seen.vector
        write_id = b"w%d" % self.writes
        self.of[actor] = applied(self.of.get(actor), self.kind, said, actor, write_id, context=context, time=time)
        return self.of[actor]

    def delete(self, actor: int) -> Record:
        """By somebody who has read this copy."""
        copy = self.of[actor]
        self.of[actor] = put(copy, copy.vector, actor, 0, None, "", b"delete")
        return self.of[actor]

    def hear(self, actor: int, *others: Record) -> Record:
        for other in others:
            ours = self.of.get(actor)
            self.of[actor] = other if ours is None else merge(ours, other)
        return self.of[actor]

    def value(self, record: Record) -> Any:
        state = read(record, KINDS[self.kind])
        return None if state is None else state.show()


def after_a_delete_and_a_concurrent_update() -> tuple[Any, Any]:
    """(what is shown then, and after one more increment by the first of them)."""
    c = Copies("counter")
    c.update(A, {"increment": 10})
    seen = c.update(A, {"increment": 20})
    c.hear(B, seen)
    c.update(A, {"increment": 3})
    c.delete(A)
    c.update(A, {"increment": 100})
    c.update(B, {"increment": 5})
    before = c.value(c.hear(A, c.of[B]))
    c.update(A, {"increment": 1})
    return before, c.value(c.of[A])


def test_an_update_that_a_delete_had_not_seen_brings_back_all_that_it_had_joined() -> None:
    assert after_a_delete_and_a_concurrent_update() == (10 + 20 + 5 + 100, 10 + 20 + 5 + 100 + 1)


def what_a_deleted_share_would_hide() -> int:
    """A counts 1, 2 and 4; B has joined 1 only, C all three. A deletes, hears of B, and counts on; then hears of C."""
    c = Copies("counter")
    first = c.update(A, {"increment": 1})
    c.hear(B, first)
    c.update(A, {"increment": 2})
    c.hear(C, c.update(A, {"increment": 4}))
    c.update(C, {"increment": 64})
    c.delete(A)
    c.hear(A, c.update(B, {"increment": 32}))
    c.update(A, {"increment": 8})
    value = c.value(c.hear(A, c.of[C]))
    assert isinstance(value, int)
    return value


def test_a_share_goes_on_only_where_nothing_of_it_was_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert what_a_deleted_share_would_hide() == 1 + 2 + 4 + 64 + 32 + 8

    def whatever_came_between(run: Run, counter: int) -> bool:
        return run.last < counter

    monkeypatch.setattr(lineage, "goes_on", whatever_came_between)
    assert what_a_deleted_share_would_hide() != 1 + 2 + 4 + 64 + 32 + 8


def what_survives_in_a_set() -> list[Any]:
    """A adds x; B joins it and adds u. A deletes and adds y, which has seen nothing of x."""
    c = Copies("set")
    c.hear(B, c.update(A, {"add": ["x"]}))
    c.delete(A)
    c.update(A, {"add": ["y"]})
    c.update(B, {"add": ["u"]})
    value = c.value(c.hear(A, c.of[B]))
    assert isinstance(value, list)
    return value


def test_what_a_state_has_seen_is_not_what_its_vector_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert what_survives_in_a_set() == ["u", "x", "y"]

    def up_to_the_last(seen: Seen, dot: tuple[int, int]) -> bool:
        return any(dot[1] <= last for _, last in seen._ranges.get(dot[0], ()))

    monkeypatch.setattr(Seen, "__contains__", up_to_the_last)
    assert what_survives_in_a_set() == ["u", "y"], "x is gone although nobody who joined it removed it"


def test_a_deleted_key_begins_anew() -> None:
    for kind, said, new in (
        ("counter", {"increment": 5}, 5),
        ("set", {"add": ["x"]}, ["x"]),
        ("flag", {"enable": True}, True),
        ("register", {"set": None}, None),
        ("map", {"update": {"f": {"type": "set", "add": [1]}}}, {"f": {"type": "set", "value": [1]}}),
    ):
        c = Copies(kind)
        c.update(A, said)
        assert c.value(c.delete(A)) is None
        assert read(c.of[A], KINDS[kind]) is None
        assert c.value(c.update(A, said)) == new


# --- removals ---------------------------------------------------------------------------------------------------------


def test_a_removal_ends_what_its_author_saw_and_nothing_else() -> None:
    c = Copies("set")
    seen = c.update(A, {"add": ["x", "y"]})
    c.hear(B, seen)
    c.update(B, {"add": ["x"]})
    c.update(A, {"remove": ["x", "y", "z"]}, seen=seen)
    assert c.value(c.of[A]) == []
    assert c.value(c.hear(A, c.of[B])) == ["x"], "B's addition was not seen"


def test_a_removal_through_a_copy_that_lags_waits_for_what_it_names() -> None:
    c = Copies("set")
    first = c.update(A, {"add": ["x"]})
    c.hear(B, first)
    seen = c.update(A, {"add": ["y"]})
    c.update(B, {"remove": ["y"]}, seen=seen)
    assert c.value(c.of[B]) == ["x"]
    assert c.value(c.hear(B, seen)) == ["x"], "y came later than its removal"
    c.update(B, {"add": ["z"]})
    state = read(c.of[B], KINDS["set"])
    assert state is not None
    assert state.waiting == (), "all that it spoke of is known here now"
    assert c.value(c.hear(A, c.of[B])) == ["x", "z"]


def test_whoever_switches_on_wins() -> None:
    c = Copies("flag")
    seen = c.update(A, {"enable": True})
    c.hear(B, seen)
    c.update(A, {"enable": False}, seen=seen)
    c.update(B, {"enable": True})
    assert c.value(c.of[A]) is False
    assert c.value(c.hear(A, c.of[B])) is True
    assert c.value(c.update(A, {"enable": False}, seen=seen)) is True, "an old context sees only the old"
    assert c.value(c.update(A, {"enable": False}, seen=c.of[A])) is False


def test_the_last_to_set_a_register_wins_whatever_the_clocks_say() -> None:
    c = Copies("register")
    c.hear(B, c.update(A, {"set": "first"}, time=1000))
    c.update(B, {"set": "second"}, time=1)
    assert c.value(c.hear(A, c.of[B])) == "second"
    c.update(A, {"set": "at A"}, time=2000)
    c.update(B, {"set": "at B"}, time=3000)
    assert c.value(c.hear(A, c.of[B])) == "at B"


def of_a_removed_register() -> set[str]:
    """Two set a field; a third removes the value that it saw, the later one. What is left, heard of in two orders."""
    c = Copies("map")
    old = c.update(A, {"update": {"f": {"type": "register", "set": "old"}}}, time=1)
    new = c.update(B, {"update": {"f": {"type": "register", "set": "new"}}}, time=2)
    c.hear(C, new)
    gone = c.update(C, {"remove": ["f"]}, seen=new)
    ends = set()
    for reader, earlier, later in ((4, (old, new), gone), (5, (new, gone), old)):
        c.hear(reader, *earlier)
        c.update(reader, {"update": {"g": {"type": "flag", "enable": True}}})  # joins what it has heard of so far
        ends.add(str(c.value(c.hear(reader, later)).get("f")))
    return ends


def test_a_register_keeps_what_nobody_has_set_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_a_removed_register() == {"{'type': 'register', 'value': 'old'}"}
    join: Callable[..., Register] = Register.join

    def only_the_latest(ours: Register, theirs: Register, both: lineage.Both) -> Register:
        values = join(ours, theirs, both).values
        return Register((max(values, key=lambda one: (one.time, one.dot)),) if values else ())

    monkeypatch.setattr(Register, "join", only_the_latest)
    assert len(of_a_removed_register()) == 2, "what is left depends on who was heard of first"


# --- one write twice --------------------------------------------------------------------------------------------------


def of_a_node_that_slept(kind: str, said: dict[str, Any], undone: dict[str, Any]) -> tuple[Any, Any]:
    """B takes the first attempt of a write in when its repetition at A is long undone: (what is shown once both have
    met, and after B has done the same by another write before that)."""
    ends = []
    for again in (False, True):
        c = Copies(kind)
        seen = c.of[A] = applied(None, kind, said, A, b"once", repeated=True)
        c.update(A, undone, seen=seen, time=5)
        if again:
            c.update(B, said)
        c.of[B] = applied(c.of.get(B), kind, said, B, b"once", time=9)
        ends.append(c.value(c.hear(A, c.of[B])))
    return ends[0], ends[1]


def test_what_was_undone_does_not_come_back_and_what_another_write_did_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    removed = of_a_node_that_slept("set", {"add": ["x"]}, {"remove": ["x"]})
    switched = of_a_node_that_slept("flag", {"enable": True}, {"enable": False})
    field = of_a_node_that_slept("map", counted(5), {"remove": ["f"]})
    assert (removed, switched, field[0]) == (([], ["x"]), (False, True), {})
    assert of_a_node_that_slept("register", {"set": "old"}, {"set": "new"})[0] == "new"
    monkeypatch.setattr(reading, "settled", lambda state: state)
    assert of_a_node_that_slept("set", {"add": ["x"]}, {"remove": ["x"]})[0] == ["x"]


# --- maps -------------------------------------------------------------------------------------------------------------


def counted(by: int) -> dict[str, Any]:
    return {"update": {"f": {"type": "counter", "increment": by}}}


def test_a_removed_field_is_gone_with_all_that_was_in_it() -> None:
    c = Copies("map")
    seen = c.update(A, counted(5))
    assert c.value(c.update(A, {"remove": ["f"]}, seen=seen)) == {}
    assert c.value(c.update(A, counted(2))) == {"f": {"type": "counter", "value": 2}}


def test_a_field_that_is_updated_while_it_is_removed_stays_with_what_is_new() -> None:
    c = Copies("map")
    seen = c.update(A, {"update": {"f": {"type": "set", "add": ["old"]}}})
    c.hear(B, seen)
    c.update(A, {"remove": ["f"]}, seen=seen)
    c.update(B, {"update": {"f": {"type": "set", "add": ["new"]}}})
    assert c.value(c.hear(A, c.of[B])) == {"f": {"type": "set", "value": ["new"]}}


def test_a_counter_that_goes_on_while_it_is_removed_keeps_that_actors_share_whole() -> None:
    """The anomaly that the text of `counter` owns up to: A's part is gone, B's comes back with its new increment."""
    c = Copies("map")
    c.hear(B, c.update(A, counted(100)))
    seen = c.update(B, counted(10))
    c.hear(A, seen)
    c.update(A, {"remove": ["f"]}, seen=seen)
    c.update(B, counted(1))
    assert c.value(c.hear(A, c.of[B])) == {"f": {"type": "counter", "value": 11}}


def test_one_name_in_two_kinds_is_kept_shown_and_removed_as_two() -> None:
    c = Copies("map")
    c.update(A, counted(5))
    c.update(B, {"update": {"f": {"type": "set", "add": [1]}}})
    both = c.hear(A, c.of[B])
    one, other = {"type": "counter", "value": 5}, {"type": "set", "value": [1]}
    assert c.value(both) == {"f": {"type": "several", "values": [one, other]}}
    c.update(A, counted(1))
    assert c.value(c.update(A, {"remove": ["f"]}, seen=c.of[A])) == {}
