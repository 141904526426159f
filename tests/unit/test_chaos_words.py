"""Orders as people write them: what is understood, and what is refused with a reason."""

import pytest

from dynkv.chaos.rules import GOOD, BadOrder, Heal, Order, Reset, Rules, Set, chosen
from dynkv.chaos.words import BadWords, Line, order_of, script_of, set_of
from dynkv.cli.chaos_proxy import line_of, told


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("set n1:n2 --delay 100ms --jitter 1.5s", Set("n1:n2", delay_ms=100, jitter_ms=1500)),
        ("set all --drop 20% --duplicate 0.1 --reorder 100% --reorder-by 10ms", None),
        ("set n1 --rate 64k", Set("n1", bytes_per_s=65_536)),
        ("set n1 --rate 1MiB/s", Set("n1", bytes_per_s=1024 * 1024)),
        ("set n1 --rate 0", Set("n1", bytes_per_s=0)),
        ("set n1 --delay 2min", Set("n1", delay_ms=120_000)),
        ("cut n3", Set("n3", cut=True)),
        ("heal all", Heal("all")),
        ("reset n1:*", Reset("n1:*")),
        ("reset n1:n2 --after-frames 3", Reset("n1:n2", after_frames=3)),
        ("reset n1:n2 --after-bytes 0", Reset("n1:n2", after_bytes=0)),
    ],
)
def test_orders(text: str, order: Order | None) -> None:
    expected = order or Set("all", drop=0.2, duplicate=0.1, reorder=1.0, reorder_ms=10)
    assert order_of(text.split()) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("set n1:n2", "changes nothing"),
        ("set n1:n2 --delay", "options are pairs"),
        ("set n1:n2 --delay 100", "no duration"),
        ("set n1:n2 --delay soon", "a number was expected"),
        ("set n1:n2 --delay -5ms", "a number was expected"),
        ("set n1:n2 --delay 99999min", "Expected `float` <= 3600000"),
        ("set n1:n2 --drop 120%", "no part of a whole"),
        ("set n1:n2 --rate 5furlongs", "no rate"),
        ("set n1:n2 --latency 5ms", "set has no --latency"),
        ("reset n1 --after-frames many", "no number"),
        ("reset n1 --after-sunset 1", "an order is"),
        ("cut n1 --drop 5%", "an order is"),
        ("break n1", "an order is"),
        ("heal", "an order is"),
    ],
)
def test_what_is_no_order(text: str, why: str) -> None:
    with pytest.raises(BadWords, match=why):
        order_of(text.split())


def test_a_script_is_sorted_by_time() -> None:
    lines = script_of("# a bad minute\n\n10s heal all\n500ms cut n1:n2  # one wire\n")
    assert lines == [Line(0.5, Set("n1:n2", cut=True)), Line(10.0, Heal("all"))]


def test_a_wrong_line_of_a_script_is_named() -> None:
    for text in ("1s cut n1\nthen heal all", "1s cut n1\n2s", '1s cut n1\n2s cut "n1'):
        with pytest.raises(BadWords, match="line 2"):
            script_of(text)


@pytest.mark.parametrize(
    ("ways", "hit"),
    [
        ("all", {"a:b", "b:a", "a:c", "c:a", "b:c", "c:b"}),
        ("a", {"a:b", "b:a", "a:c", "c:a"}),
        ("a:b", {"a:b"}),
        ("a:*", {"a:b", "a:c"}),
        ("*:a", {"b:a", "c:a"}),
        ("*", {"a:b", "b:a", "a:c", "c:a", "b:c", "c:b"}),
        ("d", set()),
    ],
)
def test_ways_are_chosen_by_their_ends(ways: str, hit: set[str]) -> None:
    pairs = [(source, to) for source in "abc" for to in "abc" if source != to]
    assert {f"{source}:{to}" for source, to in pairs if chosen(ways, source, to)} == hit


def test_an_order_changes_what_it_names() -> None:
    slow = set_of("all", {"delay": "10ms", "drop": None}).over(GOOD)
    assert slow == Rules(delay_ms=10)
    assert Set("all", cut=True).over(slow) == Rules(delay_ms=10, cut=True)
    assert Set("all", cut=False, delay_ms=0).over(Rules(delay_ms=10, cut=True)) == GOOD
    assert issubclass(BadWords, BadOrder)


def test_a_way_is_told_in_a_line() -> None:
    way = {"way": "n1:n2", "rules": {"cut": True, "delay_ms": 10.0}, "connections": 2, "open": 1}
    counts = {"bytes": 1234, "frames": 5, "dropped": 0, "duplicated": 1, "reordered": 0, "resets": 0}
    line = line_of(way | counts)
    assert line == "n1:n2        cut, delay_ms 10; 1,234 bytes, 5 frames, 1 duplicated over 2 connections, 1 open"
    assert [told(order) for order in (Set("a", cut=True), Set("a", drop=0.1), Heal("a"), Reset("a"))] == [
        "cut",
        "set",
        "healed",
        "reset",
    ]
