"""Who holds what of a key, held against each other: same, behind, apart, absent."""

import pytest

from dynkv.core import record as records
from dynkv.core.plan import Plan
from dynkv.core.record import Record, Vector
from dynkv.core.whereabouts import Told, compare

PLAN = Plan(7, ("n1", "n2", "n3"), ("n4", "n5"))
NOTHING = Told(None)


def wrote(copy: Record | None, actor: int, value: bytes, context: Vector = ()) -> Record:
    return records.put(copy, context, actor, 1, value, "", value)


def told(**records_held: Record) -> dict[str, Told]:
    found = dict.fromkeys((*PLAN.primaries, *PLAN.fallbacks), NOTHING)
    return found | {node: Told(records.encode(record)) for node, record in records_held.items()}


A = wrote(None, 1, b"a")
B = wrote(None, 2, b"b")
A_THEN_C = wrote(A, 1, b"c", A.vector)


def states(answers: dict[str, Told]) -> list[str]:
    return [holder.state for holder in compare(PLAN, answers).holders]


def test_nobody_holds_it() -> None:
    found = compare(PLAN, told())
    assert (found.record, found.digest) == (None, b"")
    assert [holder.state for holder in found.holders] == ["absent"] * 5
    assert [holder.node for holder in found.holders] == ["n1", "n2", "n3", "n4", "n5"]
    assert [holder.role for holder in found.holders] == ["primary"] * 3 + ["fallback"] * 2


def test_all_hold_the_same_and_fallbacks_nothing() -> None:
    found = compare(PLAN, told(n1=A, n2=A, n3=A))
    assert found.record == A
    assert found.digest == records.digest(records.encode(A)) == found.holders[0].digest
    assert states(told(n1=A, n2=A, n3=A)) == ["same", "same", "same", "absent", "absent"]


def test_who_missed_a_write_is_behind() -> None:
    assert states(told(n1=A, n2=A_THEN_C)) == ["behind", "same", "absent", "absent", "absent"]
    assert states(told(n1=A, n4=records.merge(A, B))) == ["behind", "absent", "absent", "same", "absent"]


def test_who_holds_what_others_miss_and_misses_what_others_hold_is_apart() -> None:
    found = compare(PLAN, told(n1=A, n2=B, n3=A))
    assert [holder.state for holder in found.holders[:3]] == ["apart", "apart", "apart"]
    assert found.record == records.merge(A, B)
    assert found.digest not in (holder.digest for holder in found.holders)
    # n1 is behind n2, and n2 and n3 are apart.
    assert states(told(n1=A, n2=A_THEN_C, n3=B))[:3] == ["behind", "apart", "apart"]


def test_who_does_not_say_or_says_nonsense() -> None:
    answers = told(n1=A) | {
        "n2": Told(None, "unreachable", "timed out"),
        "n3": Told(b"nonsense"),
        "n4": Told(None, "unreadable", "bad block"),
        "n5": Told(None, "", "it is being refilled"),
    }
    found = compare(PLAN, answers)
    assert [holder.state for holder in found.holders] == ["same", "unreachable", "unreadable", "unreadable", "absent"]
    assert [holder.why for holder in found.holders[1:]][::2] == ["timed out", "bad block"]
    assert found.holders[4].why == "it is being refilled"
    assert "not a record" in found.holders[2].why
    assert found.record == A


@pytest.mark.parametrize("order", [("n1", "n2"), ("n2", "n1")])
def test_two_that_contradict_each_other_are_shown_as_they_are(order: tuple[str, str]) -> None:
    other = wrote(None, 1, b"under the same dot")
    found = compare(PLAN, told(**dict(zip(order, (A, other), strict=True))))
    assert sorted(holder.state for holder in found.holders[:2]) == ["apart", "same"]
    apart = next(holder for holder in found.holders if holder.state == "apart")
    assert apart.why.startswith("contradicts the others")
