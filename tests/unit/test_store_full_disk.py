"""A disk without room: writes are refused, reads go on, and the store recovers by itself when room returns.

The limit on file sizes (RLIMIT_FSIZE) makes the kernel refuse to extend a file, on any machine and for every user, and
can be lifted again.
"""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dynkv.core.errors import StoreReadOnly, StoreWriteFailed
from dynkv.runtime import SystemClock, SystemRandom
from dynkv.storage.base import Store
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.opening import open_store
from dynkv.storage.rocks import RocksStore, Tuning
from tests.support import eventually_async
from tests.unit.storage_forms import durable

TUNING = Tuning(memtable_bytes=8 << 20, cache_bytes=1 << 20, reserve_bytes=2 << 20)
VALUE = b"v" * 4_000


@contextmanager
def _no_file_above(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def _fill(store: Store) -> list[bytes]:
    """Write until the disk refuses; the keys that were acknowledged."""
    acknowledged: list[bytes] = []
    while True:
        key = b"k%06d" % len(acknowledged)
        try:
            store.write([(key, VALUE)])
        except StoreWriteFailed:
            return acknowledged
        if await durable(store) is not None:
            return acknowledged
        acknowledged.append(key)


def test_writes_are_refused_reads_go_on_and_room_brings_it_back(tmp_path: Path) -> None:
    async def main() -> None:
        directory = DataDirectory.open(tmp_path, "n1", "c", 16, SystemRandom())
        before = directory.incarnation
        told: list[int] = []
        store = open_store(
            directory,
            "synced",
            clock=SystemClock(),
            on_reopened=lambda: told.append(directory.incarnation),
            tuning=TUNING,
            retry_every_s=0.02,
        )
        with _no_file_above(1 << 20):
            acknowledged = await _fill(store)
            assert len(acknowledged) > 100
            status = store.status()
            assert (status.healthy, status.read_only) == (False, True)
            assert "File too large" in status.reason
            with pytest.raises(StoreReadOnly):
                store.write([(b"x", b"y")])
            assert all(store.get(key) == VALUE for key in acknowledged)

            async def tried() -> bool:
                # An attempt found no room, and left the open files as they are: reads still work.
                return "does not take" in store.status().reason

            await eventually_async(tried, what="an attempt to come back without room")
            assert store.get(acknowledged[0]) == VALUE
            assert told == []

        async def writable() -> bool:
            return not store.status().read_only

        await eventually_async(writable, what="the store writable again")
        assert told == [directory.incarnation]
        assert directory.incarnation != before
        assert all(store.get(key) == VALUE for key in acknowledged)
        store.write([(b"x", b"y")])
        assert await durable(store) is None
        await store.close()
        directory.mark_clean(store.durable)
        directory.close()

        directory = DataDirectory.open(tmp_path, "n1", "c", 16, SystemRandom())
        assert directory.incarnation == told[0]
        store = open_store(directory, "synced", clock=SystemClock(), tuning=TUNING)
        assert store.get(b"x") == b"y"
        assert all(store.get(key) == VALUE for key in acknowledged)
        await store.close()
        directory.close()

    asyncio.run(main())


def test_closing_on_a_full_disk_is_no_clean_stop(tmp_path: Path) -> None:
    async def main() -> None:
        store = RocksStore.open(
            tmp_path / "db", "synced", create=True, clock=SystemClock(), renew=lambda _: None, tuning=TUNING
        )
        with _no_file_above(1 << 20):
            acknowledged = await _fill(store)
            with pytest.raises(StoreWriteFailed):
                await store.close()
        store = RocksStore.open(
            tmp_path / "db", "synced", create=False, clock=SystemClock(), renew=lambda _: None, tuning=TUNING
        )
        assert all(store.get(key) == VALUE for key in acknowledged)
        await store.close()

    asyncio.run(main())
