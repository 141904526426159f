"""What a client's request asks of the coordinator, and what comes back: the seam between `http` and `coordinator`."""

from typing import Protocol

import msgspec

from dynkv.core.bucket import Conflict
from dynkv.core.levels import Levels
from dynkv.core.record import Record, Vector
from dynkv.core.write import Write


class Event(msgspec.Struct, frozen=True):
    """One line of an explanation: ms since the request began, which node, what happened."""

    at_ms: float
    node: str
    what: str


class Trace:
    """The story of one request, told only if somebody asked (`explain`)."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.events: list[Event] = []

    def note(self, now: float, node: str, what: str) -> None:
        self.events.append(Event(round((now - self.started) * 1000, 3), node, what))


class ReadResult(msgspec.Struct, frozen=True):
    """`record` is the merge of all that answered, None if no replica holds the key; `digest` is of it (or b"")."""

    record: Record | None
    digest: bytes


class WriteResult(msgspec.Struct, frozen=True):
    """An applied write: its dot (0, 0 if a retry of one since overwritten), the context that its author may write with
    next, digest and number of shown siblings of the coordinator's record, and what each replica that was asked had said
    when the quorum was met."""

    actor: int
    counter: int
    context: Vector
    digest: bytes
    siblings: int
    replicas: dict[str, str]


class Coordinator(Protocol):
    """Both raise RequestError or ServiceError (QuorumUnmet, Overloaded, NotFormed) and nothing else."""

    async def get(self, bucket: str, key: bytes, levels: Levels, trace: Trace | None = None) -> ReadResult:
        """Read from `levels.r` replicas; what they disagree on is repaired after this returns."""
        ...

    async def put(self, write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
        """Write or delete; returns when `levels.w` replicas have it durably."""
        ...


__all__ = ["Coordinator", "Event", "ReadResult", "Trace", "Vector", "Write", "WriteResult"]
