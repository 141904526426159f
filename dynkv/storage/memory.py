"""The Store in memory, with a disk that fails on command: for tests and for the simulation.

`MemoryDisk` is what outlives the node: the durable map, and the tail of batches written and not yet synced. A process
killed leaves the whole tail to its successor; a machine that loses power leaves some first part of it. The disk's
fields are its faults and may be changed at any time. All waiting is in the running loop's time, which may be virtual.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from dynkv.core.errors import DamagedDirectory, StoreBusy, StoreReadFailed, StoreReadOnly, StoreWriteFailed
from dynkv.runtime import Clock
from dynkv.storage.base import SCAN_BYTES, Change, Done, Durability, Durable, Renew, StoreStatus
from dynkv.storage.committer import RETRY_EVERY_S, SYNC_EVERY_S, Committer
from dynkv.storage.damage import DamageWatch


class MemoryDisk:
    """A disk and its faults."""

    def __init__(self, database: str = "") -> None:
        self.database = database
        self.durable: dict[bytes, bytes] = {}
        self.sequence = 0
        """Changes that became durable so far."""
        self.tail: list[tuple[Change, ...]] = []
        self.sync_seconds = 0.0
        """How long a sync takes."""
        self.write_error: OSError | None = None
        """What writes fail with (ENOSPC), and attempts to reopen."""
        self.sync_error: OSError | None = None
        """What syncs fail with (EIO), and attempts to reopen."""
        self.kept_after_failure = 0
        """Batches of the tail that a reopen after a failure finds again."""
        self.stalled = False
        """Whether writes are refused as by a disk that is behind."""
        self.unreadable: set[bytes] = set()
        """Keys whose block is damaged."""
        self.damaged = ""
        """Why the store cannot be opened without loss."""

    def lose_tail(self, keep: int = 0) -> None:
        """The power fails: of what was not synced only the first `keep` batches are found again."""
        del self.tail[keep:]

    def fold(self, batches: int) -> None:
        """The first `batches` of the tail have become durable."""
        for batch in self.tail[:batches]:
            for key, value in batch:
                if value is None:
                    self.durable.pop(key, None)
                else:
                    self.durable[key] = value
            self.sequence += len(batch)
        del self.tail[:batches]

    def error(self) -> OSError | None:
        """What a write with its sync would fail with now."""
        return self.write_error or self.sync_error


class MemoryStore:
    """A Store on a MemoryDisk. Made on the running loop; DamagedDirectory if the disk is."""

    def __init__(
        self,
        disk: MemoryDisk,
        durability: Durability,
        *,
        clock: Clock,
        renew: Renew,
        sync_every_s: float = SYNC_EVERY_S,
        retry_every_s: float = RETRY_EVERY_S,
    ) -> None:
        self.disk = disk
        self._renew = renew
        self._loop = asyncio.get_running_loop()
        self._committer = Committer(
            self, durability, clock=clock, sync_every_s=sync_every_s, retry_every_s=retry_every_s
        )
        self._damage = DamageWatch(clock)
        self._committer.on_damaged = self._damage.found
        self._writes = self._stalls = 0
        self._gone = False
        self._turns: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._load()

    @property
    def on_reopened(self) -> Callable[[], None] | None:
        return self._committer.on_reopened

    @on_reopened.setter
    def on_reopened(self, hook: Callable[[], None] | None) -> None:
        self._committer.on_reopened = hook

    @property
    def on_damaged(self) -> Callable[[str], None] | None:
        return self._damage.hook

    @on_damaged.setter
    def on_damaged(self, hook: Callable[[str], None] | None) -> None:
        self._damage.hook = hook

    @property
    def durable(self) -> Durable:
        return Durable(self.disk.database, self.disk.sequence)

    def get(self, key: bytes) -> bytes | None:
        self._check_readable(key)
        return self._map.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def write(self, changes: Sequence[Change]) -> None:
        committer = self._committer
        if committer.refusal is not None:
            raise StoreReadOnly(f"read-only: {committer.refusal}")
        if self.disk.stalled:
            self._stalls += 1
            raise StoreBusy("the disk is behind with earlier writes")
        if self.disk.write_error is not None:
            failure = StoreWriteFailed(str(self.disk.write_error))
            committer.fail(failure)
            raise failure
        batch = tuple(changes)
        self.disk.tail.append(batch)
        self._apply(batch)
        self._writes += 1
        committer.wrote()

    def when_durable(self, done: Done) -> None:
        self._committer.when_durable(done)

    def scan(self, start: bytes, end: bytes, limit: int, bytes_max: int = SCAN_BYTES) -> list[tuple[bytes, bytes]]:
        first = bisect_left(self._keys, start)
        found: list[tuple[bytes, bytes]] = []
        left = bytes_max
        for key in self._keys[first : first + limit]:
            if key >= end or left <= 0:
                break
            self._check_readable(key)
            found.append((key, self._map[key]))
            left -= len(self._map[key])
        return found

    def status(self) -> StoreStatus:
        committer = self._committer
        return StoreStatus(
            healthy=committer.failure is None,
            read_only=committer.refusal is not None,
            reason=committer.failure or "",
            writes=self._writes,
            syncs=committer.syncs,
            sync_seconds=committer.sync_seconds,
            sync_seconds_max=committer.sync_seconds_max,
            sync_failures=committer.sync_failures,
            stalls=self._stalls,
            reopens=committer.reopens,
            bytes=sum(len(key) + len(value) for key, value in self._map.items()),
        )

    async def close(self) -> None:
        try:
            await self._committer.close()
        finally:
            for finish, timer in list(self._turns.items()):  # what was handed over is done, as by a thread that ends
                timer.cancel()
                finish()
            self._gone = True

    def crash(self) -> None:
        """The process dies: no callback runs any more, and what was written and not synced is left to the disk."""
        self._gone = True

    def in_turn(self, work: Callable[[], None], done: Done) -> None:
        def finish() -> None:
            del self._turns[finish]
            if self._gone:
                return
            error: Exception | None = None
            try:
                work()
            except Exception as caught:  # noqa: BLE001 - nothing is swallowed: `done` gets it
                error = caught
            done(error)

        self._turns[finish] = self._loop.call_later(self.disk.sync_seconds, finish)

    # What the committer drives. Never two at a time.

    def sync(self, done: Done) -> None:
        """Make durable what was written, after `sync_seconds`."""
        batches = len(self.disk.tail)

        def finish() -> None:
            if self._gone:
                return
            if self.disk.sync_error is not None:
                done(StoreWriteFailed(str(self.disk.sync_error)))
            else:
                self.disk.fold(batches)
                done(None)

        self._loop.call_later(self.disk.sync_seconds, finish)

    def reopen(self, done: Done) -> None:
        """Read anew what the disk kept, once it works again."""

        def finish() -> None:
            if self._gone:
                return
            error: Exception | None = self.disk.error()
            if error is None:
                self.disk.lose_tail(self.disk.kept_after_failure)
                try:
                    self._load()
                    self._renew("the store was reopened after a failed write or sync")
                except DamagedDirectory as damage:
                    error = damage
            done(error)

        self._loop.call_later(self.disk.sync_seconds, finish)

    def _load(self) -> None:
        if self.disk.damaged:
            raise DamagedDirectory(self.disk.damaged)
        self.disk.fold(len(self.disk.tail))  # an open writes what it found to new files, and syncs them
        self._map = dict(self.disk.durable)
        self._keys = sorted(self._map)

    def _apply(self, batch: tuple[Change, ...]) -> None:
        for key, value in batch:
            if value is None:
                if self._map.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._map:
                    insort(self._keys, key)
                self._map[key] = value

    def _check_readable(self, key: bytes) -> None:
        if self._gone:
            raise StoreReadFailed("cannot read: the store is closed")
        if key in self.disk.unreadable:
            self._damage.found("the block is damaged")
            raise StoreReadFailed("cannot read: the block is damaged")
