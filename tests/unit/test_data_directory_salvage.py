"""A salvage and the data directory: the copy takes the old database's place, whatever interrupts it."""

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynkv.core.errors import DamagedDirectory, StoreWriteFailed
from dynkv.runtime import SystemClock, SystemRandom
from dynkv.storage.base import Durable
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.keys import record_key
from dynkv.storage.opening import open_store, salvage_store
from dynkv.storage.rocks import Report, salvage
from dynkv.storage.rocks.database import Database
from tests.support import eventually_async
from tests.unit.damaged_tables import bottom, contents, flip_in, records, tables, unreadable
from tests.unit.storage_forms import SMALL, durable

RANDOM = SystemRandom()
KEYS = [record_key(0, "b", b"k%05d" % number) for number in range(2_000)]
VALUES = records("v", KEYS)
DAMAGED = KEYS[1_000]


def _open(path: Path, *, rebuild: bool = False) -> DataDirectory:
    return DataDirectory.open(path, "n1", "c", 16, RANDOM, rebuild=rebuild)


def _make(path: Path, *, damage: bool = True) -> set[bytes]:
    """A data directory that was stopped cleanly and has a damaged block; the keys in it."""
    directory = _open(path)
    database = Database(directory.database, SMALL, create=True)
    bottom(database.db, VALUES)
    database.close()
    directory.opened(database.durable)
    directory.mark_clean(database.durable)
    directory.close()
    if damage:
        flip_in(path / "db", VALUES[DAMAGED])
    return unreadable(path / "db", KEYS)


def _heal(directory: DataDirectory, go_on: Callable[[], bool] = lambda: True) -> Report | None:
    return asyncio.run(salvage_store(directory, "a block is damaged", go_on, tuning=SMALL))


def _files(database: Path) -> dict[str, bytes]:
    return {table.name: table.read_bytes() for table in tables(database)}


def test_the_copy_takes_the_place_and_a_new_life_begins(tmp_path: Path) -> None:
    lost = _make(tmp_path)
    before = _files(tmp_path / "db")
    (tmp_path / "db.aside-1").mkdir()
    directory = _open(tmp_path)
    facts = (directory.incarnation, directory.start_count, len(directory.lives))
    report = _heal(directory)
    assert report is not None
    assert (report.records, report.unreadable) == (len(KEYS) - len(lost), 1)
    assert directory.incarnation != facts[0]
    assert (directory.start_count, len(directory.lives)) == (facts[1] + 1, facts[2] + 1)
    assert (directory.complete, directory.was_clean, directory.fresh) == (False, False, False)
    assert _files(tmp_path / "db.aside-2") == before
    assert contents(tmp_path / "db") == {key: VALUES[key] for key in KEYS if key not in lost}
    directory.mark_clean(Durable("", 0))
    directory.close()
    again = _open(tmp_path)
    assert (again.incarnation, again.start_count) == (directory.incarnation, facts[1] + 2)
    assert not again.complete  # until it is refilled, over any number of starts
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "db",
        "db.aside-1",
        "db.aside-2",
        "identity.json",
        "lock",
    ]
    again.close()


@pytest.mark.parametrize("complete", [True, False])
def test_where_nothing_was_lost_the_data_is_as_complete_as_before(tmp_path: Path, complete: bool) -> None:
    _make(tmp_path, damage=False)
    directory = _open(tmp_path)
    directory.set_complete(complete)
    before = directory.incarnation
    report = _heal(directory)
    assert report is not None
    assert not report.lost
    assert directory.complete is complete
    assert directory.incarnation != before
    assert contents(tmp_path / "db") == VALUES
    directory.close()


def test_told_to_stop_it_leaves_everything_as_it_was(tmp_path: Path) -> None:
    _make(tmp_path)
    before = _files(tmp_path / "db")
    directory = _open(tmp_path)
    facts = (directory.incarnation, directory.start_count, directory.complete)
    answers = [True, True, False]
    assert _heal(directory, lambda: answers.pop(0)) is None
    assert (directory.incarnation, directory.start_count, directory.complete) == facts
    assert _files(tmp_path / "db") == before
    directory.close()
    _open(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "identity.json", "lock"]


class _Crash(BaseException):
    """The process is gone: nobody catches it."""


class _Steps:
    """Lets the first `steps` changes to files happen, and then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace"), (shutil, "rmtree")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            if self.left == 0:
                raise _Crash
            self.left -= 1
            return call(*args, **options)

        return counted


def test_a_crash_at_any_step_leaves_the_old_data_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    lost = _make(made)
    kept = {key: VALUES[key] for key in KEYS if key not in lost}
    before = _files(made / "db")
    outcomes = []
    for steps in range(100):
        path = Path(shutil.copytree(made, tmp_path / f"after {steps}"))
        directory = _open(path)
        first = directory.incarnation
        crashed = True
        with monkeypatch.context() as patches:
            _Steps(patches, steps)
            try:
                report = salvage(directory.database, directory.begin_salvage(), SMALL, lambda: True)
                assert report is not None
                directory.take_salvaged("damage", lost=report.lost)
                crashed = False
            except _Crash:
                pass
        directory.close()
        again = _open(path)
        assert not again.fresh
        assert not (path / "db.salvage").exists()
        assert not (path / "db.salvaged").exists()
        assert again.incarnation != first
        if _files(path / "db") == before:
            outcomes.append("old")
            assert _heal(again) is not None
        else:
            outcomes.append("new")
        assert contents(path / "db") == kept
        assert _files(path / "db.aside-1") == before
        assert not again.complete
        again.close()
        if not crashed:
            break
    assert not crashed
    # Both happen; and once the copy has taken over, no later step gives the old database back.
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes.count("old") >= 6
    assert outcomes.count("new") >= 5


def test_an_interrupted_salvage_is_finished_before_a_rebuild(tmp_path: Path) -> None:
    lost = _make(tmp_path)
    directory = _open(tmp_path)
    salvage(directory.database, directory.begin_salvage(), SMALL, lambda: True)
    (tmp_path / "db.salvage").rename(tmp_path / "db.salvaged")
    directory.close()
    directory = _open(tmp_path, rebuild=True)
    assert directory.fresh
    assert not (tmp_path / "db").exists()
    assert contents(tmp_path / "db.aside-2") == {key: VALUES[key] for key in KEYS if key not in lost}
    directory.close()


def test_a_disk_that_fails_in_between_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(tmp_path)
    directory = _open(tmp_path)

    def fails(self: Path, target: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patches:
        patches.setattr(Path, "rename", fails)
        with pytest.raises(DamagedDirectory, match="could not be put in its place: Input/output error"):
            _heal(directory)
    directory.close()
    again = _open(tmp_path)
    assert _heal(again) is not None
    again.close()


CHILD = """
import asyncio, sys
from dynkv.runtime import SystemRandom
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.opening import salvage_store
from tests.unit.storage_forms import SMALL

def go_on():
    print("step", flush=True)
    sys.stdin.readline()
    return True

directory = DataDirectory.open(sys.argv[1], "n1", "c", 16, SystemRandom())
asyncio.run(salvage_store(directory, "damage", go_on, tuning=SMALL))
"""


@pytest.mark.parametrize("steps", [1, 3])
def test_killed_in_the_middle_it_begins_again(tmp_path: Path, steps: int) -> None:
    lost = _make(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        for _ in range(steps):
            assert child.stdout.readline() == "step\n"
            child.stdin.write("\n")
            child.stdin.flush()
        assert (tmp_path / "db.salvage").exists()
        child.kill()
    directory = _open(tmp_path)
    assert directory.complete
    assert _heal(directory) is not None
    assert contents(tmp_path / "db") == {key: VALUES[key] for key in KEYS if key not in lost}
    directory.close()


def test_a_store_that_a_merge_left_read_only_is_healed_in_the_same_process(tmp_path: Path) -> None:
    lost = _make(tmp_path)
    acknowledged: dict[bytes, bytes] = {}
    newer = records("w", KEYS[:500] + KEYS[-500:])

    async def main() -> None:
        directory = _open(tmp_path)
        told: list[str] = []
        store = open_store(directory, "synced", clock=SystemClock(), tuning=SMALL, on_damaged=told.append)

        async def damaged() -> bool:
            key, value = newer.popitem()
            try:
                store.write([(key, value)])
                if await durable(store) is None:
                    acknowledged[key] = value
                store._db.flush()  # one more file of level 0: at the eighth they are merged
            except Exception as error:
                if "Corruption" not in str(error):
                    raise
            return bool(told)

        await eventually_async(damaged, what="a merge over the damaged block")
        with pytest.raises(StoreWriteFailed):
            await store.close()
        assert await salvage_store(directory, told[0], lambda: True, tuning=SMALL) is not None
        store = open_store(directory, "synced", clock=SystemClock(), tuning=SMALL)
        assert len(acknowledged) >= 2
        for key in KEYS:
            expected = acknowledged.get(key, VALUES[key])
            assert store.get(key) in ((None, expected) if key in lost or key == DAMAGED else (expected,))
        store.write([(DAMAGED, b"new")])
        assert await durable(store) is None
        await store.close()
        directory.close()

    asyncio.run(main())
