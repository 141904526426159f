"""What typed values must be, said with two growing sets and nothing else: no runs, no shares, no dots that come and go.

An update has effects: atoms, each at a path of fields. A `Meaning` is what a state stands for: the updates it has
*seen*, the atoms that are *gone*, and the removals that *wait* for updates that their coordinator had not met. Joining
is the union of each. A value is what the atoms of seen updates that are not gone amount to.

A removal is a target and a vector: it ends every atom of the target whose update the vector covers.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from dynkv.core.record import Record, Vector, covers

Path = tuple[tuple[str, str], ...]
Dot = tuple[int, int]


class Atom(NamedTuple):
    """`what`: "there" (a field), "add", "on", "value", "inc"."""

    event: Dot
    path: Path
    what: str
    item: Any


class Event(NamedTuple):
    """One update as one coordinator took it in. Two with one write id are one write."""

    dot: Dot
    write_id: bytes
    time: int
    atoms: tuple[Atom, ...]


class Target(NamedTuple):
    """An element, a flag, or (`field` not empty) all fields of a name under a path."""

    path: Path
    what: str
    item: Any
    field: str = ""

    def hits(self, atom: Atom) -> bool:
        depth = len(self.path)
        if self.field:
            return atom.path[:depth] == self.path and len(atom.path) > depth and atom.path[depth][0] == self.field
        return (atom.path, atom.what, atom.item) == (self.path, self.what, self.item)


class Meaning(NamedTuple):
    """See the module's text."""

    seen: frozenset[Dot] = frozenset()
    gone: frozenset[Atom] = frozenset()
    waiting: frozenset[tuple[Target, Vector]] = frozenset()


class Sum(NamedTuple):
    """A counter's value lies in this range: one number, but for a counter whose field somebody removed meanwhile."""

    low: int
    high: int


class Violation(AssertionError):
    """A value is not what its updates say."""


class Oracle:
    """All updates of one key, and what each sibling's state means."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.events: dict[Dot, Event] = {}
        self.meanings: dict[Dot, Meaning] = {}
        self.never_deleted = True

    def joined(self, record: Record | None) -> Meaning:
        """Of the live typed siblings of a record."""
        siblings = () if record is None else record.siblings
        known = [
            self.meanings[dot] for sibling in siblings if (dot := (sibling.actor, sibling.counter)) in self.meanings
        ]
        seen = frozenset[Dot]().union(*(one.seen for one in known))
        gone = frozenset[Atom]().union(*(one.gone for one in known))
        waiting = frozenset[tuple[Target, Vector]]().union(*(one.waiting for one in known))
        return self._cleared(Meaning(seen, gone, waiting))

    def updated(
        self, before: Record | None, dot: Dot, write_id: bytes, time: int, said: dict[str, Any], context: Vector
    ) -> None:
        """A coordinator with the copy `before` took the update in under `dot`."""
        vector = () if before is None else before.vector
        meaning = self.joined(before)
        targets, atoms, over = _parts(self.kind, said, (), dot)
        alive = self._alive(meaning)
        gone = set(self._atoms(meaning.seen)) - set(alive)
        gone.update(atom for atom in alive if any(_same_place(atom, new) for new in over))
        waiting = {one for one in meaning.waiting if not _descends(vector, one[1])}
        removals = {(target, context) for target in targets}
        seen = Meaning(meaning.seen, frozenset(gone), frozenset(removals))
        gone = set(self._cleared(seen).gone)
        if not _descends(vector, context):
            waiting |= removals
        self.events[dot] = Event(dot, write_id, time, tuple(atoms))
        self.meanings[dot] = Meaning(meaning.seen | {dot}, frozenset(gone), frozenset(waiting))

    def value(self, meaning: Meaning) -> Any:
        """What readers are shown; counters as a `Sum`."""
        alive = self._alive(meaning)
        return self._value(self.kind, (), alive, self._atoms(meaning.seen))

    def check(self, record: Record | None, shown: Any) -> None:
        """`shown` is the value in `record`, which holds typed siblings and tombstones only."""
        meaning = self.joined(record)
        expected = self.value(meaning)
        if not agrees(expected, shown):
            raise Violation(f"shown {shown!r}, not {expected!r}")
        if self.never_deleted and record is not None:
            covered = {dot for dot in self.events if covers(record.vector, *dot)}
            if covered != meaning.seen:
                raise Violation(f"updates lost: {covered - meaning.seen}")

    def holds(self, record: Record | None, path: Path, name: str) -> set[str]:
        """The kinds in which a map's field is there."""
        meaning = self.joined(record)
        alive = [atom for atom in self._alive(meaning) if atom.what == "there"]
        return {atom.path[-1][1] for atom in alive if atom.path[:-1] == path and atom.path[-1][0] == name}

    # --- parts --------------------------------------------------------------------------------------------------------

    def _atoms(self, seen: Iterable[Dot]) -> list[Atom]:
        return [atom for dot in sorted(seen) for atom in self.events[dot].atoms]

    def _alive(self, meaning: Meaning) -> list[Atom]:
        """The atoms that are not gone, nor gone as an atom of another event of the same write: of increments both may
        count, as one, and a register's only value stays."""
        undone = {self._deed(atom) for atom in meaning.gone if atom.what != "inc"}
        alive = [atom for atom in self._atoms(meaning.seen) if atom not in meaning.gone]
        once = [atom for atom in alive if self._deed(atom) not in undone]
        values = {atom.path for atom in once if atom.what == "value"}
        return [
            atom
            for atom in alive
            if self._deed(atom) not in undone or (atom.what == "value" and atom.path not in values)
        ]

    def _deed(self, atom: Atom) -> tuple[Any, ...]:
        """What a write did, whichever of its events did it."""
        return self.events[atom.event].write_id, atom.path, atom.what, atom.item

    def _cleared(self, meaning: Meaning) -> Meaning:
        gone = set(meaning.gone)
        for atom in self._atoms(meaning.seen):
            if any(target.hits(atom) and covers(vector, *atom.event) for target, vector in meaning.waiting):
                gone.add(atom)
        return meaning._replace(gone=frozenset(gone))

    def _value(self, kind: str, path: Path, alive: list[Atom], everything: list[Atom]) -> Any:
        here = [atom for atom in alive if atom.path == path]
        if kind == "counter":
            return self._sum(path, here, everything)
        if kind == "set":
            return {atom.item for atom in here if atom.what == "add"}
        if kind == "flag":
            return any(atom.what == "on" for atom in here)
        if kind == "register":
            values = [(self.events[atom.event].time, atom.event, atom.item) for atom in here if atom.what == "value"]
            return max(values)[2] if values else None
        depth = len(path)
        fields = {atom.path[depth] for atom in alive if atom.what == "there" and atom.path[:depth] == path != atom.path}
        return {
            field: self._value(field[1], (*path, field), alive, everything)
            for field in fields
            if any(atom.what == "there" and atom.path == (*path, field) for atom in alive)
        }

    def _sum(self, path: Path, here: list[Atom], everything: list[Atom]) -> Sum:
        """Each write once. Of a write that is gone as one event and not as another, either is right."""
        all_of = [atom for atom in everything if atom.path == path and atom.what == "inc"]
        amounts = {self.events[atom.event].write_id: atom.item for atom in all_of}
        gone = {self.events[atom.event].write_id for atom in all_of if atom not in here}
        return Sum(sum(by for write, by in amounts.items() if write not in gone), sum(amounts.values()))


def agrees(expected: Any, shown: Any) -> bool:
    """Whether an answer is what the oracle expects."""
    if isinstance(expected, Sum):
        return isinstance(shown, int) and expected.low <= shown <= expected.high
    if isinstance(expected, dict):
        return _flat(shown).keys() == expected.keys() and all(
            agrees(expected[key], _flat(shown)[key]) for key in expected
        )
    if isinstance(expected, set):
        return len(shown) == len(expected) and {named(one) for one in shown} == expected
    return type(expected) is type(shown) and bool(expected == shown)


def named(element: Any) -> tuple[str, Any]:
    """An element that is equal to no other: to Python 1 is True."""
    return type(element).__name__, element


def _flat(shown: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """A map's answer by (name, kind)."""
    flat = {}
    for name, one in shown.items():
        for single in one["values"] if one["type"] == "several" else [one]:
            flat[name, single["type"]] = single["value"]
    return flat


def _parts(kind: str, said: dict[str, Any], path: Path, dot: Dot) -> tuple[list[Target], list[Atom], list[Atom]]:
    """(what it removes, its effects, those of them that are set over what was there)."""
    if kind == "counter":
        return [], [Atom(dot, path, "inc", said["increment"])], []
    if kind == "set":
        targets = [Target(path, "add", named(item)) for item in said.get("remove", [])]
        return targets, [Atom(dot, path, "add", named(item)) for item in said.get("add", [])], []
    if kind == "flag":
        return ([], [Atom(dot, path, "on", None)], []) if said["enable"] else ([Target(path, "on", None)], [], [])
    if kind == "register":
        value = Atom(dot, path, "value", said["set"])
        return [], [value], [value]
    targets = [Target(path, "", None, field) for field in said.get("remove", [])]
    atoms: list[Atom] = []
    over: list[Atom] = []
    for name, inner in said.get("update", {}).items():
        within = (*path, (name, inner["type"]))
        atoms.append(Atom(dot, within, "there", None))
        inner_targets, inner_atoms, inner_over = _parts(inner["type"], inner, within, dot)
        targets += inner_targets
        atoms += inner_atoms
        over += inner_over
    return targets, atoms, over


def _same_place(atom: Atom, new: Atom) -> bool:
    return (atom.path, atom.what) == (new.path, new.what)


def _descends(vector: Vector, context: Vector) -> bool:
    return all(covers(vector, actor, counter) for actor, counter in context)
