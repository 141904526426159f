"""A correct store as simple as can be, its histories, and ways to spoil one.

The store is one copy, in which every operation happens at one moment between its beginning and its end. A read gives
the values and, as the context, all events known; a write drops those of its context and adds its own. Processes
overlap; now and then an operation is in doubt (it happened, or not), or was certainly not done. What such a store's
clients are told is right by construction. A spoiled copy of a history differs in one thing that no correct store could
have said.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from dynkv.check.history import Head, History, Op

NODES = ("n1", "n2", "n3")


class Cell:
    """One key: all values that ever happened to it, and those that are there."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.there: dict[str, None] = {}
        self.sum = 0

    def put(self, value: str, context: frozenset[str]) -> None:
        self.remove(context)
        self.known.add(value)
        self.there[value] = None

    def remove(self, context: frozenset[str]) -> None:
        self.there = {value: None for value in self.there if value not in context}


class Seen(NamedTuple):
    """What a process read last of a key."""

    shown: tuple[str, ...] = ()
    context: frozenset[str] = frozenset()


class Model:
    """Makes one history."""

    def __init__(self, workload: str, random: Random, steps: int, processes: int = 3, keys: int = 2) -> None:
        self._workload = workload
        self._random = random
        self._cells = {f"k{number}": Cell() for number in range(keys)}
        self._seen: dict[tuple[int, str], Seen] = {}
        self._values = iter(range(10**6))
        self._time = 0.0
        self._ops: list[Op] = []
        self._busy: dict[int, Iterator[None]] = {}
        for _ in range(steps):
            process = random.randrange(processes)
            if process not in self._busy:
                self._busy[process] = self._operation(process)
            if next(self._busy[process], self) is self:
                del self._busy[process]
        for running in self._busy.values():
            for _ in running:
                pass

    def history(self) -> History:
        """What the clients were told, and the last reads at every node."""
        at = self._now()
        finals = [
            Op(-1, "final", key, at, ok=at + 1, node=node, level=level, saw=self._shown(cell))
            for key, cell in self._cells.items()
            for node in NODES
            for level in ("1", "all")
        ]
        head = Head(self._workload, "1", NODES, (), at / 1000, strict=self._workload != "session")
        return History(head, [*sorted(self._ops, key=lambda op: op.end), *finals], [])

    def _now(self) -> float:
        self._time += self._random.choice((0.001, 0.5, 1.0))
        return round(self._time, 3)

    def _shown(self, cell: Cell) -> tuple[str, ...]:
        return (str(cell.sum),) if self._workload == "counter" else tuple(cell.there)

    def _operation(self, process: int) -> Iterator[None]:
        """Begin; happen; end: with a turn of others in between each time, or several."""
        random, key = self._random, self._random.choice(sorted(self._cells))
        cell, node, invoke = self._cells[key], random.choice(NODES), self._now()
        op = self._chosen(process, key, Op(process, "read", key, invoke, node=node))
        how = random.choices(("ok", "info", "fail"), (8, 1, 1))[0]
        yield from [None] * random.randrange(2)
        seen = Seen(self._shown(cell), frozenset(cell.known))
        if op.op == "read":
            how = "ok" if how != "fail" else "fail"
            if how == "ok":
                op = replace(op, saw=seen.shown)
                self._seen[process, key] = seen
        elif how == "ok" or (how == "info" and random.random() < 0.5):
            self._happens(op, cell, self._seen.get((process, key), Seen()).context if op.saw else frozenset())
        yield from [None] * random.randrange(2)
        self._ops.append(replace(op, **{how: self._now()}))

    def _happens(self, op: Op, cell: Cell, context: frozenset[str]) -> None:
        if op.op == "increment":
            cell.sum += int(op.value)
        elif op.op in ("write", "add"):
            cell.put(op.value, context)
        else:
            cell.remove(context)

    def _chosen(self, process: int, key: str, read: Op) -> Op:
        """A read, or something better."""
        chance, seen = self._random.random(), self._seen.get((process, key), Seen())
        if chance < 0.4:
            return read
        if self._workload == "counter":
            return replace(read, op="increment", value=str(self._random.randrange(1, 4)))
        if seen.shown and chance < 0.5 and self._workload == "register":
            return replace(read, op="delete", saw=seen.shown)
        saw = seen.shown if chance < 0.85 else ()
        return replace(read, op="write", value=str(next(self._values)), saw=saw)


Spoil = Callable[[History, Random], History | None]


def _with(history: History, old: Op, **changes: object) -> History:
    ops = [replace(op, **changes) if op is old else op for op in history.ops]
    return History(history.head, ops, history.faults)


def _all_finals(history: History, key: str, saw: tuple[str, ...]) -> History:
    ops = [replace(op, saw=saw) if op.op == "final" and op.key == key else op for op in history.ops]
    return History(history.head, ops, history.faults)


def _final(history: History, random: Random) -> Op:
    return random.choice([op for op in history.ops if op.op == "final"])


def drop_from_one_node(history: History, random: Random) -> History | None:
    """One node has forgotten a value in the end."""
    final = _final(history, random)
    return _with(history, final, saw=final.saw[1:]) if final.saw else None


def drop_acknowledged_everywhere(history: History, random: Random) -> History | None:
    """An acknowledged value is gone for good, and no deletion could have taken it."""
    final = _final(history, random)
    own = [op for op in history.ops if op.key == final.key]
    deleted = {value for op in own if op.op == "delete" and op.fail is None for value in op.saw}
    lost = [op.value for op in own if op.ok is not None and op.value in final.saw and op.value not in deleted]
    return _all_finals(history, final.key, tuple(v for v in final.saw if v != lost[0])) if lost else None


def bring_back(history: History, random: Random) -> History | None:
    """A value that an acknowledged write had seen is back."""
    replaced = [op for op in history.ops if not op.is_read and op.ok is not None and op.saw]
    if not replaced:
        return None
    op = random.choice(replaced)
    final = next(final for final in history.ops if final.op == "final" and final.key == op.key)
    return _all_finals(history, op.key, (*final.saw, op.saw[0]))


def refuse_what_is_there(history: History, random: Random) -> History | None:
    """A write that took effect is said to have been done nowhere."""
    final = _final(history, random)
    there = [op for op in history.ops if op.key == final.key and op.value and op.value in final.saw]
    return _with(history, there[0], ok=None, info=None, fail=there[0].end) if there else None


def invent(history: History, random: Random) -> History | None:
    """Something is read that nobody wrote."""
    op = random.choice([op for op in history.ops if op.is_read and op.ok is not None])
    return _with(history, op, saw=(*op.saw, "nobody's"))


def forget_in_the_middle(history: History, random: Random) -> History | None:
    """A process reads nothing though it has written the key before, or in a session read it, and nobody has deleted
    it."""
    in_session = history.head.workload == "session"
    for op in history.ops:
        before = [
            own
            for own in history.ops
            if own.key == op.key
            and own.process == op.process
            and own.ok is not None
            and own.end < op.invoke
            and (own.op == "write" or (in_session and own.saw))
        ]
        if op.op == "read" and op.saw and before and not any(o.op == "delete" and o.key == op.key for o in history.ops):
            return _with(history, op, saw=())
    return None


def count_less(history: History, random: Random) -> History | None:
    """Fewer increments than were acknowledged."""
    final = _final(history, random)
    least = sum(
        int(op.value) for op in history.ops if op.key == final.key and op.op == "increment" and op.ok is not None
    )
    return _with(history, final, saw=(str(least - 1),)) if least else None


def count_more(history: History, random: Random) -> History | None:
    """More increments than were asked for."""
    final = _final(history, random)
    most = sum(int(op.value) for op in history.ops if op.key == final.key and op.may_have_happened)
    return _with(history, final, saw=(str(most + 1),))


SPOILS: dict[str, tuple[Spoil, ...]] = {
    "register": (
        drop_from_one_node,
        drop_acknowledged_everywhere,
        bring_back,
        refuse_what_is_there,
        invent,
        forget_in_the_middle,
    ),
    "session": (
        drop_from_one_node,
        drop_acknowledged_everywhere,
        bring_back,
        refuse_what_is_there,
        forget_in_the_middle,
    ),
    "counter": (count_less, count_more),
}
