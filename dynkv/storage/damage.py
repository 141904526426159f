"""When a failed read proves that files are damaged, and who is told.

RocksDB says "Corruption" when a block, read from the file, does not have the checksum it was written with. That is
proof: it is told at the first time. An I/O error is none: a cable, a controller, a volume on the network fail and come
back. Only "Input/output error" (EIO) of one and the same spot, still there `PERSISTS_S` after it was first seen, counts
as a file that has lost a part; other errors (too many open files, no memory) say nothing about the file, and a store
that is closed or reopening says nothing at all. A spot that nobody reads twice is never judged; a scrub reads all.
"""

from collections.abc import Callable

from dynkv.runtime import Clock

PERSISTS_S = 30.0
SPOTS_MAX = 64


def is_corruption(said: str) -> bool:
    """Whether RocksDB's message says that what it read is not what was written."""
    return "Corruption" in said


def is_io_error(said: str) -> bool:
    """Whether it says that the disk could not read a spot."""
    return "Input/output error" in said


class DamageWatch:
    """Judges a store's failed reads, and calls `hook` once, with the reason, when its files are known to be damaged."""

    def __init__(self, clock: Clock) -> None:
        self.hook: Callable[[str], None] | None = None
        self._clock = clock
        self._told = False
        self._seen: dict[str, float] = {}  # message, which names file and offset -> when it was first heard

    def read_failed(self, said: str) -> None:
        """A read failed with this message."""
        if is_corruption(said):
            self.found(said)
        elif is_io_error(said):
            first = self._seen.get(said)
            if first is None:
                if len(self._seen) >= SPOTS_MAX:
                    del self._seen[next(iter(self._seen))]
                self._seen[said] = self._clock.now()
            elif self._clock.now() - first >= PERSISTS_S:
                self.found(said)

    def found(self, why: str) -> None:
        """The files are damaged."""
        if self.hook is not None and not self._told:
            self._told = True
            self.hook(why)
