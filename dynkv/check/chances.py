"""Which faults come when: drawn from a seed, so that a run can be had again as far as real machines allow.

Faults come one after another, some beginning before the last has ended. Every kind that was asked for comes at least
once, if there is time; which node or way it meets is drawn each time.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

# Nothing happens before the clients have begun, nor near the end: what is found then has been healed for a while.
QUIET_FIRST = 0.05
QUIET_LAST = 0.1
LASTS_S = (0.5, 5.0)
GAP_S = (0.1, 1.5)
OVERLAPS = 0.3


class Planned(NamedTuple):
    """kind, what it meets, and from when until when, in seconds since the run's beginning. detail: of the fault, such
    as how much a clock is put wrong."""

    kind: str
    target: str
    begin: float
    end: float
    detail: str = ""


Draw = Callable[[float, float], float]


def plan(kinds: Sequence[str], nodes: Sequence[str], seconds: float, draw: Draw) -> list[Planned]:
    """The faults of a run, by their beginnings. draw: a number between two."""
    faults: list[Planned] = []
    at, last = seconds * QUIET_FIRST, seconds * (1 - QUIET_LAST)
    shortest = (last - at) / max(1, len(kinds)) / 2  # so that each kind has its turn
    round_: list[str] = []
    while kinds:
        if not round_:
            round_ = _shuffled(kinds, draw)
        lasts = min(draw(*LASTS_S), max(0.2, shortest))
        begin = at + min(draw(*GAP_S), shortest / 4)
        if begin + lasts > last:
            break
        kind = round_.pop()
        faults.append(_of(kind, nodes, begin, begin + lasts, draw))
        at = begin + lasts * (draw(0.2, 0.8) if draw(0, 1) < OVERLAPS else 1.0)
    return faults


def _of(kind: str, nodes: Sequence[str], begin: float, end: float, draw: Draw) -> Planned:
    node, other = _shuffled(nodes, draw)[:2] if len(nodes) > 1 else (nodes[0], nodes[0])
    target, detail = node, ""
    if kind == "cut":
        target = _pick([node, f"{node}:{other}", f"{node}:{other} {other}:{node}", f"*:{node}"], draw)
    elif kind == "slow":
        target = _pick([node, f"{node}:{other}"], draw)
        detail = _pick(["--delay 200ms --jitter 100ms", "--delay 1s --jitter 500ms", "--rate 20k"], draw)
    elif kind == "flaky":
        target = _pick(["all", node], draw)
        detail = _pick(
            ["--drop 20%", "--duplicate 100%", "--reorder 50%", "--drop 5% --duplicate 30% --reorder 30%"], draw
        )
    elif kind == "clock":
        detail = _pick(["+3600s", "-3600s", "+86400s", "-30s", "+2s"], draw)
    return Planned(kind, target, round(begin, 3), round(end, 3), detail)


def _pick(choices: Sequence[str], draw: Draw) -> str:
    return choices[min(len(choices) - 1, int(draw(0, len(choices))))]


def _shuffled(items: Sequence[str], draw: Draw) -> list[str]:
    return [item for _, item in sorted((draw(0, 1), item) for item in items)]


KINDS = ("kill", "pause", "cut", "slow", "flaky", "disk", "clock")
