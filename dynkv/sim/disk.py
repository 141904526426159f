"""A simulated machine's disk: the files beside the database, and the database as a `MemoryDisk` in a place of its own.

A crash of the process leaves what was written; a loss of power leaves a first part of what was not synced, whole
batches only, as a log that is torn at its end is read. A directory may be deleted, or an old copy of it put back.
"""

import copy
from collections.abc import Callable
from pathlib import Path

from dynkv.core.errors import DirectoryInUse
from dynkv.sim.chance import Chance
from dynkv.storage.memory import MemoryDisk

SYNC_S = (0.0002, 0.002)

Snapshot = dict[Path, bytes | MemoryDisk | None]


class SimDisk(MemoryDisk):
    """One database. `slow_s`: what a sync takes at most beyond the usual. `old`: a copy was put back, which the
    node sets aside when it hears of that, so nothing on it counts as there."""

    def __init__(self, chance: Chance, database: str) -> None:
        super().__init__(database)
        self.slow_s = 0.0
        self.old = False
        self._chance = chance

    @property
    def sync_seconds(self) -> float:
        return self._chance.uniform(*SYNC_S) + (self._chance.uniform(0, self.slow_s) if self.slow_s else 0.0)

    @sync_seconds.setter
    def sync_seconds(self, seconds: float) -> None:
        """What the base begins with means nothing here."""

    def be_healthy(self) -> None:
        """It takes writes and syncs again. What is damaged stays so."""
        self.slow_s = 0.0
        self.write_error = self.sync_error = None
        self.stalled = False

    def __deepcopy__(self, memo: dict[int, object]) -> "SimDisk":
        """What a copy of the files at this moment holds: all that was written, whether it was synced or not."""
        there = SimDisk(self._chance, self.database)
        there.durable, there.sequence = dict(self.durable), self.sequence
        there.tail = list(self.tail)
        there.unreadable = set(self.unreadable)
        return there


class SimFiles:
    """`storage.files.Files` of one machine."""

    def __init__(self, chance: Chance, now: Callable[[], float]) -> None:
        self._chance = chance
        self.lost_at = float("-inf")
        """When a database was last set aside, deleted or replaced by a copy."""
        self.replaced = 0
        """Files given new bytes: no more new incarnations than that."""
        self._now = now
        self._there: Snapshot = {}
        self._locked: set[Path] = set()
        self.losses_of_power = 0
        self._made = 0

    def make_directory(self, path: Path) -> None:
        self._there[path] = None

    def lock(self, path: Path) -> Callable[[], None]:
        if path in self._locked:
            raise DirectoryInUse(f"{path} is in use")
        self._locked.add(path)
        return lambda: self._locked.discard(path)

    def exists(self, path: Path) -> bool:
        return path in self._there

    def is_directory(self, path: Path) -> bool:
        return path in self._there and not isinstance(self._there[path], bytes)

    def read(self, path: Path) -> bytes:
        data = self._there.get(path)
        if not isinstance(data, bytes):
            raise FileNotFoundError(f"no file {path}")
        return data

    def replace(self, path: Path, data: bytes) -> None:
        self.replaced += 1
        self._there[path] = data

    def rename(self, path: Path, to: Path) -> None:
        self._there[to] = self._there.pop(path)
        if path.name == "db":
            self.lost_at = self._now()

    def remove(self, path: Path) -> None:
        for name in [name for name in self._there if name == path or path in name.parents]:
            del self._there[name]

    def sync(self, path: Path) -> None:
        """All changes are durable here."""

    # --- databases ----------------------------------------------------------------------------------------------------

    def disk(self, path: Path, *, create: bool = False) -> SimDisk:
        """The database that lies there."""
        disk = self._there.get(path)
        if create:
            self._made += 1
            disk = self._there[path] = SimDisk(self._chance, f"database {self._made}")
        assert isinstance(disk, SimDisk), f"no database in {path}"
        return disk

    def disks(self) -> list[SimDisk]:
        """Those that are in use, not those set aside."""
        return [disk for path, disk in self._there.items() if isinstance(disk, SimDisk) and path.name == "db"]

    # --- what the world does to it ------------------------------------------------------------------------------------

    def process_gone(self) -> None:
        """Its locks are free."""
        self._locked.clear()

    def power_lost(self) -> int:
        """Of what was not synced some first part is left; how many batches are not."""
        self.losses_of_power += 1
        lost = 0
        for disk in self.disks():
            kept = self._chance.below(len(disk.tail) + 1)
            lost += len(disk.tail) - kept
            disk.lose_tail(kept)
        return lost

    def snapshot(self) -> Snapshot:
        """A copy of everything."""
        return copy.deepcopy(self._there)

    def restore(self, snapshot: Snapshot, *, whole: bool = True) -> None:
        """Everything is as it was, or the database alone is."""
        there = copy.deepcopy(snapshot)
        if whole:
            self._there = there
        else:
            self._there |= {path: disk for path, disk in there.items() if path.name == "db"}
        self.lost_at = self._now()

    def clear(self) -> None:
        """Everything is deleted."""
        self._there = {}
        self.lost_at = self._now()
