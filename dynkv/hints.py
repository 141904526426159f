"""Hints: durable notes that a record is owed to a node.

A hint is a marker (target, key) beside the one stored record, never a second copy of it: handoff sends the merged
record of the moment it is paid. `HintBook` keeps the count, bytes and oldest age per target in memory, and turns
"owe" and "settle" into changes that the replica writes in the same atomic batch as the record. Hints are never dropped
by age or count; only handoff settles them.

The oldest age is exact while nothing is paid; while handoff drains a target it may name a hint already paid, until the
next pass has seen every marker that is left.
"""

import msgspec

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

    def get(self, target: str, partition: int, bucket: str, key: bytes) -> Marker | None:
        """The hint for this target and key, if there is one. StoreReadFailed if unknown."""
        value = self._store.get(hint_key(target, partition, bucket, key))
        return None if value is None else _decode(value)

    def owe(
        self, target: str, partition: int, bucket: str, key: bytes, *, digest: bytes, size: int, now_ms: int
    ) -> tuple[bytes, bytes]:
        """The change that notes the debt; counted at once, so the caller writes it or stops serving."""
        stored_key = hint_key(target, partition, bucket, key)
        before = self._store.get(stored_key)
        backlog = self.backlogs.setdefault(target, Backlog())
        created_ms = now_ms
        if before is None:
            backlog.count += 1
        else:
            marker = _decode(before)
            created_ms = marker.created_ms
            backlog.bytes -= marker.size
        backlog.bytes += size
        if backlog.oldest_ms == 0 or created_ms < backlog.oldest_ms:
            backlog.oldest_ms = created_ms
        return stored_key, _encode(Marker(created_ms, digest, size))

    def settle(self, target: str, partition: int, bucket: str, key: bytes, marker: Marker) -> tuple[bytes, None]:
        """The change that strikes out `marker`, which the caller has just read."""
        backlog = self.backlogs.setdefault(target, Backlog())
        backlog.count -= 1
        backlog.bytes -= marker.size
        if backlog.count == 0:
            backlog.oldest_ms = 0
        self.paid += 1
        return hint_key(target, partition, bucket, key), None

    async def count(self) -> None:
        """Count the stored hints, at start, in small steps."""
        cursor, end = hint_range()
        while page := self._store.scan(cursor, end, COUNT_STEP):
            for stored_key, value in page:
                self._recount(parse_hint_key(stored_key)[0], _decode(value))
            cursor = after(page[-1][0])
            await pause(0)

    def _recount(self, target: str, marker: Marker) -> None:
        backlog = self.backlogs.setdefault(target, Backlog())
        backlog.count += 1
        backlog.bytes += marker.size
        if backlog.oldest_ms == 0 or marker.created_ms < backlog.oldest_ms:
            backlog.oldest_ms = marker.created_ms

    def total(self) -> int:
        """Hints for all targets."""
        return sum(backlog.count for backlog in self.backlogs.values())
