"""What a client's request asks of the coordinator, and what comes back: the seam between `http` and `coordinator`."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from dynkv.core.bucket import Conflict
from dynkv.core.errors import QuorumUnmet
from dynkv.core.levels import Levels
from dynkv.core.record import Record, Vector
from dynkv.core.session import Demand
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
    """`record` is the merge of all that answered, None if no replica holds the key; `digest` is of it (or b"").

    `holders`: who of those that answered holds all of it.
    """

    record: Record | None
    digest: bytes
    holders: Sequence[str] = ()


class WriteResult(msgspec.Struct, frozen=True):
    """An applied write: its dot (0, 0 if a retry of one since overwritten), the context that its author may write with
    next, digest and number of shown siblings of the coordinator's record, and what each replica that was asked had said
    when the quorum was met. Who covers `covering` has the write. `state`: of a typed value after its update, if the
    write asked for it; `context` is then of that value."""

    actor: int
    counter: int
    context: Vector
    digest: bytes
    siblings: int
    replicas: dict[str, str]
    covering: Vector
    state: bytes = b""


class Receipt(NamedTuple):
    """Of one write. `have` and `lack` are primaries that said so durably, `unknown` the others and why."""

    have: list[str]
    lack: list[str]
    unknown: dict[str, str]


class Listed(NamedTuple):
    """What a listing lists: keys of a bucket that begin with `prefix`; r, and the time it may get no further, are in
    `levels`."""

    bucket: str
    prefix: bytes
    levels: Levels
    conflict: Conflict


class Stretch(NamedTuple):
    """Part of a listing: the partitions from `first` to `last`, of the first of them only keys beyond `after` (b"": all
    of them)."""

    first: int
    last: int
    after: bytes


class Missing(msgspec.Struct, frozen=True):
    """A partition that could not be listed, or not to its end."""

    partition: int
    why: str


class Scanner(Protocol):
    """A listing in progress. `missing`: what could not be listed so far; `unmet`: what the last of it failed with."""

    missing: list[Missing]
    unmet: QuorumUnmet | None

    async def step(self) -> Sequence[bytes]:
        """The next keys; none at the end. Not to be called while it runs."""
        ...

    def rest(self) -> Sequence[Stretch]:
        """What is not listed: missing, or not come to. Ascending; empty if all is told."""
        ...


class Coordinator(Protocol):
    """All raise RequestError or ServiceError (QuorumUnmet, Overloaded, NotFormed) and nothing else."""

    async def get(
        self, bucket: str, key: bytes, levels: Levels, trace: Trace | None = None, demand: Demand | None = None
    ) -> ReadResult:
        """Read from `levels.r` replicas; what they disagree on is repaired after this returns. With a session's
        `demand`: SessionBehind if it cannot be met."""
        ...

    async def put(self, write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
        """Write or delete; returns when `levels.w` replicas have it durably. SessionBehind if the write's demand cannot
        be met."""
        ...

    async def put_many(self, writes: Sequence[tuple[Write, Levels, Conflict]]) -> list[WriteResult | Exception]:
        """The same for many, side by side: what became of each, in order, be it an error that nobody foresaw. Raises
        NotFormed."""
        ...

    async def receipt(
        self, bucket: str, key: bytes, n: int, dot: tuple[int, int], timeout_s: float, enough: int
    ) -> Receipt:
        """Which of the n primaries have the write with this dot, asked until `enough` have said so."""
        ...

    def scan(self, listed: Listed, stretches: Sequence[Stretch] | None = None, limit: int | None = None) -> Scanner:
        """List the keys, or those of some stretches, or no more than so many. Nothing is asked before the first step;
        a step raises nothing of the above."""
        ...


__all__ = [
    "Coordinator",
    "Event",
    "Listed",
    "Missing",
    "ReadResult",
    "Receipt",
    "Scanner",
    "Stretch",
    "Trace",
    "Vector",
    "Write",
    "WriteResult",
]
