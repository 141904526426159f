"""What clients did and heard, as the checkers read it.

Every value is made of its write's number, so what a read shows names the writes it saw. `seen` of a context is the set
of writes that whoever holds it may replace: those that its read showed, with all that those had seen before them. A
store may drop an acknowledged write only if some write that happened had seen it; that is the whole of causality as a
client can know it, and it is counted here without a look at any version vector.

Sets of writes are whole numbers, bit k for write k: there are many, and they are united all the time.
"""

import re
from typing import Literal

import msgspec

from dynkv.core.record import Vector

Kind = Literal["get", "put", "delete"]
Outcome = Literal["", "ok", "failed", "applied", "ambiguous", "not_applied"]
Dot = tuple[int, int]


class Attempt(msgspec.Struct):
    """One request. `outcome` of a write as the node said it; "" if no answer came."""

    node: str
    began: float
    ended: float = 0.0
    outcome: str = ""


class Op(msgspec.Struct):
    """One operation of one client, with all its attempts.

    Of writes: `context` and `seen`, what it replaces; `dots`, the receipts it got; `durable_at`, the nodes that had it
    on disk when it was first acknowledged. Of reads: `shows`, the numbers of the writes shown, ascending; `vector` and
    `seen` of its context, None if there was no record at all; `repeats`, whether one write was shown as several values.
    `session`: whether the client's session stood behind it, and still knew all it had ever seen of the key.
    """

    number: int
    client: str
    kind: Kind
    key: str
    strict: bool
    began: float
    ended: float = 0.0
    outcome: Outcome = ""
    attempts: list[Attempt] = []
    context: Vector = ()
    seen: int = 0
    dots: list[Dot] = []
    durable_at: tuple[str, ...] = ()
    shows: tuple[int, ...] = ()
    vector: Vector | None = None
    repeats: bool = False
    session: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.outcome == "applied"

    @property
    def reached(self) -> bool:
        """Whether some attempt may have left the write somewhere."""
        return any(attempt.outcome not in ("not_applied", "not sent") for attempt in self.attempts)

    @property
    def write_id(self) -> bytes:
        return b"w%d" % self.number


class History:
    """All operations of a run, by number."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._of: dict[str, list[Op]] = {}

    def begin(self, client: str, kind: Kind, key: str, strict: bool, now: float) -> Op:
        op = Op(len(self.ops), client, kind, key, strict, now)
        self.ops.append(op)
        self._of.setdefault(key, []).append(op)
        return op

    def of(self, key: str) -> list[Op]:
        return self._of.get(key, [])

    def writes(self, key: str) -> list[Op]:
        return [op for op in self.of(key) if op.kind != "get"]

    def used_keys(self) -> list[str]:
        return sorted(self._of)


def value_of(op: Op, size: int) -> bytes:
    """The bytes that write `op` stores: at least `size` of them."""
    return (b"%d." % op.number).ljust(size, b".")


def number_in(value: bytes) -> int:
    """Of the write that stored `value`."""
    return int(value.partition(b".")[0])


def number_of(write_id: bytes) -> int:
    """Of the write whose id this is, or begins with."""
    return int(re.match(rb"w(\d+)", write_id)[1])  # type: ignore[index]  # all ids are of this form


def bit(number: int) -> int:
    return 1 << number
