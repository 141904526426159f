"""What a client gets: an entry for a read, a receipt for a write, and the siblings of an entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dynkv.client.errors import ConflictError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sibling:
    """One value of a key that no write has replaced.

    value: decoded; data: its bytes. dot: the name of its write, "ACTOR-COUNTER" (a single read's only value comes
    without: ""). time: when it was written, by a node's clock.
    """

    value: Any
    dot: str
    time: datetime
    content_type: str
    data: bytes = field(repr=False)

    @property
    def who(self) -> str:
        """The copy through which it was written; one per key and node, not one per client."""
        return self.dot.partition("-")[0]

    @property
    def order(self) -> tuple[datetime, str, int]:
        """By time, then dot: an order of siblings that all clients agree on."""
        actor, _, counter = self.dot.partition("-")
        return self.time, actor, int(counter or 0)


_UNRESOLVED: Any = object()


class Entry:
    """What a read found.

    context: give it back with a write that replaces what was read; also of a deleted key, empty of one never written.
    siblings: all values, ascending by time and dot. tombstones: deletions that are hidden beside them.
    resolved: whether a resolver made `value` of several.
    """

    __slots__ = ("_value", "bucket", "context", "etag", "key", "resolved", "siblings", "tombstones")

    def __init__(
        self,
        bucket: str,
        key: str,
        siblings: Sequence[Sibling] = (),
        context: str = "",
        etag: str = "",
        tombstones: int = 0,
        value: Any = _UNRESOLVED,
        resolved: bool = False,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self.siblings = tuple(siblings)
        self.context = context
        self.etag = etag
        self.tombstones = tombstones
        self.resolved = resolved
        self._value = siblings[0].value if value is _UNRESOLVED and len(siblings) == 1 else value

    def __repr__(self) -> str:
        shown = f"{len(self.siblings)} siblings" if self._value is _UNRESOLVED else repr(self._value)
        return f"Entry({self.bucket}/{self.key}: {shown if self.found else 'not found'})"

    @property
    def found(self) -> bool:
        """Whether there is any value."""
        return bool(self.siblings)

    @property
    def deleted(self) -> bool:
        """Whether it is known to have been deleted; false too if it is merely not there."""
        return not self.siblings and bool(self.context)

    @property
    def values(self) -> list[Any]:
        """All values, however many; of a key not found none."""
        return [sibling.value for sibling in self.siblings]

    @property
    def value(self) -> Any:
        """The value: the only one, what the resolver made, or the read's `default`. ConflictError if they were kept."""
        if self._value is _UNRESOLVED:
            raise self.conflict("the siblings were kept as they are")
        return self._value

    @property
    def content_type(self) -> str:
        """The one that all siblings share, else empty."""
        kinds = {sibling.content_type for sibling in self.siblings}
        return kinds.pop() if len(kinds) == 1 else ""

    @property
    def time(self) -> datetime:
        """Of the newest value; 1970 if there is none."""
        return max((sibling.time for sibling in self.siblings), default=EPOCH)

    def conflict(self, why: str) -> ConflictError:
        return ConflictError(self.bucket, self.key, self.siblings, self.context, self.etag, why)

    def with_value(self, value: Any, *, resolved: bool) -> "Entry":
        return Entry(
            self.bucket, self.key, self.siblings, self.context, self.etag, self.tombstones, value, resolved=resolved
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """An applied write.

    dot: its name (empty for the retry of a write that has since been overwritten). context: for the author's next
    write. siblings: how many values the key has now, as far as the coordinator knows; more than one is a conflict.
    """

    bucket: str
    key: str
    dot: str
    context: str
    etag: str
    siblings: int
    write_id: str
    outcome: str = "applied"
    follow: Callable[["Receipt", Any, float | None], Any] | None = field(default=None, repr=False, compare=False)

    def replicated(self, n: int | str = "all", timeout: float | None = None) -> Any:
        """Wait until `n` of the key's primaries have the write; who has it, as `Replicated`. To be awaited, but for a
        receipt of the blocking `Client`. NotReplicated if that takes longer than `timeout` seconds."""
        if self.follow is None:
            raise ValueError("this receipt was not given by a client")
        return self.follow(self, n, timeout)


class Replicated(NamedTuple):
    """Which primaries know a write durably: its value is there, or what has replaced it. unknown: and why."""

    have: list[str]
    lack: list[str]
    unknown: dict[str, str]
