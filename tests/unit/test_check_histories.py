"""Histories known to be good or bad: each class of anomaly is found by its name, and what may be is called none."""

from collections.abc import Sequence

import pytest

from dynkv.check.history import Anomaly, History
from dynkv.check.verdict import CHECKERS
from tests.unit.histories_of_checks import of


def kinds(history: History) -> list[str]:
    return [anomaly.kind for anomaly in anomalies(history)]


def anomalies(history: History) -> list[Anomaly]:
    return CHECKERS[history.head.workload](history)


# --- registers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (["a = 1"], ["1"]),
        (["a = 1", "b = 2 over 1"], ["2"]),
        (["a = 1", "b = 2"], ["1", "2"]),  # neither had seen the other
        (["a = 1", "?b = 2 over 1"], ["1"]),  # in doubt: it may have replaced it, or not
        (["a = 1", "?b = 2 over 1"], ["2"]),
        (["a = 1", "!b = 2 over 1"], ["1"]),
        (["?a = 1", "b = 2 over 1"], ["2"]),  # somebody saw it, so it happened
        (["a = 1", "b deletes 1"], []),
        (["a = 1", "?b deletes 1"], []),
        (["a = 1", "?b deletes 1"], ["1"]),
        (["a = 1", "b deletes 1", "a = 2"], ["2"]),
        (["a = 1", "b = 2 over 1", "a = 3 over 2", "b = 4 over 3"], ["4"]),
        (["a = 1", "?b = 2 over 1", "a = 3 over 2"], ["3"]),  # what explains 1 is a chain
        (["?a = 1"], []),
        (["a = 1 @ 0-5", "b reads @ 1-2"], ["1"]),  # not acknowledged yet when the read began
        (["a = 1 @ 0-5", "b reads 1 @ 1-2"], ["1"]),
        (["a = 1 @ 0-1", "b deletes 1 @ 2-9", "a reads @ 3-4", "b reads 1 @ 3-4"], []),
        (["a = 1", "b = 2 over 1 @ 1-9", "a reads 1 @ 3-4", "a reads 2 @ 5-6"], ["2"]),
    ],
)
def test_registers_that_are_as_they_should_be(words: Sequence[str], ends: Sequence[str]) -> None:
    assert anomalies(of("register", *words, ends=ends)) == []


@pytest.mark.parametrize(
    ("words", "ends", "found"),
    [
        (["a = 1"], [], ["lost"]),
        (["a = 1", "b = 2"], ["2"], ["lost"]),
        (["a = 1", "!b = 2 over 1"], [], ["lost"]),  # what was not done explains nothing
        (["a = 1", "b = 2 over 1", "a = 3"], ["3"], ["lost"]),  # 2 had covered 1; nothing covers 2
        (["a = 1", "b deletes 1", "a = 2"], [], ["lost"]),
        (["a = 1", "?b = 2 over 1"], [], ["lost"]),  # if 2 replaced it, where is 2?
        (["a = 1", "b = 2 over 1"], ["1", "2"], ["back"]),
        (["a = 1", "b = 2 over 1"], ["1"], ["lost", "back"]),
        (["a = 1", "b deletes 1"], ["1"], ["back"]),
        (["a = 1", "?b = 2 over 1", "a reads 1 2"], ["1", "2"], ["back", "back"]),  # 2 was seen, so it happened
        (["!a = 1"], ["1"], ["refused shown"]),
        (["a = 1", "b reads 1 7"], ["1"], ["invented"]),
        (["a reads 1 @ 0-1", "a = 1 @ 2-3"], ["1"], ["invented"]),
        (["a = 1", "b reads"], ["1"], ["stale read"]),
        (["a = 1", "b = 2 over 1", "a reads 1"], ["2"], ["stale read"]),
        (["a = 1", "b deletes 1", "a reads 1"], [], ["stale read"]),
        (["a = 1", "a = 1"], ["1"], ["written twice"]),
    ],
)
def test_each_anomaly_of_registers_is_found(words: Sequence[str], ends: Sequence[str], found: list[str]) -> None:
    assert sorted(kinds(of("register", *words, ends=ends))) == sorted(found)


def test_nodes_that_differ_in_the_end_are_found() -> None:
    history = of("register", "a = 1", "b = 2", "final n1 1 1 2", "final n2 1 1 2", "final n2 all 2")
    assert sorted(kinds(history)) == ["diverged", "lost"]
    assert "final reads at n1 r=1, n2 r=1 showed 1, 2; final reads at n2 r=all showed 2" in str(anomalies(history))


def test_weak_levels_may_be_stale_but_not_forget() -> None:
    assert kinds(of("register", "a = 1", "b reads", ends=["1"], strict=False)) == []
    assert kinds(of("register", "a = 1", "b reads", ends=[], strict=False)) == ["lost"]


def test_keys_are_apart() -> None:
    history = of("register", "a = 1 in x", "a = 1 in y", "final n1 1 1 in x", "final n1 1 in y")
    assert [(anomaly.kind, anomaly.key) for anomaly in anomalies(history)] == [("lost", "y")]


def test_an_anomaly_says_who_and_when_and_shows_its_operations() -> None:
    (lost,) = anomalies(of("register", "a = 1", "b = 2", ends=["2"]))
    assert lost.detail == (
        "1 was acknowledged at 0.900 s; final reads at n1 r=1, n1 r=all, n2 r=1, n2 r=all showed 2, "
        "which does not explain it"
    )
    assert [op.op for op in lost.ops] == ["write"] + ["final"] * 4


# --- sets -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "ends", "found"),
    [
        (["a adds 1"], ["1"], []),
        (["?a adds 1"], [], []),
        (["?a adds 1"], ["1"], []),
        (["a adds 1", "b removes 1"], [], []),
        (["a adds 1", "?b removes 1"], ["1"], []),
        (["a adds 1", "?b removes 1"], [], []),
        (["a adds 1"], [], ["lost element"]),
        (["a adds 1", "!b removes 1"], [], ["lost element"]),
        (["a adds 1", "b removes 1"], ["1"], ["removed is back"]),
        (["!a adds 1"], ["1"], ["refused shown"]),
        (["a reads"], ["1"], ["invented"]),
        (["a adds 1", "b reads"], ["1"], ["stale read"]),
        (["a adds 1", "b removes 1", "a reads 1"], [], ["stale read"]),
        (["a adds 1", "a adds 1"], ["1"], ["added twice"]),
    ],
)
def test_sets(words: Sequence[str], ends: Sequence[str], found: list[str]) -> None:
    assert kinds(of("set", *words, ends=ends)) == found


# --- counters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "ends", "found"),
    [
        (["a += 1", "b += 2"], "3", []),
        (["a += 1", "?b += 2"], "1", []),
        (["a += 1", "?b += 2"], "3", []),
        (["a += 1", "!b += 2"], "1", []),
        (["a += 1", "?b += 2"], "0", ["lost increments"] * 4),
        (["a += 1", "?b += 2"], "4", ["too many"] * 4),
        (["a += 1", "!b += 2"], "3", ["too many"] * 4),
        (["a += 1", "b reads 0"], "1", ["stale read"]),
        (["a += 1 @ 0-5", "b reads 0 @ 1-2", "b reads 1 @ 3-4"], "1", []),
        (["a += 1 @ 3-4", "b reads 1 @ 1-2"], "1", ["too many"]),
    ],
)
def test_counters(words: Sequence[str], ends: str, found: list[str]) -> None:
    assert kinds(of("counter", *words, ends=[ends])) == found


def test_counters_of_nodes_that_differ() -> None:
    history = of("counter", "a += 1", "?a += 1", "final n1 1 1", "final n2 1 2")
    assert kinds(history) == ["diverged"]
    assert kinds(of("counter", "?a += 1", "final n1 1", "final n2 1 0")) == ["diverged"]


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "ends", "found"),
    [
        (["a = 1", "a reads 1"], ["1"], []),
        (["a = 1", "b = 2 over 1", "a reads 2"], ["2"], []),
        (["a = 1", "b reads", "b reads 1"], ["1"], []),  # another session owes nothing to it yet
        (["a = 1", "b reads 1", "c = 2", "b reads 1 2", "a reads 1"], ["1", "2"], []),
        (["?a = 1", "a reads"], [], []),
        (["a = 1", "b deletes 1", "a reads"], [], []),
        (["a = 1", "a reads"], ["1"], ["read your writes"]),
        (["a = 1", "b = 2", "a reads 2"], ["1", "2"], ["read your writes"]),
        (["a = 1", "b reads 1", "b reads"], ["1"], ["monotonic reads"]),
        (["a = 1", "b = 2 over 1", "c reads 2", "c reads 1"], ["2"], ["monotonic reads"]),
        (["a = 1", "a = 2", "b reads 2"], ["1", "2"], ["monotonic writes"]),
        (["a = 1", "b reads 1", "b = 2", "c reads 2"], ["1", "2"], ["writes follow reads"]),
        (["a = 1", "b reads 1", "b = 2", "c reads 1"], ["1", "2"], []),  # which does not show it need not know it
        (["a = 1"], [], ["lost"]),
        (["a = 1", "b = 2 over 1", "c reads 1 2"], ["2"], ["back"]),
        (["!a = 1", "b reads 1"], [], ["refused shown"]),
    ],
)
def test_sessions(words: Sequence[str], ends: Sequence[str], found: list[str]) -> None:
    assert kinds(of("session", *words, ends=ends)) == found


def test_a_history_that_goes_in_circles_is_checked_to_its_end() -> None:
    history = of("register", "a = 1 over 2", "b = 2 over 1", ends=["1"])
    assert "back" in kinds(history)


def test_thousands_of_replacements_of_one_key_are_followed() -> None:
    words = ["a = 0", *(f"a = {number} over {number - 1}" for number in range(1, 3000))]
    assert kinds(of("register", *words, ends=["2999"])) == []
    assert set(kinds(of("register", *words, ends=["2998"]))) == {"lost", "back"}
