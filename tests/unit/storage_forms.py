"""The two forms of the Store as the contract tests drive them: each on a disk whose faults can be switched."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from rocksdict import Options, Rdict, RdictIter, ReadOptions

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

    def damage(self, key: bytes) -> None: ...

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

    def damage(self, key: bytes) -> None:
        self.disk.unreadable.add(key)

    def sync_calls(self) -> int:
        return self._calls


class RocksForm:
    """RocksStore, whose `flush_wal` can be made to fail as on a disk that answers EIO, or to take its time, and whose
    reads of single keys can be made to fail (`fault`: what RocksDB would say)."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path / "db"
        self.renewals: list[str] = []
        self.fault = "Corruption: block checksum mismatch: in db/000009.sst offset 0 size 4033"
        self._broken = False
        self._damaged: set[bytes] = set()
        self._seconds = 0.0
        self._calls = 0
        form = self

        class Faulty:
            def __init__(self, path: str, options: Options) -> None:
                self._real = Rdict(path, options)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._real, name)

            def get(self, asked: Any) -> Any:
                if not form._damaged.isdisjoint([asked] if isinstance(asked, bytes) else asked):
                    raise Exception(form.fault)
                return self._real.get(asked)

            def iter(self, options: ReadOptions) -> Any:
                return FaultyIterator(form, self._real.iter(options))

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

    def damage(self, key: bytes) -> None:
        self._damaged.add(key)

    def sync_calls(self) -> int:
        return self._calls


class FaultyIterator:
    """An iterator that stops at the form's damaged keys as RocksDB's does at a damaged block."""

    def __init__(self, form: RocksForm, real: RdictIter) -> None:
        self._form = form
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _at_damage(self) -> bool:
        return self._real.valid() and self._real.key() in self._form._damaged

    def valid(self) -> bool:
        return self._real.valid() and not self._at_damage()

    def status(self) -> None:
        if self._at_damage():
            raise Exception(self._form.fault)
        self._real.status()


def durable(store: Store) -> Awaitable[Exception | None]:
    """What `when_durable` says, to be awaited."""
    future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    store.when_durable(future.set_result)
    return future
