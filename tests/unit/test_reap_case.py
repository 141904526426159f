"""The case of one tombstone: what is in its way, in words, and how it comes to be proved."""

import pytest

from dynkv.core import record as records
from dynkv.core.hlc import LOGICAL_BITS
from dynkv.core.reaping import KINDS, Case, Said, State, away, grace_left_s, in_grace, state_of

PRIMARIES, OTHERS = ("n1", "n2"), ("n3",)
FINE = {
    "n1": Said("same", "", True, b"1"),
    "n2": Said("same", "", True, b"2"),
    "n3": Said("absent", "", False, b"3"),  # a fallback that lost its disk holds nothing, and may say so
}


def asked(case: Case, now: float, round_asked: int = 1, **instead: Said) -> Case:
    for member, said in (FINE | instead).items():
        case.hear(member, said, round_asked, now)
    return case


def test_two_rounds_with_a_quiet_time_prove_it() -> None:
    case = Case(PRIMARIES, OTHERS, 10.0)
    assert not case.ask_again(100.0)  # nobody has said anything
    asked(case, 5.0)
    assert (case.quiet_until, case.obstacle, case.proved) == (15.0, None, False)
    assert not case.ask_again(14.9)
    asked(case, 14.9)  # said again, and not asked
    assert not case.proved
    assert case.ask_again(15.0)
    assert not case.ask_again(15.0)
    asked(case, 15.1, 1)  # late answers to the first round
    assert not case.proved
    asked(case, 15.2, 2)
    assert case.proved


@pytest.mark.parametrize(
    ("member", "state", "hint_for", "sound", "kind", "text"),
    [
        ("n2", "differs", "", True, "differs", "n2 differs"),
        ("n2", "absent", "", True, "differs", "n2 holds no copy"),
        ("n2", "same", "", False, "refilling", "n2 is being refilled"),
        ("n2", "unreadable", "", True, "unreadable", "n2 cannot read its copy"),
        ("n3", "unreadable", "", True, "unreadable", "n3 cannot read its copy"),
        ("n2", "hinted", "n1", True, "held elsewhere", "n2 holds a hint for n1"),
        ("n3", "hinted", "n1", True, "held elsewhere", "n3 holds a hint for n1"),
        ("n3", "same", "", True, "held elsewhere", "n3, which is no primary, holds a copy"),
        ("n3", "differs", "", True, "held elsewhere", "n3, which is no primary, holds a copy"),
    ],
)
@pytest.mark.parametrize("round_asked", [1, 2])
def test_what_is_in_the_way_is_said(
    member: str, state: State, hint_for: str, sound: bool, kind: str, text: str, round_asked: int
) -> None:
    case = Case(PRIMARIES, OTHERS, 0.0)
    if round_asked == 2:
        assert asked(case, 1.0).ask_again(1.0)
    asked(case, 2.0, round_asked, **{member: Said(state, hint_for, sound, FINE[member].mark)})
    assert case.obstacle == (kind, text)
    assert kind in KINDS
    assert not case.proved
    assert not case.ask_again(100.0)


def test_another_mark_in_the_second_round_spoils_it() -> None:
    case = asked(Case(PRIMARIES, OTHERS, 0.0), 1.0)
    assert case.ask_again(1.0)
    asked(case, 2.0, 2, n3=Said("absent", "", True, b"later"))
    assert case.obstacle is not None
    assert case.obstacle.kind == "being confirmed"


def test_who_is_silent_is_in_the_way_and_who_answered_is_not() -> None:
    case = Case(PRIMARIES, OTHERS, 0.0)
    case.hear("n1", FINE["n1"], 1, 0.0)
    for member in ("n1", "n2"):
        case.silent(member, "did not answer: timed out")
    asked(case, 1.0)
    assert case.obstacle == ("member away", "n2 did not answer: timed out")
    assert away("n2").text == "n2 is down"


def test_states() -> None:
    assert state_of(None, b"t", ()) == ("absent", "")
    assert state_of(b"t", b"t", ()) == ("same", "")
    assert state_of(b"u", b"t", ()) == ("differs", "")
    assert state_of(b"t", b"t", ("n2", "n3")) == ("hinted", "n2")
    assert state_of(None, b"t", ("n2",)) == ("hinted", "n2")


def test_the_grace_period_begins_with_the_newest_sibling() -> None:
    def at(*times_ms: int) -> records.Record:
        siblings = tuple(
            records.Sibling(actor, 1, ms << LOGICAL_BITS, None, "", b"w") for actor, ms in enumerate(times_ms, 1)
        )
        return records.Record(tuple((sibling.actor, 1) for sibling in siblings), siblings)

    assert grace_left_s(at(1_000, 5_000), 10.0, 6_000) == 9.0
    assert grace_left_s(at(5_000, 1_000), 10.0, 15_000) == 0.0
    assert grace_left_s(at(50_000), 10.0, 0) == 60.0  # its clock was ahead
    assert in_grace(2 * 3600 + 1).text == "grace: 3 h left"
