"""Clients that update shared sets and counters, each in a session of its own, and the oracle that judges what they see.

Four kinds of keys, two of plain values that `update` changes and two of types that the store merges itself:

    union       a plain set, elements added by `update`; siblings resolved by the union
    tally       a plain map of each client's own count, by `update`; siblings resolved by a resolver of ours
    set         a set of the store, elements added and removed
    counter     a counter of the store

An element is added once and never again, so it names the update that added it. Every update must succeed, so what the
end must show is known exactly. Whatever a session is shown meanwhile is held against what it knows:

    read your writes, monotonic reads       all that it wrote or was shown is there, unless its removal was asked for;
                                            what it removed or saw gone stays gone; no count falls
    monotonic writes, writes follow reads   whoever sees an element, or somebody's count, sees all that its author had
                                            seen before

One key of each kind is in use at a time, until it has so many updates, so that values stay small however long it goes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

UPDATES_MAX = 400
"""Of a key, before another takes its place."""


@dataclass
class Known:
    """What one session knows of one key: elements as bits, counts by name."""

    has: int = 0
    gone: int = 0
    counts: dict[str, int] = field(default_factory=dict)


class Elements:
    """All that was done with one set."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.updates = 0
        self._bits: dict[str, int] = {}
        self._seen_by: dict[str, tuple[int, int]] = {}
        self._leaving = 0

    def adds(self, element: str, known: Known) -> None:
        """A session that knows this is about to add it; asked again if its update goes round again."""
        self._bits.setdefault(element, 1 << len(self._bits))
        self._seen_by.setdefault(element, (known.has, known.gone))

    def added(self, element: str, known: Known) -> None:
        known.has |= self._bits[element]
        self.present.add(element)
        self.updates += 1

    def removes(self, element: str) -> None:
        """Somebody is about to remove it."""
        self._leaving |= self._bits[element]

    def removed(self, element: str, known: Known) -> None:
        known.gone |= self._bits[element]
        self.present.remove(element)
        self.updates += 1

    def shown(self, elements: Collection[str], known: Known) -> None:
        """AssertionError if a session that knows this may not be shown these."""
        strange = set(elements) - self._bits.keys()
        assert not strange, f"nobody added {strange}"
        bits = authors_had = authors_saw_gone = 0
        for element in elements:
            bits |= self._bits[element]
            had, gone = self._seen_by[element]
            authors_had |= had
            authors_saw_gone |= gone
        self._hold("that its session knows are not there", known.has & ~self._leaving & ~bits)
        self._hold("that its session knows to be gone are back", known.gone & bits)
        self._hold("that the author of another had seen are not there", authors_had & ~self._leaving & ~bits)
        self._hold("that the author of another had seen gone are there", authors_saw_gone & bits)
        known.gone |= known.has & ~bits
        known.has |= bits

    def _hold(self, what: str, wrong: int) -> None:
        assert not wrong, f"elements {what}: {[element for element, bit in self._bits.items() if bit & wrong]}"


class Tally:
    """All that was done with one map of counts."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.updates = 0
        self._seen_by: dict[tuple[str, int], Mapping[str, int]] = {}

    def adds(self, name: str, known: Known) -> int:
        """The count that the session `name`, which knows this, is about to write."""
        count = self.counts.get(name, 0) + 1
        self._seen_by.setdefault((name, count), dict(known.counts))
        return count

    def added(self, name: str, known: Known) -> None:
        self.counts[name] = known.counts[name] = self.counts.get(name, 0) + 1
        self.updates += 1

    def shown(self, counts: Mapping[str, int], known: Known) -> None:
        """AssertionError, as above."""
        self._hold("known to its session", known.counts, counts)
        for one in counts.items():
            assert one in self._seen_by, f"nobody wrote {one}"
            self._hold(f"seen by the author of {one}", self._seen_by[one], counts)
        known.counts = dict(counts)

    def _hold(self, what: str, least: Mapping[str, int], counts: Mapping[str, int]) -> None:
        low = {name: count for name, count in least.items() if counts.get(name, 0) < count}
        assert not low, f"counts {what} are not there: {low} of {counts}"


class Sum:
    """All that was done with one counter."""

    def __init__(self) -> None:
        self.asked = 0
        self.total = 0
        self.updates = 0

    def adds(self, by: int) -> None:
        self.asked += by

    def added(self, by: int, known: Known) -> None:
        self.total += by
        self.updates += 1
        known.counts["least"] = known.counts.get("least", 0) + by

    def shown(self, value: int, known: Known) -> None:
        """AssertionError, as above."""
        least = known.counts.get("least", 0)
        assert value >= least, f"the counter is {value}; its session knows of {least}"
        assert value <= self.asked, f"the counter is {value}; no more than {self.asked} was ever added"
        known.counts["least"] = value


Book = Elements | Tally | Sum


class Books:
    """The keys of all kinds, and what was done with each."""

    MAKES: Mapping[str, type[Any]] = {"union": Elements, "tally": Tally, "set": Elements, "counter": Sum}

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {kind: {} for kind in self.MAKES}

    def current(self, kind: str) -> tuple[str, Any]:
        """The key of this kind that is in use, and its book."""
        books = self.keys[kind]
        if not books or list(books.values())[-1].updates >= UPDATES_MAX:
            books[f"{kind}{len(books)}"] = self.MAKES[kind]()
        return list(books.items())[-1]

    def all(self) -> Iterable[tuple[str, str, Any]]:
        """Kind, key, book."""
        return ((kind, key, book) for kind, books in self.keys.items() for key, book in books.items())
