"""Whom every Store tells of damage, and when: the part of the contract about `on_damaged`, asked of both forms."""

import asyncio
from pathlib import Path

import pytest

from dynkv.core.errors import StoreReadFailed, StoreWriteFailed
from tests.unit.storage_forms import Form, MemoryForm, RocksForm, durable


@pytest.fixture(params=["rocks", "memory"])
def form(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Form:
    return RocksForm(tmp_path, monkeypatch) if request.param == "rocks" else MemoryForm()


def test_damage_is_told_once_and_the_rest_is_served(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        told: list[str] = []
        store.on_damaged = told.append
        store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
        assert await durable(store) is None
        form.damage(b"b")
        assert store.get(b"a") == b"1"
        assert store.scan(b"c", b"d", 10) == [(b"c", b"3")]
        assert told == []
        with pytest.raises(StoreReadFailed):
            store.get(b"b")
        assert len(told) == 1
        with pytest.raises(StoreReadFailed):
            store.scan(b"a", b"d", 10)
        assert len(told) == 1
        assert store.scan(b"c", b"d", 10) == [(b"c", b"3")]
        store.write([(b"d", b"4")])
        assert await durable(store) is None
        await store.close()

    asyncio.run(main())


def test_a_scan_tells_of_damage_too(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        told: list[str] = []
        store.on_damaged = told.append
        store.write([(b"a", b"1"), (b"b", b"2")])
        form.damage(b"b")
        with pytest.raises(StoreReadFailed):
            store.scan(b"a", b"d", 10)
        assert len(told) == 1
        await store.close()

    asyncio.run(main())


def test_a_store_that_is_closed_or_without_a_working_disk_is_not_damaged(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        told: list[str] = []
        store.on_damaged = told.append
        store.write([(b"a", b"1")])
        form.break_sync()
        assert isinstance(await durable(store), StoreWriteFailed)
        with pytest.raises(StoreWriteFailed):
            await store.close()
        with pytest.raises(StoreReadFailed):
            store.get(b"a")
        with pytest.raises(StoreReadFailed):
            store.scan(b"a", b"b", 1)
        assert told == []

    asyncio.run(main())
