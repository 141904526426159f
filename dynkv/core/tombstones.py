"""The tombstones that a reaper knows of: when to look at each again, and why it is still there. Without I/O or a clock.

The list is bounded. A tombstone in its grace period may only have half of the room, so that a day's deletes do not keep
out what could go now; what finds no room is counted, and is offered again by whoever reads through all records. One
that could not go is looked at again after a rest that doubles, up to an hour, and begins anew when all are hurried.

Each is in one of three places: waiting, for its grace period to end or for its rest (two heaps by time, so that all who
rest can be hurried at once); ready, by partition, because one partition is worked on at a time; or taken, in the hands
of the reaper, which gives it back (`put_back`) or says that it is `gone`.
"""

from collections import Counter, deque
from collections.abc import Collection
from heapq import heappop, heappush

from dynkv.core.reaping import Kind, Obstacle

KEYS_MAX = 32_768
NAME_BYTES_MAX = 16 * 1024 * 1024
REST_S = 30.0
REST_S_MAX = 3600.0
# Of those whose time has come, so many are made ready at a time.
STEP_KEYS = 1024

Name = tuple[str, bytes]
"""Bucket and key."""

QUEUED = Obstacle("being confirmed", "not looked at yet")


class Entry:
    """One tombstone."""

    __slots__ = ("era", "obstacle", "partition", "tries")

    def __init__(self, partition: int, obstacle: Obstacle) -> None:
        self.partition = partition
        self.obstacle = obstacle
        self.tries = 0
        self.era = 0  # in which these were made: how often all had been hurried by then


class Tombstones:
    """Those of one node. Times are seconds of one monotonic clock."""

    def __init__(self, keys_max: int = KEYS_MAX, name_bytes_max: int = NAME_BYTES_MAX) -> None:
        self.overflowed = 0
        self._era = 0
        self._keys_max = keys_max
        self._name_bytes_max = name_bytes_max
        self._entries: dict[Name, Entry] = {}
        self._name_bytes = 0
        self._kinds: Counter[Kind] = Counter()
        self._young: list[tuple[float, Name]] = []
        self._resting: list[tuple[float, Name]] = []
        self._hurried: list[tuple[float, Name]] = []
        self._ready: dict[int, deque[Name]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def counts(self) -> dict[Kind, int]:
        """How many there are for each reason."""
        return {kind: count for kind, count in self._kinds.items() if count}

    def obstacle(self, name: Name) -> Obstacle | None:
        """Why it is still there; None if it is not known here."""
        entry = self._entries.get(name)
        return None if entry is None else entry.obstacle

    def add(self, partition: int, name: Name, due: float, obstacle: Obstacle = QUEUED) -> bool:
        """Take it in, to be looked at from `due` on; whether it is known now."""
        if name in self._entries:
            return True
        size = len(name[0]) + len(name[1])
        in_grace = obstacle.kind == "grace"
        full = len(self._entries) >= self._keys_max or self._name_bytes + size > self._name_bytes_max
        if full or (in_grace and self._kinds["grace"] >= self._keys_max // 2):
            self.overflowed += 1
            return False
        self._entries[name] = Entry(partition, obstacle)
        self._name_bytes += size
        self._kinds[obstacle.kind] += 1
        heappush(self._young if in_grace else self._resting, (due, name))
        return True

    def take(self, now: float, limit: int, busy: Collection[int]) -> tuple[int, list[Name]] | None:
        """A partition that is not `busy` and up to `limit` of its tombstones whose time has come; None if none has."""
        self.make_ready(now)
        for partition, names in self._ready.items():
            if partition not in busy:
                taken = [names.popleft() for _ in range(min(limit, len(names)))]
                if not names:
                    del self._ready[partition]
                return partition, taken
        return None

    def put_back(self, name: Name, now: float, obstacle: Obstacle) -> None:
        """A taken one could not go: it rests."""
        entry = self._entries[name]
        self.tell(name, obstacle)
        if entry.era != self._era:
            entry.era, entry.tries = self._era, 0
        rest_s = REST_S * 2**entry.tries
        entry.tries += rest_s < REST_S_MAX
        heappush(self._resting, (now + min(rest_s, REST_S_MAX), name))

    def too_young(self, name: Name, due: float, obstacle: Obstacle) -> None:
        """A taken one is in its grace period until `due`."""
        self.tell(name, obstacle)
        heappush(self._young, (due, name))

    def hurry(self) -> None:
        """What stood in the way may be gone: let nobody rest, and those who are looked at just now not for long."""
        self._era += 1
        self._hurried += self._resting
        self._resting = []

    def tell(self, name: Name, obstacle: Obstacle) -> None:
        """Why a known one is still there."""
        entry = self._entries[name]
        self._kinds[entry.obstacle.kind] -= 1
        self._kinds[obstacle.kind] += 1
        entry.obstacle = obstacle

    def gone(self, name: Name) -> None:
        """A taken one is reaped, or no tombstone any more."""
        entry = self._entries.pop(name)
        self._name_bytes -= len(name[0]) + len(name[1])
        self._kinds[entry.obstacle.kind] -= 1

    def make_ready(self, now: float) -> None:
        """Have some of those whose time has come wait for nothing but the reaper."""
        for _ in range(STEP_KEYS):
            if self._hurried:
                _, name = self._hurried.pop()
            elif self._resting and self._resting[0][0] <= now:
                _, name = heappop(self._resting)
            elif self._young and self._young[0][0] <= now:
                _, name = heappop(self._young)
            else:
                return
            entry = self._entries[name]
            self._ready.setdefault(entry.partition, deque()).append(name)
            if entry.obstacle.kind == "grace":
                self.tell(name, QUEUED)
