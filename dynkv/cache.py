"""Copies read or written lately, so that a hot key costs a look into a dict and not into RocksDB.

Two generations instead of a list in order of use: what is used goes into the young one; when that is half of the bound,
the old one is forgotten and the young one takes its place. What was used lately is in one of the two, a look is one or
two lookups, and nothing is moved on a hit in the young one.
"""

from dynkv.storage.envelope import Envelope

# Of an entry beside its record: two objects, a key, a place in a dict.
OVERHEAD_BYTES = 300


class CopyCache:
    """Stored key -> envelope, at most `bytes_max` in memory. Zero keeps nothing."""

    __slots__ = ("_generation_bytes_max", "_old", "_young", "_young_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._generation_bytes_max = bytes_max // 2
        self._young: dict[bytes, Envelope] = {}
        self._old: dict[bytes, Envelope] = {}
        self._young_bytes = 0

    def get(self, stored_key: bytes) -> Envelope | None:
        """The copy, if it is kept."""
        copy = self._young.get(stored_key)
        if copy is None and self._old:
            copy = self._old.pop(stored_key, None)
            if copy is not None:
                self.keep(stored_key, copy)
        return copy

    def keep(self, stored_key: bytes, copy: Envelope) -> None:
        """Take in a copy that is not in the young generation."""
        size = len(copy.record) + OVERHEAD_BYTES
        if self._young_bytes + size > self._generation_bytes_max:
            if size > self._generation_bytes_max:
                return
            self._old = self._young
            self._young = {}
            self._young_bytes = 0
        self._young[stored_key] = copy
        self._young_bytes += size

    def forget(self, stored_key: bytes) -> None:
        """The copy is about to change."""
        copy = self._young.pop(stored_key, None)
        if copy is not None:
            self._young_bytes -= len(copy.record) + OVERHEAD_BYTES
        elif self._old:
            self._old.pop(stored_key, None)

    def clear(self) -> None:
        """Forget all."""
        self._young = {}
        self._old = {}
        self._young_bytes = 0
