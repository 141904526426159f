"""A history: what clients asked, when, and what they were told; and what was done to the cluster meanwhile.

One line of JSON each. Times are seconds since the run began, by one clock. An operation ends in one of three ways:

    ok      it was done, and a read was answered
    fail    it was certainly not done
    info    nobody knows: it may have been done, or may be done yet; so too an operation without an end
"""

from collections.abc import Iterable, Iterator

import msgspec

READS = ("read", "final")
ADDS = ("add", "write", "increment")
REMOVES = ("remove", "delete")


class Op(msgspec.Struct, frozen=True, omit_defaults=True, tag="op", tag_field="line"):
    """One operation of one process; a process does one at a time.

    op: add, write, increment (what puts `value` there), remove, delete (what takes away what it saw), read, or final: a
    read after all was healed. saw: the values that a read showed, or that the writer had seen, whose context it gave.
    node: who was asked ("any": whoever the client chose). level: how many replicas had to answer, if not as usual.
    """

    process: int
    op: str
    key: str
    invoke: float
    ok: float | None = None
    fail: float | None = None
    info: float | None = None
    node: str = "any"
    value: str = ""
    saw: tuple[str, ...] = ()
    level: str = ""
    error: str = ""

    @property
    def end(self) -> float:
        """When it ended; for one without an end, never."""
        return next((at for at in (self.ok, self.fail, self.info) if at is not None), float("inf"))

    @property
    def outcome(self) -> str:
        return "ok" if self.ok is not None else "fail" if self.fail is not None else "info"

    @property
    def is_read(self) -> bool:
        return self.op in READS

    @property
    def may_have_happened(self) -> bool:
        """Whether it is a write that was done, or may have been."""
        return not self.is_read and self.fail is None


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, tag="fault", tag_field="line"):
    """What was done to the cluster. target: a node, or ways between nodes. impossible: why it could not be done."""

    kind: str
    target: str
    begin: float
    end: float | None = None
    detail: str = ""
    impossible: str = ""


class Head(msgspec.Struct, frozen=True, omit_defaults=True, tag="head", tag_field="line"):
    """What was run. strict: reads and writes are of quorums that meet, so that a read knows every earlier acknowledged
    write. seconds: how long clients worked. converged: whether the replicas agreed in the end, as they say; "" if so,
    else what they said. notes: what a reader of the verdict should know."""

    workload: str
    seed: str
    nodes: tuple[str, ...]
    faults: tuple[str, ...]
    seconds: float
    strict: bool = True
    converged: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()


Line = Head | Op | Fault

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class BadHistory(Exception):
    """Not a history; the text names the line."""


class History(msgspec.Struct):
    """All of it. Operations are in the order of their ends."""

    head: Head
    ops: list[Op]
    faults: list[Fault]

    def lines(self) -> Iterator[bytes]:
        """As it is written: the head, then faults and operations."""
        for line in (self.head, *self.faults, *self.ops):
            yield _encode(line) + b"\n"

    def by_key(self) -> dict[str, list[Op]]:
        """The operations on each key."""
        keys: dict[str, list[Op]] = {}
        for op in self.ops:
            keys.setdefault(op.key, []).append(op)
        return keys


def read(lines: Iterable[bytes]) -> History:
    """The history in these lines. BadHistory."""
    head: Head | None = None
    ops: list[Op] = []
    faults: list[Fault] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _decode(text)
        except msgspec.DecodeError as error:
            raise BadHistory(f"line {number}: {error}") from error
        if isinstance(line, Head):
            head = line
        elif isinstance(line, Op):
            ops.append(line)
        else:
            faults.append(line)
    if head is None:
        raise BadHistory("there is no head, which says what was run")
    return History(head, ops, faults)


class Anomaly(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that must not be. kind: a few words, the same for all of a class. at: when it showed. ops: those that
    show it, for the picture."""

    kind: str
    key: str
    detail: str
    at: float
    ops: tuple[Op, ...] = ()
