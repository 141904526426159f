"""Hints: durable notes that a record is owed to a node.

A hint is a marker (target, key) beside the one stored record, never a second copy of it: handoff sends the merged
record of the moment it is paid. `HintBook` keeps the count, bytes and oldest age per target in memory, and turns
"owe" and "settle" into changes that the replica writes in the same atomic batch as the record. They are counted once
they are written (`wrote`): a disk that refuses a write must not make the count forget a marker that is still there, or
nobody would ever pay it. Hints are never dropped by age or count; only handoff settles them.

The oldest age is exact while nothing is paid; while handoff drains a target it may name a hint already paid, until the
next pass has seen every marker that is left.
"""

from typing import NamedTuple

import msgspec
import structlog

from dynkv.core.errors import StoreError
from dynkv.runtime import pause
from dynkv.storage.base import Store
from dynkv.storage.keys import after, hint_key, hint_range, parse_hint_key

COUNT_STEP = 256


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """The value of a hint: when it was made (wall ms), and digest and size of the record it was last renewed for."""

    created_ms: int
    digest: bytes
    size: int


class Backlog(msgspec.Struct):
    """What is owed to one target."""

    count: int = 0
    bytes: int = 0
    oldest_ms: int = 0  # wall clock; 0 if nothing is owed

    def take_in(self, marker: Marker) -> None:
        """One more."""
        self.count += 1
        self.bytes += marker.size
        if self.oldest_ms == 0 or marker.created_ms < self.oldest_ms:
            self.oldest_ms = marker.created_ms


class Entry(NamedTuple):
    """A change of one marker, to be written, and what it changes in the counts then."""

    target: str
    change: tuple[bytes, bytes | None]
    before: Marker | None
    after: Marker | None


log = structlog.get_logger("dynkv.hints")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Marker).decode


def read_marker(value: bytes) -> Marker:
    """The marker in a stored value. msgspec.DecodeError if it is none."""
    return _decode(value)


class HintBook:
    """The hints of one node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.backlogs: dict[str, Backlog] = {}
        self.paid = 0
        self.paid_to: dict[str, int] = {}

    def get(self, target: str, partition: int, bucket: str, key: bytes) -> Marker | None:
        """The hint for this target and key, if there is one. StoreReadFailed if unknown."""
        value = self._store.get(hint_key(target, partition, bucket, key))
        return None if value is None else _decode(value)

    def owe(
        self, target: str, partition: int, bucket: str, key: bytes, *, digest: bytes, size: int, now_ms: int
    ) -> Entry:
        """What notes the debt, or renews it. The caller writes the change, then says `wrote`."""
        stored_key = hint_key(target, partition, bucket, key)
        value = self._store.get(stored_key)
        before = None if value is None else _decode(value)
        marker = Marker(now_ms if before is None else before.created_ms, digest, size)
        return Entry(target, (stored_key, _encode(marker)), before, marker)

    def settle(self, target: str, partition: int, bucket: str, key: bytes, marker: Marker) -> Entry:
        """What strikes `marker` out, which is the one stored. The caller writes the change, then says `wrote`."""
        return Entry(target, (hint_key(target, partition, bucket, key), None), marker, None)

    def wrote(self, entry: Entry) -> None:
        """The change is in the store: count it."""
        backlog = self.backlogs.setdefault(entry.target, Backlog())
        if entry.before is not None:
            backlog.count -= 1
            backlog.bytes -= entry.before.size
        if entry.after is None:
            self.paid += 1
            self.paid_to[entry.target] = self.paid_to.get(entry.target, 0) + 1
        else:
            backlog.take_in(entry.after)
        if backlog.count == 0:
            backlog.oldest_ms = 0

    async def count(self) -> None:
        """Count the stored hints, at start, in small steps."""
        cursor, end = hint_range()
        while page := self._store.scan(cursor, end, COUNT_STEP):
            self._take_in(page)
            cursor = after(page[-1][0])
            await pause(0)

    def count_anew(self) -> None:
        """The store went back to what was durable. In one go: the counts must be right before the next write."""
        before, self.backlogs = self.backlogs, {}
        cursor, end = hint_range()
        try:
            while page := self._store.scan(cursor, end, COUNT_STEP):
                self._take_in(page)
                cursor = after(page[-1][0])
        except StoreError as error:
            self.backlogs = before
            log.error("hints could not be counted anew", reason=str(error))

    def _take_in(self, page: list[tuple[bytes, bytes]]) -> None:
        for stored_key, value in page:
            self.backlogs.setdefault(parse_hint_key(stored_key)[0], Backlog()).take_in(_decode(value))

    def total(self) -> int:
        """Hints for all targets."""
        return sum(backlog.count for backlog in self.backlogs.values())
