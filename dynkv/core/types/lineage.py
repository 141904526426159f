"""What a state has seen: runs of updates, and the ids of their writes as far as they are remembered.

    Run    actor, first, last    the updates with the dots (actor, first) to (actor, last), all of them
           ids                   the hashed write ids of the last of these, ascending by dot, 8 bytes each
           kept                  (counter, id) of older ones, and of repetitions: remembered longer

Only the copy to which the actor belongs makes versions of a run, one after another (the package's text says why that is
kept), so the longer of two versions contains the other.
"""

from collections.abc import Callable, Mapping, Set
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import Actor, Counter, Vector

RECENT = 128
"""How many of its last updates a run can tell apart: 8 bytes each, in a counter about 13."""
KEPT_MAX = 512
"""How many repetitions it can tell apart beyond these."""

ID_BYTES = 8
RUNS_MAX = 65_536

WriteHash = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Dot = tuple[int, int]

# Stored in states that all nodes must read alike, so the key is a constant and no secret. Whoever finds a collision can
# make one update of a key pass for another of the same key, both of which are his to write.
_hash = blake2b(digest_size=ID_BYTES, key=b"dynkv write id of a typed update 1")


def hash_of(write_id: bytes) -> bytes:
    """The 8 bytes by which states know a write."""
    keyed = _hash.copy()
    keyed.update(write_id)
    return keyed.digest()


class Run(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """See the module's text."""

    actor: Actor
    first: Counter
    last: Counter
    ids: Annotated[bytes, Meta(max_length=4096 * ID_BYTES)]
    kept: Annotated[tuple[tuple[Counter, WriteHash], ...], Meta(max_length=65_536)]

    @property
    def name(self) -> Dot:
        """The same for all versions of this run, and of no other."""
        return self.actor, self.first

    @property
    def oldest(self) -> int:
        """The counter to which the first of `ids` belongs."""
        return self.last + 1 - len(self.ids) // ID_BYTES

    def find(self, write: bytes) -> int:
        """The counter of the update with this hashed id; 0 if it is not remembered."""
        place = self.ids.find(write)
        while place % ID_BYTES:  # found across two ids; -1, which is none, ends it below
            if place < 0:
                break
            place = self.ids.find(write, place + 1)
        if place >= 0:
            return self.oldest + place // ID_BYTES
        return next((counter for counter, kept in self.kept if kept == write), 0)

    def names(self) -> dict[int, bytes]:
        """counter -> hashed id, of all that are remembered."""
        oldest, ids = self.oldest, self.ids
        names = {oldest + i // ID_BYTES: ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)}
        names.update(self.kept)
        return names

    def writes(self) -> set[bytes]:
        """The hashed ids alone."""
        ids = self.ids
        return {ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)}.union(name for _, name in self.kept)

    def check(self) -> None:
        """DamagedRecord if it is none that `extended` could have made."""
        if self.first > self.last or len(self.ids) % ID_BYTES or self.oldest < self.first:
            raise DamagedRecord("a run of updates does not fit its ids")
        below = self.first - 1
        for counter, _ in self.kept:
            if not below < counter <= self.last:
                raise DamagedRecord("the kept ids of a run do not ascend within it")
            below = counter


Runs = tuple[Run, ...]
"""Ascending by name; the runs of one actor do not overlap."""


class Seen:
    """Runs, to be asked whether they hold a dot."""

    __slots__ = ("_ranges",)

    def __init__(self, runs: Runs) -> None:
        self._ranges: dict[int, list[tuple[int, int]]] = {}
        for run in runs:
            self._ranges.setdefault(run.actor, []).append((run.first, run.last))

    def __contains__(self, dot: Dot) -> bool:
        return any(first <= dot[1] <= last for first, last in self._ranges.get(dot[0], ()))


class Both(NamedTuple):
    """What each of two states that are joined has seen."""

    ours: Seen
    theirs: Seen


class Ids:
    """The ids of updates by their dots, looked up run by run."""

    __slots__ = ("_names", "_runs")

    def __init__(self, runs: Runs) -> None:
        self._runs: dict[int, list[Run]] = {}
        for run in runs:
            self._runs.setdefault(run.actor, []).append(run)
        self._names: dict[Dot, dict[int, bytes]] = {}

    def of(self, dot: Dot) -> bytes | None:
        """The hashed id of the update; None if it is not remembered any more."""
        actor, counter = dot
        for run in self._runs.get(actor, ()):
            if run.first <= counter <= run.last:
                names = self._names.get(run.name)
                if names is None:
                    names = self._names[run.name] = run.names()
                return names.get(counter)
        return None


def union(ours: Runs, theirs: Runs) -> Runs:
    """The updates that either has seen."""
    if ours == theirs:
        return ours
    runs = {run.name: run for run in ours}
    for run in theirs:
        known = runs.get(run.name)
        # Equal lengths are equal runs; the rest of the order only keeps a forged one from depending on who comes first.
        if known is None or (known.last, known.ids, known.kept) < (run.last, run.ids, run.kept):
            runs[run.name] = run
    return tuple(runs[name] for name in sorted(runs))


Twins = Mapping[Dot, tuple[Dot, ...]]
"""Of an update whose write is in other runs too: the dots that it has there."""


def twins(runs: Runs) -> Twins:
    """All of them, as far as ids are remembered."""
    once: set[bytes] = set()
    twice: set[bytes] = set()
    for run in runs if len(runs) > 1 else ():
        writes = run.writes()
        twice |= once & writes
        once |= writes
    if not twice:
        return {}
    dots: dict[bytes, list[Dot]] = {}
    for run in runs:
        for counter, write in run.names().items():
            if write in twice:
                dots.setdefault(write, []).append((run.actor, counter))
    return {dot: tuple(other for other in same if other != dot) for same in dots.values() for dot in same}


def find(runs: Runs, write: bytes) -> Dot | None:
    """The dot of the update with this hashed id, if one is remembered."""
    for run in runs:
        if counter := run.find(write):
            return run.actor, counter
    return None


def check(runs: Runs) -> None:
    """DamagedRecord if their order is broken."""
    actor, last = 0, 0
    for run in runs:
        run.check()
        if run.actor < actor or (run.actor == actor and run.first <= last):
            raise DamagedRecord("the runs do not ascend")
        actor, last = run.actor, run.last


# --- one more update --------------------------------------------------------------------------------------------------


class Event(NamedTuple):
    """One update as it is applied: its dot, the first counter of its run, its hybrid time, what its author has seen.

    `remembered`: counters of this run whose ids are. `twins`: those whose id a run with a smaller name has, too.
    """

    actor: int
    counter: int
    first: int
    time: int
    context: Vector
    remembered: frozenset[int]
    twins: frozenset[int]

    @property
    def dot(self) -> Dot:
        return self.actor, self.counter


class Extended(NamedTuple):
    """`run` after one more update; `others`: all other runs. `twins`: see `Event`."""

    run: Run
    others: Runs
    twins: frozenset[int]

    def runs(self, single: Set[int]) -> Runs:
        """All runs. `single`: those of the twins that this run still counts; the others need no memory beyond `ids`."""
        run = self.run
        kept = [(counter, name) for counter, name in run.kept if counter not in self.twins or counter in single]
        if (excess := len(kept) - KEPT_MAX) > 0:
            for entry in [entry for entry in kept if find(self.others, entry[1]) is None][:excess]:
                kept.remove(entry)
        run = Run(run.actor, run.first, run.last, run.ids, tuple(kept))
        return tuple(sorted((*self.others, run), key=_name))


def extended(
    runs: Runs, actor: int, counter: int, write: bytes, *, repeated: bool, doubted: Callable[[bytes], bool]
) -> Extended:
    """One more update, (actor, counter): a run that ends just before it goes on, else a new one begins.

    `repeated`: this may be in another run already. `doubted`: whether that may be so of an earlier one with this hashed
    id.
    """
    before = next((run for run in runs if run.actor == actor and goes_on(run, counter)), None)
    others = tuple(run for run in runs if run is not before)
    if before is None:
        before = Run(actor, counter, counter, b"", ())
    ids = before.ids + write
    kept = dict(before.kept)
    if len(ids) > RECENT * ID_BYTES:
        leaving, oldest = ids[:ID_BYTES], before.oldest
        ids = ids[ID_BYTES:]
        if oldest not in kept and (doubted(leaving) or find(others, leaving)):
            kept[oldest] = leaving
    if repeated:
        kept[counter] = write
    run = Run(actor, before.first, counter, ids, tuple(sorted(kept.items())))
    return Extended(run, others, _also_in_smaller(run, others))


def goes_on(run: Run, counter: int) -> bool:
    """Whether the update with this counter follows the last of `run`: nothing that was deleted lies between them."""
    return run.last == counter - 1


def _name(run: Run) -> Dot:
    return run.name


def _also_in_smaller(run: Run, others: Runs) -> frozenset[int]:
    """The updates of `run` that a run with a smaller name has under the same id."""
    smaller = [other for other in others if other.name < run.name]
    if not smaller:
        return frozenset()
    taken: set[bytes] = set()
    for other in smaller:
        taken |= other.writes()
    return frozenset(counter for counter, write in run.names().items() if write in taken)
