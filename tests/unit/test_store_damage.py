"""Real damage to real files: refused at the start, or raised when read; never a wrong value, never silently less.

The image is what kill -9 leaves: 1,500 records in a table file, 1,500 in the log, all synced, and one more in the log
that was not. Each case damages a copy of it.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dynkv.core.errors import DamagedDirectory, StoreReadFailed, StoreWriteFailed
from dynkv.runtime import SystemClock
from dynkv.storage.keys import after
from dynkv.storage.rocks import RocksStore
from tests.support import eventually_async
from tests.unit.storage_forms import SMALL, durable

RECORDS = 1_500
TABLE = [b"a%06d" % number for number in range(RECORDS)]
LOG = [b"b%06d" % number for number in range(RECORDS)]
UNSYNCED = b"c"


def _value(key: bytes) -> bytes:
    return key * 60


def _open(path: Path, *, create: bool = False) -> RocksStore:
    return RocksStore.open(
        path, "synced", create=create, clock=SystemClock(), renew=lambda _: None, tuning=SMALL, retry_every_s=0.02
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database as it is on disk while the store still runs."""
    path = tmp_path_factory.mktemp("image")

    async def main() -> None:
        store = _open(path / "db", create=True)
        store.write([(key, _value(key)) for key in TABLE])
        store._db.flush()
        for key in LOG:
            store.write([(key, _value(key))])
        assert await durable(store) is None
        store.write([(UNSYNCED, _value(UNSYNCED) * 20)])
        shutil.copytree(path / "db", path / "killed")
        await store.close()

    asyncio.run(main())
    return path / "killed"


@pytest.fixture
def database(image: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(image, tmp_path / "db"))


def _newest(database: Path, pattern: str) -> Path:
    return max(database.glob(pattern))


def _flip(file: Path, offset: int, bit: int = 0x10) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= bit
    file.write_bytes(data)


def _cut(file: Path, size: int) -> None:
    os.truncate(file, size)


def _flip_length_in_last_block(log: Path) -> None:
    # The log is made of blocks of 32 KiB, each begins with a record: checksum (4), length (2), type (1).
    _flip(log, log.stat().st_size // 32_768 * 32_768 + 5, 0x80)


def _zero(file: Path, start: int, size: int) -> None:
    with file.open("r+b") as out:
        out.seek(start)
        out.write(bytes(size))


def _size(file: Path) -> int:
    return file.stat().st_size


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "log: a bit in its middle": ("*.log", lambda file: _flip(file, _size(file) // 2), "checksum mismatch"),
    "log: a bit near its end": ("*.log", lambda file: _flip(file, _size(file) - 9_000), "checksum mismatch"),
    "log: a length in its last block": (
        "*.log",
        _flip_length_in_last_block,
        r"the log ends at change 2\d\d\d, but 3000 changes",
    ),
    "log: zeros in its middle": ("*.log", lambda file: _zero(file, _size(file) // 2, 4_096), "damaged"),
    "log: synced records cut off": ("*.log", lambda file: _cut(file, _size(file) // 2), "the log ends at change"),
    "log: empty": ("*.log", lambda file: _cut(file, 0), "the log ends at change 1500, but 3000 changes were durable"),
    "log: missing": ("*.log", Path.unlink, "the log ends at change 1500"),
    "table: missing": ("*.sst", Path.unlink, "No such file"),
    "table: cut": ("*.sst", lambda file: _cut(file, _size(file) // 2), "size mismatch"),
    "table: a byte short": ("*.sst", lambda file: _cut(file, _size(file) - 1), "damaged"),
    "table: empty": ("*.sst", lambda file: _cut(file, 0), "damaged"),
    "table: a bit in its footer": ("*.sst", lambda file: _flip(file, _size(file) - 20), "damaged"),
    "MANIFEST: missing": ("MANIFEST-*", Path.unlink, "is missing"),
    "MANIFEST: cut": ("MANIFEST-*", lambda file: _cut(file, _size(file) // 2), r"has \d+ bytes of \d+"),
    "MANIFEST: a byte short": ("MANIFEST-*", lambda file: _cut(file, _size(file) - 1), "bytes of"),
    "MANIFEST: empty": ("MANIFEST-*", lambda file: _cut(file, 0), "has 0 bytes of"),
    "MANIFEST: a bit": ("MANIFEST-*", lambda file: _flip(file, _size(file) // 2), "has changed"),
    "CURRENT: missing": ("CURRENT", Path.unlink, "CURRENT is missing"),
    "CURRENT: empty": ("CURRENT", lambda file: _cut(file, 0), "CURRENT does not name"),
    "CURRENT: an older one": (
        "CURRENT",
        lambda file: file.write_text("MANIFEST-000001\n"),
        r"CURRENT names MANIFEST-000001, but MANIFEST-\d+ was in use",
    ),
    "WATERMARK: missing": ("WATERMARK", Path.unlink, "WATERMARK is missing"),
    "WATERMARK: a bit": ("WATERMARK", lambda file: _flip(file, 12), "WATERMARK is not readable"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_damage_is_refused_with_the_way_out(case: str, database: Path) -> None:
    pattern, damage, why = REFUSED[case]
    damage(_newest(database, pattern))

    async def main() -> None:
        for _ in range(2):  # a refused start must not make the next one pass
            with pytest.raises(DamagedDirectory, match=why) as refused:
                _open(database)
            assert "dynkv serve --rebuild" in str(refused.value)

    asyncio.run(main())


TOLERATED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "nothing": ("*.log", lambda _: None),
    "log: torn at its end": ("*.log", lambda file: _cut(file, _size(file) - 100)),
    "log: room set aside after its end": ("*.log", lambda file: os.truncate(file, _size(file) + 70_000)),
    "OPTIONS: missing": ("OPTIONS-*", Path.unlink),
    "LOG of messages: missing": ("LOG", Path.unlink),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_what_a_crash_leaves_starts_with_everything_synced(case: str, database: Path) -> None:
    pattern, damage = TOLERATED[case]
    damage(_newest(database, pattern))

    async def main() -> None:
        store = _open(database)
        assert [key for key, _ in store.scan(b"", UNSYNCED, 4_000)] == TABLE + LOG
        assert all(store.get(key) == _value(key) for key in TABLE + LOG)
        await store.close()

    asyncio.run(main())


def test_flipped_bits_in_a_table_are_never_served(database: Path) -> None:
    table = _newest(database, "*.sst")
    for part in (0.2, 0.5, 0.8):
        _flip(table, int(_size(table) * part))

    async def main() -> None:
        store = _open(database)
        told: list[str] = []
        store.on_damaged = told.append
        failed = 0
        for key in TABLE + LOG:
            try:
                assert store.get(key) == _value(key)
            except StoreReadFailed:
                failed += 1
        assert 0 < failed < RECORDS
        for keys in (TABLE, TABLE[::-1], TABLE[:20], TABLE[-20:]):  # none is ever said not to be there
            with suppress(StoreReadFailed):
                assert store.get_many(keys) == [_value(key) for key in keys]
        with pytest.raises(StoreReadFailed, match="checksum mismatch"):
            store.get_many(TABLE)
        assert store.status().healthy  # what can be read is served, until the owner of the store hears of it
        assert len(told) == 1
        assert "block checksum mismatch" in told[0]
        found = [b""]

        def walk() -> None:
            while step := store.scan(after(found[-1]), b"z", 50):
                found.extend(key for key, _ in step)

        with pytest.raises(StoreReadFailed, match="checksum mismatch") as raised:
            walk()
        assert found[1:] == TABLE[: len(found) - 1]
        assert len(found) < RECORDS
        await store.close()
        again = _open(database)  # the error is still alive, and its traceback keeps no iterator and so no lock
        await again.close()
        assert raised.value.__traceback__ is not None

    asyncio.run(main())


def test_a_merge_that_meets_damage_makes_the_store_read_only_for_good(database: Path) -> None:
    table = _newest(database, "*.sst")
    _flip(table, _size(table) // 2)
    reopened: list[str] = []

    async def main() -> None:
        store = RocksStore.open(
            database,
            "synced",
            create=False,
            clock=SystemClock(),
            renew=reopened.append,
            tuning=SMALL,
            retry_every_s=0.01,
        )

        told: list[str] = []
        store.on_damaged = told.append

        async def refused() -> bool:
            try:
                store.write([(TABLE[0], b"new"), (TABLE[-1], b"new")])
            except StoreWriteFailed:
                return True
            try:
                store._db.flush()  # one more file of level 0: at the eighth they are merged
            except Exception as error:
                # The merge was quicker: then the flush hears of it first, and the next write after it.
                if "Corruption" not in str(error):
                    raise
            return False

        await eventually_async(refused, what="a merge over the damaged block")
        status = store.status()
        assert (status.healthy, status.read_only) == (False, True)
        assert "checksum mismatch" in status.reason
        assert "dynkv serve --rebuild" in status.reason
        assert len(told) == 1
        assert "checksum mismatch" in told[0]
        assert store.get(LOG[0]) == _value(LOG[0])
        with pytest.raises(StoreWriteFailed):
            await store.close()
        assert reopened == []

    asyncio.run(main())
