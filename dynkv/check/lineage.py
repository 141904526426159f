"""Of one key: who had seen what.

A write names in its context what its writer had seen, and by that takes its place: it *covers* those values, and all
that they cover. A value that is gone is explained if something that is there covers it, or a deletion that may have
happened. A value that nobody had the right to replace is *lost*; one that is there though a write that happened covers
it is *back*.

Which values a value covers is a set, and one integer holds it: a bit for each value. So asking whether a read knew of
all earlier acknowledged writes is one operation on integers.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from dynkv.check.history import ADDS, Op


class Lineage:
    """Made of all operations on one key.

    added: by value, the operation that wrote it. A value that was refused (`fail`) covers nothing: it never was.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        self.added: dict[str, Op] = {op.value: op for op in ops if op.op in ADDS}
        self.twice = [op for op in ops if op.op in ADDS and self.added[op.value] is not op]
        self._bits = {value: 1 << number for number, value in enumerate(self.added)}
        self._values = list(self.added)
        self._covers: dict[str, int] = {}
        self._removed = sorted(
            ((op.invoke, self.covered_by(op.saw)) for op in ops if op.op not in ADDS and op.may_have_happened),
        )
        # A write whose value somebody has seen happened, whatever its writer was told.
        self.seen = {value for op in ops for value in op.saw}
        self._replaced = sorted((op.ok, self.covered_by(op.saw)) for op in ops if not op.is_read and op.ok is not None)
        self._replaced_until = _sums(bits for _, bits in self._replaced)
        self._acknowledged = sorted((op.ok, self._bits[op.value]) for op in self.added.values() if op.ok is not None)
        self._until = _sums(bits for _, bits in self._acknowledged)
        self._removed_until = _sums(bits for _, bits in self._removed)

    def covered_by(self, values: Iterable[str]) -> int:
        """All that these values cover, themselves included, as bits. Values that nobody wrote count for nothing."""
        covered = 0
        for value in values:
            known = self._covers.get(value)
            covered |= self._walk(value) if known is None else known
        return covered

    def _walk(self, start: str) -> int:
        """What one value covers. Without recursion, for a key may have been replaced thousands of times."""
        todo = [start]
        while todo:
            value = todo[-1]
            op = self.added.get(value)
            if value in self._covers or op is None or not op.may_have_happened:
                self._covers.setdefault(value, 0)
                todo.pop()
                continue
            # A history that was tampered with may go in circles: what is on its way already is not waited for.
            waiting = [seen for seen in op.saw if seen not in self._covers and seen not in todo]
            if waiting:
                todo += waiting
                continue
            covered = self._bits[value]
            for seen in op.saw:
                covered |= self._covers.get(seen, 0)
            self._covers[value] = covered
            todo.pop()
        return self._covers[start]

    def acknowledged_before(self, time: float) -> int:
        """The values whose writes were acknowledged before `time`, as bits."""
        return self._until[bisect_left(self._acknowledged, (time, 0))]

    def removed_before(self, time: float) -> int:
        """What deletions cover that were asked for before `time` and may have happened."""
        return self._removed_until[bisect_left(self._removed, (time, 0))]

    def replaced_before(self, time: float) -> int:
        """What writes and deletions cover that were acknowledged before `time`, themselves left out."""
        return self._replaced_until[bisect_left(self._replaced, (time, 0))]

    def seen_by(self, value: str) -> tuple[str, ...]:
        """What the writer of `value` had seen; nothing, if nobody wrote it."""
        op = self.added.get(value)
        return op.saw if op is not None and op.fail is None else ()

    def bits(self, values: Iterable[str]) -> int:
        """These values alone."""
        return _sums(self._bits.get(value, 0) for value in values)[-1]

    def values(self, bits: int) -> list[str]:
        """The values of these bits, in the order of their writes."""
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self._values[lowest.bit_length() - 1])
            bits ^= lowest
        return found

    def missing(self, shown: Sequence[str], before: float, seen_until: float) -> list[str]:
        """Acknowledged before `before`, and neither shown nor explained by what is shown or by a deletion that was
        asked for before `seen_until`. Of those that cover each other the last: it is the one that went missing."""
        explained = self.covered_by(shown) | self.removed_before(seen_until)
        missing = self.acknowledged_before(before) & ~explained
        if not missing:
            return []
        older = self.covered_by(seen for value in self.values(missing) for seen in self.seen_by(value))
        return self.values(missing & ~older or missing)


def _sums(parts: Iterable[int]) -> list[int]:
    """What the first none, one, two, ... of the parts hold together."""
    sums = [0]
    for part in parts:
        sums.append(sums[-1] | part)
    return sums
