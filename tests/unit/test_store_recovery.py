"""What RocksStore adds to the contract: a disk that stays broken, the watermark, and what is left locked."""

import asyncio
from pathlib import Path

import pytest

from dynkv.core.errors import DamagedDirectory, DirectoryInUse, StoreReadFailed, StoreWriteFailed
from dynkv.runtime import SystemClock
from dynkv.storage.rocks import RocksStore
from dynkv.storage.watermark import check_files
from tests.support import eventually_async
from tests.unit.storage_forms import SMALL, RocksForm, durable


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RocksForm:
    return RocksForm(tmp_path, monkeypatch)


def test_a_disk_that_stays_broken_keeps_the_store_read_only_and_readable(form: RocksForm) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"k", b"v")])
        assert await durable(store) is None
        form.break_sync()
        store.write([(b"l", b"w")])
        assert isinstance(await durable(store), StoreWriteFailed)
        calls = form.sync_calls()

        async def tried() -> bool:
            return form.sync_calls() >= calls + 3

        await eventually_async(tried, what="three attempts to come back")
        assert store.status().read_only
        assert store.status().reopens == 0
        assert form.renewals == []

        async def readable() -> bool:
            try:
                return store.get(b"k") == b"v"
            except StoreReadFailed:  # while an attempt has the files closed
                return False

        await eventually_async(readable)
        form.heal()

        async def writable() -> bool:
            return not store.status().read_only

        await eventually_async(writable)
        assert store.get(b"k") == b"v"
        await store.close()

    asyncio.run(main())


def test_the_watermark_says_what_was_synced_and_no_more(form: RocksForm) -> None:
    async def main() -> None:
        store = form.open()
        noted = check_files(form.path)
        store.write([(b"a", b"1"), (b"b", b"2"), (b"c", None)])
        assert check_files(form.path) == noted
        assert await durable(store) is None
        assert check_files(form.path) == noted + 3
        form.break_sync()
        store.write([(b"d", b"4")])
        assert isinstance(await durable(store), StoreWriteFailed)
        assert check_files(form.path) == noted + 3
        with pytest.raises(StoreWriteFailed):
            await store.close()

    asyncio.run(main())


def test_a_write_during_a_sync_is_left_to_the_next(form: RocksForm) -> None:
    async def main() -> None:
        store = form.open()
        noted = check_files(form.path)
        form.slow_sync(0.1)
        store.write([(b"a", b"1")])
        first = durable(store)

        async def began() -> bool:
            return form.sync_calls() > 0

        await eventually_async(began)
        store.write([(b"b", b"2")])
        assert await first is None
        assert check_files(form.path) == noted + 1
        assert await durable(store) is None
        assert check_files(form.path) == noted + 2
        await store.close()

    asyncio.run(main())


def test_two_stores_on_one_database_are_refused(form: RocksForm) -> None:
    async def main() -> None:
        store = form.open()
        with pytest.raises(DirectoryInUse):
            form.open()
        store.write([(b"k", b"v")])
        assert await durable(store) is None
        await store.close()
        again = form.open()
        assert again.get(b"k") == b"v"
        await again.close()

    asyncio.run(main())


def test_only_a_new_directory_gets_a_new_database(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(DamagedDirectory, match="WATERMARK is missing"):
            RocksStore.open(
                tmp_path / "db", "synced", create=False, clock=SystemClock(), renew=lambda _: None, tuning=SMALL
            )
        assert not (tmp_path / "db").exists()

    asyncio.run(main())


def test_damage_found_while_reopening_is_for_good(form: RocksForm) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"k", b"v" * 1_000)])
        assert await durable(store) is None
        form.break_sync()
        store.write([(b"l", b"w")])
        assert isinstance(await durable(store), StoreWriteFailed)
        (form.path / "CURRENT").write_text("")
        form.heal()

        async def damaged() -> bool:
            return "CURRENT does not name a MANIFEST" in store.status().reason

        await eventually_async(damaged)
        assert "dynkv serve --rebuild" in store.status().reason
        calls = form.sync_calls()
        with pytest.raises(StoreWriteFailed):
            await store.close()
        assert form.sync_calls() == calls
        assert form.renewals == []

    asyncio.run(main())


def test_a_hook_that_fails_once_does_not_keep_the_store_read_only(form: RocksForm) -> None:
    calls: list[str] = []

    def hook() -> None:
        calls.append("called")
        if len(calls) == 1:
            raise ValueError("a defect of whoever keeps things in memory")

    async def main() -> None:
        store = form.open()
        store.on_reopened = hook
        form.break_sync()
        store.write([(b"l", b"w")])
        assert isinstance(await durable(store), StoreWriteFailed)
        form.heal()

        async def writable() -> bool:
            return not store.status().read_only

        await eventually_async(writable)
        assert calls == ["called", "called"]
        store.write([(b"m", b"x")])
        assert await durable(store) is None
        await store.close()

    asyncio.run(main())
