"""One node of the reaping world, what is on the wire between two, and what a read keeps in mind."""

from collections.abc import Callable
from typing import NamedTuple

from dynkv.core.record import digest, encode
from tests.property.causality_node import Node
from tests.property.causality_oracle import History

PRIMARIES = (0, 1, 2)
FALLBACKS = (3, 4)
NODES = PRIMARIES + FALLBACKS
NAMES = ("p0", "p1", "p2", "f3", "f4")

# Ticks for which a frame may be on the wire, and a read in progress.
FRAME = 3
REQUEST = 5


class Member(Node):
    """A node with hints: who is owed its copy. What it says waits for its disk (`after_sync`)."""

    def __init__(self, number: int, mint: Callable[[], int]) -> None:
        super().__init__(number, mint)
        self.up = True
        self.sound = True
        self.owed: frozenset[int] = frozenset()
        self.owed_on_disk: frozenset[int] = frozenset()
        self.lives = 0
        self.disks = 0
        self.drops = 0
        self.after_sync: list[Frame] = []

    @property
    def mark(self) -> bytes:
        return b"%d %d" % (self.lives, self.drops)

    @property
    def is_unsynced(self) -> bool:
        return self.copy is not self.disk or self.owed != self.owed_on_disk or bool(self.after_sync)

    @property
    def digest(self) -> bytes | None:
        return None if self.copy is None else digest(encode(self.copy.record))

    def sync(self) -> None:
        super().sync()
        self.owed_on_disk = self.owed

    def drop(self) -> None:
        super().drop()
        self.drops += 1

    def _start(self) -> None:
        super()._start()
        self.owed = self.owed_on_disk
        self.after_sync = []
        self.lives += 1
        self.drops = 0


class Frame(NamedTuple):
    """On the wire until `until`. `arrive` is what it does at its target."""

    target: int
    until: int
    arrive: Callable[[], None]


class Reading(NamedTuple):
    """What a read at node `at` has met, in memory until `until`."""

    at: int
    data: bytes
    history: History
    until: int
