"""What the in-memory disk adds to the contract: crashes that keep or lose the unsynced tail, and damage."""

import asyncio
import errno

import pytest

from dynkv.core.errors import DamagedDirectory, StoreReadFailed, StoreWriteFailed
from dynkv.runtime import SystemClock
from dynkv.storage.memory import MemoryDisk, MemoryStore
from tests.support import eventually_async
from tests.unit.storage_forms import durable


def _open(disk: MemoryDisk) -> MemoryStore:
    return MemoryStore(disk, "synced", clock=SystemClock(), renew=lambda _: None, retry_every_s=0.01)


@pytest.mark.parametrize(("keep", "found"), [(None, b"012"), (0, b"0"), (1, b"01"), (5, b"012")])
def test_a_crash_keeps_what_was_synced_and_some_first_part_of_the_rest(keep: int | None, found: bytes) -> None:
    async def main() -> None:
        disk = MemoryDisk()
        store = _open(disk)
        store.write([(b"0", b"")])
        assert await durable(store) is None
        said: list[Exception | None] = []
        store.write([(b"1", b"")])
        store.when_durable(said.append)
        store.write([(b"2", b"")])
        store.crash()
        if keep is not None:
            disk.lose_tail(keep)
        again = _open(disk)
        assert b"".join(key for key, _ in again.scan(b"", b"z", 10)) == found
        await durable(again)
        assert said == []  # nobody is told by a process that died
        with pytest.raises(StoreReadFailed):
            store.get(b"0")
        await again.close()

    asyncio.run(main())


def test_a_crash_in_the_middle_of_a_sync_acknowledges_nothing() -> None:
    async def main() -> None:
        disk = MemoryDisk()
        disk.sync_seconds = 0.01
        store = _open(disk)
        store.write([(b"1", b"")])
        said: list[Exception | None] = []
        store.when_durable(said.append)
        store.crash()
        disk.lose_tail()
        again = _open(disk)
        again.write([(b"2", b"")])
        assert await durable(again) is None  # by then the dead store's sync would have ended too
        assert said == []
        assert again.get(b"1") is None
        await again.close()

    asyncio.run(main())


def test_a_full_disk_fails_the_write_and_all_that_wait() -> None:
    async def main() -> None:
        disk = MemoryDisk()
        disk.sync_seconds = 0.01
        disk.kept_after_failure = 1
        store = _open(disk)
        store.write([(b"0", b"")])
        running = durable(store)
        store.write([(b"1", b"")])
        waiting = durable(store)
        disk.write_error = OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(StoreWriteFailed, match="No space left"):
            store.write([(b"2", b"")])
        assert isinstance(await waiting, StoreWriteFailed)
        assert await running is None  # that sync had begun before, and succeeded
        disk.write_error = None

        async def writable() -> bool:
            return not store.status().read_only

        await eventually_async(writable)
        assert [key for key, _ in store.scan(b"", b"z", 10)] == [b"0", b"1"]
        await store.close()

    asyncio.run(main())


def test_damage_is_raised_and_never_read_around() -> None:
    async def main() -> None:
        disk = MemoryDisk()
        store = _open(disk)
        store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
        disk.unreadable.add(b"b")
        assert store.get(b"a") == b"1"
        with pytest.raises(StoreReadFailed):
            store.get(b"b")
        with pytest.raises(StoreReadFailed):
            store.scan(b"a", b"d", 10)
        assert store.scan(b"c", b"d", 10) == [(b"c", b"3")]
        await store.close()
        disk.damaged = "the log is damaged"
        with pytest.raises(DamagedDirectory, match="the log"):
            _open(disk)

    asyncio.run(main())


def test_damage_found_while_reopening_is_for_good() -> None:
    async def main() -> None:
        disk = MemoryDisk()
        store = _open(disk)
        disk.sync_error = OSError(errno.EIO, "Input/output error")
        store.write([(b"a", b"1")])
        assert isinstance(await durable(store), StoreWriteFailed)
        disk.damaged = "the log is damaged"
        disk.sync_error = None

        async def damaged() -> bool:
            return store.status().reason == "the log is damaged"

        await eventually_async(damaged)
        assert store.status().read_only
        with pytest.raises(StoreWriteFailed):
            await store.close()

    asyncio.run(main())
