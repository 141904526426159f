"""Which writes this node has met lately, so that a late retry does not bring an overwritten value back.

A retry whose first attempt is still a sibling is found in the record. One whose first attempt has been overwritten
leaves no trace there, and would come back as a new sibling: hence this memory. The same goes for a first attempt at
another node that arrives after its retry has been overwritten. It is bounded and lives as long as the
process; what it has forgotten is treated as new. That costs a resurrected sibling and never a value, but where the
client left it to the store to say what is replaced: in a bucket of `lww`, and by a delete without a context.

Each write is remembered as one 64-bit hash. Python's own is keyed with a secret of the process, so a client cannot aim
for a collision; by chance, one of 100,000 remembered writes meets a new one once in 10**14 writes. Two generations
bound the memory: when the young one is full, the old one is forgotten and the young one becomes old.
"""


class RecentWrites:
    """The last writes, at least `limit` / 2 and at most `limit` of them: about 100 bytes each."""

    __slots__ = ("_generation_max", "_old", "_young")

    def __init__(self, limit: int) -> None:
        """`limit` of 2 or more."""
        if limit < 2:
            raise ValueError("two generations need a limit of at least 2")
        self._generation_max = limit // 2
        self._young: set[int] = set()
        self._old: set[int] = set()

    def add(self, bucket: str, key: bytes, write_id: bytes) -> None:
        """Remember a write that this node's copy of the key has taken in."""
        young = self._young
        young.add(hash((bucket, key, write_id)))
        if len(young) >= self._generation_max:
            self._old = young
            self._young = set()

    def seen(self, bucket: str, key: bytes, write_id: bytes) -> bool:
        """Whether the write is remembered. False says nothing about writes longer ago."""
        write = hash((bucket, key, write_id))
        return write in self._young or write in self._old

    def clear(self) -> None:
        """Forget all: after the disk lost a tail that was not synced, what was taken in may be gone again."""
        self._young.clear()
        self._old.clear()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
