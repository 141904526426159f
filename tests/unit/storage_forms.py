"""The two forms of the Store as the contract tests drive them: each on a disk whose faults can be switched."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from rocksdict import Options, Rdict

from dynkv.runtime import SystemClock
from dynkv.storage.base import Durability, Store
from dynkv.storage.memory import MemoryDisk, MemoryStore
from dynkv.storage.rocks import RocksStore, Tuning

QUICK_S = 0.02
SMALL = Tuning(memtable_bytes=1 << 20, cache_bytes=1 << 20, reserve_bytes=1 << 20)


class Form(Protocol):
    """A kind of store and its disk. `renewals` are the reasons for which it took a new incarnation."""

    renewals: list[str]

    def open(self, durability: Durability = "synced") -> Store: ...

    def break_sync(self) -> None: ...

    def heal(self) -> None: ...

    def slow_sync(self, seconds: float) -> None: ...

    def stall(self, store: Store) -> None: ...

    def sync_calls(self) -> int: ...


class MemoryForm:
    """MemoryStore."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.renewals: list[str] = []

    def open(self, durability: Durability = "synced") -> MemoryStore:
        store = MemoryStore(
            self.disk,
            durability,
            clock=SystemClock(),
            renew=self.renewals.append,
            sync_every_s=QUICK_S,
            retry_every_s=QUICK_S,
        )
        self._calls = 0
        sync = store.sync

        def counted(done: Callable[[Exception | None], None]) -> None:
            self._calls += 1
            sync(done)

        store.sync = counted  # type: ignore[method-assign]  # counts on the way
        return store

    def break_sync(self) -> None:
        self.disk.sync_error = OSError(errno.EIO, os.strerror(errno.EIO))

    def heal(self) -> None:
        self.disk.sync_error = None

    def slow_sync(self, seconds: float) -> None:
        self.disk.sync_seconds = seconds

    def stall(self, store: Store) -> None:
        self.disk.stalled = True

    def sync_calls(self) -> int:
        return self._calls


class RocksForm:
    """RocksStore, whose `flush_wal` can be made to fail as on a disk that answers EIO, or to take its time."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path / "db"
        self.renewals: list[str] = []
        self._broken = False
        self._seconds = 0.0
        self._calls = 0
        form = self

        class Faulty:
            def __init__(self, path: str, options: Options) -> None:
                self._real = Rdict(path, options)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._real, name)

            def flush_wal(self, sync: bool) -> None:
                form._calls += 1
                if form._seconds:
                    threading.Event().wait(form._seconds)
                if form._broken:
                    raise Exception("IO error: While fdatasync: Input/output error")  # the type that rocksdict raises
                self._real.flush_wal(sync)

        monkeypatch.setattr("dynkv.storage.rocks.database.Rdict", Faulty)

    def open(self, durability: Durability = "synced") -> RocksStore:
        return RocksStore.open(
            self.path,
            durability,
            create=not self.path.exists(),
            clock=SystemClock(),
            renew=self.renewals.append,
            tuning=SMALL,
            sync_every_s=QUICK_S,
            retry_every_s=QUICK_S,
        )

    def break_sync(self) -> None:
        self._broken = True

    def heal(self) -> None:
        self._broken = False

    def slow_sync(self, seconds: float) -> None:
        self._seconds = seconds

    def stall(self, store: Store) -> None:
        assert isinstance(store, RocksStore)
        # As if compaction were hopelessly behind: RocksDB wants to hold writes from the first file of level 0 on.
        store._db.flush()
        store._db.set_options({"level0_slowdown_writes_trigger": "1", "level0_stop_writes_trigger": "1"})

    def sync_calls(self) -> int:
        return self._calls


def durable(store: Store) -> Awaitable[Exception | None]:
    """What `when_durable` says, to be awaited."""
    future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    store.when_durable(future.set_result)
    return future
