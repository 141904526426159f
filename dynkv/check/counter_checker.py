"""Counters: increments by one or more, and reads of the sum.

The sum can be anything between the acknowledged increments and those that may have happened besides. Of a read in the
middle: at least what was acknowledged before it began, at most what had been asked for before it ended.

    lost increments     less than was acknowledged
    too many            more than was ever asked for
    stale read          a quorum read showed less than was acknowledged before it began
    diverged            nodes do not show the same in the end
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from dynkv.check.history import Anomaly, Head, History, Op
from dynkv.check.register_checker import diverged

NEVER = float("inf")


class _Sums:
    """How much the operations with times before a time come to."""

    def __init__(self, timed: Sequence[tuple[float, int]]) -> None:
        self._times = sorted(timed)
        self._sums = [0]
        for _, amount in self._times:
            self._sums.append(self._sums[-1] + amount)

    def before(self, time: float) -> int:
        return self._sums[bisect_left(self._times, (time, 0))]


def check(history: History) -> list[Anomaly]:
    """All that is wrong, ordered by key."""
    return [anomaly for key, ops in sorted(history.by_key().items()) for anomaly in _of_key(history.head, key, ops)]


def _of_key(head: Head, key: str, ops: Sequence[Op]) -> Iterator[Anomaly]:
    increments = [op for op in ops if op.op == "increment"]
    least = _Sums([(op.ok, int(op.value)) for op in increments if op.ok is not None])
    most = _Sums([(op.invoke, int(op.value)) for op in increments if op.may_have_happened])
    finals = []
    for op in ops:
        if not op.is_read or op.ok is None:
            continue
        shown = int(op.saw[0]) if op.saw else 0
        if op.op == "final":
            finals.append(op)
            yield from _final(key, op, shown, least.before(NEVER), most.before(NEVER))
            continue
        floor, ceiling = least.before(op.invoke), most.before(op.end)
        if head.strict and shown < floor:
            detail = f"a read at {op.node} showed {shown}; {floor} had been acknowledged before it began"
            yield Anomaly("stale read", key, detail, op.end, (op,))
        elif shown > ceiling:
            yield Anomaly("too many", key, f"a read at {op.node} showed {shown} of {ceiling} asked for", op.end, (op,))
    yield from diverged(key, finals)


def _final(key: str, op: Op, shown: int, floor: int, ceiling: int) -> Iterator[Anomaly]:
    where = f"{op.node} r={op.level or '?'} showed {shown} in the end"
    if shown < floor:
        yield Anomaly("lost increments", key, f"{where}; {floor} were acknowledged", op.end, (op,))
    elif shown > ceiling:
        yield Anomaly("too many", key, f"{where}; {ceiling} at most were asked for", op.end, (op,))
