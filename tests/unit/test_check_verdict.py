"""The verdict, its page, and the file that both come from."""

import xml.etree.ElementTree as ET

import msgspec
import pytest

from dynkv.chaos.words import order_of
from dynkv.check.chances import KINDS, Planned, plan
from dynkv.check.history import BadHistory, History, Op, read
from dynkv.check.report import page, sentence
from dynkv.check.timeline import DRAWN_MAX, chosen, svg
from dynkv.check.verdict import decide
from dynkv.runtime import SeededRandom
from tests.unit.histories_of_checks import fault, of

GOOD = ["a = 1", "b reads 1", "b = 2 over 1", "a reads 2", "a = 3 over 2"]


def good(**head: object) -> History:
    return of("register", *GOOD, ends=["3"], **head)


# --- verdict ----------------------------------------------------------------------------------------------------------


def test_enough_was_done_and_nothing_is_wrong() -> None:
    verdict = decide(good())
    assert (verdict.state, verdict.anomalies, verdict.why) == (
        "clean",
        [],
        ["only 3 writes were acknowledged in 5 s"][1:],
    )


def test_anomalies_come_before_doubts() -> None:
    verdict = decide(of("register", *GOOD, ends=["2"]))
    assert verdict.state == "anomalies"
    assert verdict.kinds == {"lost": 1, "back": 1}


@pytest.mark.parametrize(
    ("history", "why"),
    [
        (good(seconds=60.0), "only 3 writes were acknowledged in 60 s"),
        (
            of("register", *GOOD, "!a reads", "!b reads", "!a reads", "!b reads", "!a reads", ends=["3"]),
            "only 2 of 7 reads",
        ),
        (of("register", *GOOD), "the final values could not be read at n1, n2"),
        (of("register", *GOOD, "final n1 1 3"), "the final values could not be read at n2"),
        (of("register", *GOOD, "a = 1 in other", ends=["3"]), "4 of 8 final reads failed"),
        (good(faults=("kill",)), "fault kill: no time for it"),
    ],
)
def test_too_little_is_unknown(history: History, why: str) -> None:
    verdict = decide(history)
    assert verdict.state == "unknown"
    assert why in "; ".join(verdict.why)
    assert why in sentence(verdict)


def test_a_fault_that_was_not_possible_is_no_proof() -> None:
    history = good(faults=("kill", "clock"))
    history.faults += [fault("kill"), fault("clock", impossible="no such thing here")]
    verdict = decide(history)
    assert (verdict.state, verdict.why) == ("unknown", ["fault clock: not possible here (no such thing here)"])
    history.faults.append(fault("clock"))
    assert decide(history).state == "clean"
    assert decide(history).faults == {"clock": 1, "kill": 1}


def test_replicas_that_never_agreed_are_an_anomaly() -> None:
    verdict = decide(good(converged="n1 owes n2 7"))
    assert (verdict.state, verdict.kinds) == ("anomalies", {"not converged": 1})


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_history_comes_back_as_it_was_written() -> None:
    history = good(faults=("kill",))
    history.faults.append(fault("kill"))
    assert read(history.lines()) == history


def test_a_line_says_what_it_must() -> None:
    line = msgspec.json.decode(list(of("register", "?a = 1 over 0").lines())[1])
    assert line == {
        "line": "op",
        "process": 0,
        "op": "write",
        "key": "k",
        "value": "1",
        "saw": ["0"],
        "node": "n1",
        "invoke": 0.0,
        "info": 0.9,
    }


@pytest.mark.parametrize(
    ("lines", "why"),
    [([], "no head"), ([b"{}"], "line 1"), ([b'{"line":"op"}'], "line 1"), ([b"\n", b"nonsense"], "line 2")],
)
def test_what_is_no_history(lines: list[bytes], why: str) -> None:
    with pytest.raises(BadHistory, match=why):
        read(lines)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_was_wrong_and_needs_nothing_else() -> None:
    history = of("register", *GOOD, "?c = <4> over 3", ends=["2"])
    history.faults.append(fault("cut", "n1:n2"))
    text = page(history, decide(history))
    assert "The cluster did not keep its word: 1 × lost, 1 × back." in text
    assert "<b>lost</b> k: 3 was acknowledged at 4.900 s" in text
    assert "&lt;4&gt;" in text
    assert "<4>" not in text
    assert not any(word in text for word in ("<script", "src=", "href=", "@import"))


def test_the_picture_is_sound_and_shows_operations_faults_and_anomalies() -> None:
    history = of("register", *GOOD, "?c = 4 over 3", "!c = 5", ends=["2"])
    history.faults += [fault("cut", "n1:n2"), fault("kill", "n2"), fault("clock", impossible="no")]
    verdict = decide(history)
    picture = ET.fromstring(svg(history, verdict.anomalies))
    of_class = [element.get("class") or "" for element in picture.iter()]
    titles = " ".join(element.text or "" for element in picture.iter() if element.tag.endswith("title"))
    assert of_class.count("anomaly") == len(verdict.anomalies) == 2
    assert {"fault cut", "fault kill", "ok w", "ok r", "info w", "fail w", "odd ok w", "odd ok r"} <= set(of_class)
    assert "fault clock" not in of_class
    assert "write k = 2 saw 1 at n1, 2.000–2.900 s, ok" in titles


def test_of_very_many_operations_some_are_drawn_and_every_odd_one() -> None:
    ops = [Op(0, "write", "k", float(n), ok=n + 0.5, value=str(n)) for n in range(50_000)]
    odd = {id(ops[1])}
    drawn = list(chosen(ops, odd))
    assert ops[1] in drawn
    assert DRAWN_MAX / 4 < len(drawn) <= DRAWN_MAX


# --- faults by chance -------------------------------------------------------------------------------------------------


def drawn(seed: str, seconds: float = 60.0, nodes: tuple[str, ...] = ("n1", "n2", "n3")) -> list[Planned]:
    return plan(KINDS, nodes, seconds, SeededRandom(seed).uniform)


def test_the_same_seed_plans_the_same_faults() -> None:
    assert drawn("a") == drawn("a")
    assert drawn("a") != drawn("b")


@pytest.mark.parametrize("seconds", [8.0, 60.0, 600.0])
def test_every_kind_has_its_turn_and_all_are_over_before_the_end(seconds: float) -> None:
    for seed in range(20):
        faults = drawn(str(seed), seconds)
        assert {planned.kind for planned in faults} == set(KINDS)
        assert all(0 < planned.begin < planned.end <= seconds * 0.9 for planned in faults)
        assert [planned.begin for planned in faults] == sorted(planned.begin for planned in faults)


def test_what_is_planned_can_be_ordered() -> None:
    for planned in drawn("orders", 600.0):
        if planned.kind in ("slow", "flaky"):
            order_of(["set", planned.target, *planned.detail.split()])
        if planned.kind == "cut":
            assert all(order_of(["cut", way]) for way in planned.target.split())


def test_no_kinds_are_no_faults_and_one_node_is_enough() -> None:
    assert plan((), ("n1",), 60.0, SeededRandom("1").uniform) == []
    assert {planned.target for planned in plan(("kill", "pause"), ("n1",), 60.0, SeededRandom("1").uniform)} == {"n1"}
