"""The life of a data directory: whose it is, incarnations, clean and unclean stops, and who may hold it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynkv.core.errors import DamagedDirectory, DirectoryInUse, StartError, StoreWriteFailed, WrongDirectory
from dynkv.runtime import SystemClock, SystemRandom
from dynkv.storage.base import Store
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.opening import open_store
from tests.unit.storage_forms import SMALL, durable

RANDOM = SystemRandom()


def _open(
    path: Path, *, node: str = "n1", cluster: str = "c", partitions: int = 16, rebuild: bool = False
) -> DataDirectory:
    return DataDirectory.open(path, node, cluster, partitions, RANDOM, rebuild=rebuild)


def _store(directory: DataDirectory) -> Store:
    return open_store(directory, "synced", clock=SystemClock(), tuning=SMALL)


def _life(path: Path, change: Callable[[Store], None] | None = None) -> int:
    """One clean life: the incarnation it had."""

    async def main() -> int:
        directory = _open(path)
        store = _store(directory)
        if change is not None:
            change(store)
        await store.close()
        directory.mark_clean(store.durable)
        directory.close()
        return directory.incarnation

    return asyncio.run(main())


def test_a_new_directory_begins(tmp_path: Path) -> None:
    directory = _open(tmp_path / "deep" / "data")
    assert directory.start_count == 1
    assert directory.incarnation > 0
    assert directory.fresh
    assert directory.complete
    assert not directory.was_clean
    directory.close()


def test_a_clean_stop_keeps_the_incarnation(tmp_path: Path) -> None:
    first = _life(tmp_path)
    directory = _open(tmp_path)
    assert (directory.incarnation, directory.start_count, directory.was_clean) == (first, 2, True)
    assert not directory.fresh
    directory.close()


def test_the_mark_of_a_clean_stop_is_consumed(tmp_path: Path) -> None:
    first = _life(tmp_path)
    _open(tmp_path).close()  # begins a life and does not say that it ended well
    directory = _open(tmp_path)
    assert directory.incarnation != first
    assert directory.start_count == 3
    assert not directory.was_clean
    directory.close()


def test_every_unclean_stop_gives_a_new_incarnation(tmp_path: Path) -> None:
    seen = set()
    for start in range(1, 21):
        directory = _open(tmp_path)
        assert directory.start_count == start
        seen.add(directory.incarnation)
        directory.close()
    assert len(seen) == 20


def test_the_new_life_is_on_disk_before_anything_is_served(tmp_path: Path) -> None:
    directory = _open(tmp_path)
    said = json.loads((tmp_path / "identity.json").read_bytes())
    assert (said["start_count"], said["incarnation"], said["clean"]) == (1, directory.incarnation, False)
    directory.close()


@pytest.mark.parametrize(
    ("mistake", "why"),
    [
        ({"node": "n2"}, "belongs to node 'n1', not 'n2'"),
        ({"cluster": "d"}, "belongs to cluster 'c', not 'd'"),
        ({"partitions": 32}, "belongs to partition count 16, not 32"),
    ],
)
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, mistake: dict[str, object], why: str) -> None:
    _life(tmp_path)
    before = (tmp_path / "identity.json").read_bytes()
    with pytest.raises(WrongDirectory, match=why):
        _open(tmp_path, **mistake)  # type: ignore[arg-type]  # one keyword at a time
    assert (tmp_path / "identity.json").read_bytes() == before
    _open(tmp_path).close()  # the refusal let go of the lock


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    script = (
        "import sys; from dynkv.storage.incarnation import DataDirectory; from dynkv.runtime import SystemRandom\n"
        "directory = DataDirectory.open(sys.argv[1], 'n1', 'c', 16, SystemRandom())\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "open\n"
        before = (tmp_path / "identity.json").read_bytes()
        with pytest.raises(DirectoryInUse, match=rf"{tmp_path} is in use by process {holder.pid}:"):
            _open(tmp_path)
        assert (tmp_path / "identity.json").read_bytes() == before
        holder.kill()
    directory = _open(tmp_path)  # a dead process holds nothing
    assert directory.start_count == 2
    directory.close()


def test_a_second_opening_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    directory = _open(tmp_path)
    with pytest.raises(DirectoryInUse, match=f"process {os.getpid()}"):
        _open(tmp_path)
    directory.close()
    directory.close()
    _open(tmp_path).close()


def test_a_missing_database_is_no_empty_one(tmp_path: Path) -> None:
    _life(tmp_path)
    (tmp_path / "db").rename(tmp_path / "gone")
    with pytest.raises(DamagedDirectory, match="dynkv serve --rebuild"):
        _open(tmp_path)


def test_a_database_of_nobody_is_refused(tmp_path: Path) -> None:
    _life(tmp_path)
    (tmp_path / "identity.json").unlink()
    with pytest.raises(DamagedDirectory, match=r"no identity\.json"):
        _open(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"format": 1, "node": 5}'])
def test_a_damaged_identity_is_refused(tmp_path: Path, text: str) -> None:
    _life(tmp_path)
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(DamagedDirectory, match=r"identity\.json is damaged"):
        _open(tmp_path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    _life(tmp_path)
    facts = json.loads((tmp_path / "identity.json").read_bytes())
    (tmp_path / "identity.json").write_text(json.dumps(facts | {"format": 2}))
    with pytest.raises(WrongDirectory, match="format 2"):
        _open(tmp_path)


def test_a_path_that_is_no_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot use the data directory"):
        _open(tmp_path / "file")
    with pytest.raises(StartError, match="cannot use the data directory"):
        _open(tmp_path / "file" / "below")


def test_a_crash_in_the_first_start_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    directory = _open(tmp_path)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "CURRENT").write_text("")  # it died while the database was made
    directory.close()
    _life(tmp_path, lambda store: store.write([(b"k", b"v")]))
    _life(tmp_path, lambda store: _expect(store, b"v"))


def _expect(store: Store, value: bytes | None) -> None:
    assert store.get(b"k") == value


def test_rebuilding_sets_the_data_aside_and_begins_with_none(tmp_path: Path) -> None:
    first = _life(tmp_path, lambda store: store.write([(b"k", b"v")]))
    (tmp_path / "db" / "CURRENT").unlink()
    (tmp_path / "db.aside-1").mkdir()

    async def main() -> None:
        directory = _open(tmp_path)
        with pytest.raises(DamagedDirectory, match="dynkv serve --rebuild"):
            _store(directory)
        directory.close()
        directory = _open(tmp_path, rebuild=True)
        assert directory.incarnation != first
        assert (directory.start_count, directory.complete, directory.was_clean) == (3, False, False)
        assert (tmp_path / "db.aside-2" / "WATERMARK").exists()
        store = _store(directory)
        assert store.get(b"k") is None
        await store.close()
        directory.mark_clean(store.durable)
        directory.close()

    asyncio.run(main())
    directory = _open(tmp_path)
    assert not directory.complete  # until it is refilled, over any number of starts
    directory.set_complete(True)
    directory.close()
    directory = _open(tmp_path)
    assert directory.complete
    directory.close()


def test_rebuilding_after_a_clean_stop_is_a_new_incarnation_too(tmp_path: Path) -> None:
    first = _life(tmp_path)
    directory = _open(tmp_path, rebuild=True)
    assert directory.incarnation != first
    directory.close()


def test_rebuilding_works_without_a_database_too(tmp_path: Path) -> None:
    _life(tmp_path)
    (tmp_path / "db").rename(tmp_path / "gone")
    directory = _open(tmp_path, rebuild=True)
    assert directory.fresh
    assert not directory.complete
    directory.close()
    _life(tmp_path)


def test_a_directory_that_went_back_counts_on_from_what_was_seen(tmp_path: Path) -> None:
    first = _life(tmp_path, lambda store: store.write([(b"k", b"v")]))

    async def main() -> None:
        directory = _open(tmp_path)
        store = _store(directory)
        await store.close()
        directory.went_back(7)
        assert directory.start_count == 8
        assert directory.incarnation != first
        assert not directory.complete
        store = _store(directory)
        assert store.get(b"k") is None
        await store.close()
        directory.mark_clean(store.durable)
        directory.close()

    asyncio.run(main())
    directory = _open(tmp_path)
    assert directory.start_count == 9
    directory.close()


def test_a_stop_that_could_not_sync_is_not_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        directory = _open(tmp_path)
        store = _store(directory)
        store.write([(b"k", b"v")])
        monkeypatch.setattr("os.pwrite", _broken)
        assert isinstance(await durable(store), StoreWriteFailed)
        with pytest.raises(StoreWriteFailed):
            await store.close()
        monkeypatch.undo()
        directory.close()
        return directory.incarnation

    first = asyncio.run(main())
    directory = _open(tmp_path)
    assert directory.incarnation != first
    directory.close()


def _broken(*_: object) -> int:
    raise OSError(5, "Input/output error")


# --- a database put back alone ----------------------------------------------------------------------------------------


def _refused(path: Path, why: str) -> None:
    async def main() -> None:
        directory = _open(path)
        with pytest.raises(DamagedDirectory, match=why) as refusal:
            _store(directory)
        assert "dynkv serve --rebuild" in str(refusal.value)
        directory.close()

    asyncio.run(main())


def _put_back(path: Path, copy: Path) -> None:
    shutil.rmtree(path / "db")
    shutil.copytree(copy, path / "db")


def test_an_old_copy_of_the_database_alone_is_refused(tmp_path: Path) -> None:
    """However often, and until it is set aside."""
    path, copy = tmp_path / "data", tmp_path / "copy"
    _life(path, lambda store: store.write([(b"k", b"old")]))
    shutil.copytree(path / "db", copy)
    _life(path, lambda store: store.write([(b"k", b"new")]))
    _put_back(path, copy)
    for _ in range(2):
        _refused(path, r"it ends at change \d+, but \d+ changes were durable")
    _open(path, rebuild=True).close()
    _life(path, lambda store: _expect(store, None))


def test_a_copy_that_lacks_nothing_is_as_good(tmp_path: Path) -> None:
    path, copy = tmp_path / "data", tmp_path / "copy"
    _life(path, lambda store: store.write([(b"k", b"v")]))
    shutil.copytree(path / "db", copy)
    _life(path)
    _put_back(path, copy)
    _life(path, lambda store: _expect(store, b"v"))


def test_an_old_copy_is_refused_after_an_unclean_stop_too(tmp_path: Path) -> None:
    """As of the last start: what was written after it may be lost with the machine's power."""
    path, copy = tmp_path / "data", tmp_path / "copy"
    _life(path)
    shutil.copytree(path / "db", copy)

    async def main(value: bytes) -> None:
        directory = _open(path)
        store = _store(directory)
        store.write([(b"k", value)])
        await store.close()
        directory.close()  # and nothing says that it was a clean stop

    asyncio.run(main(b"1"))
    asyncio.run(main(b"2"))
    _put_back(path, copy)
    _refused(path, "it ends at change")


def test_a_mark_tells_an_old_copy_of_the_database_too(tmp_path: Path) -> None:
    path, copy = tmp_path / "data", tmp_path / "copy"
    _life(path)
    shutil.copytree(path / "db", copy)

    async def main() -> None:
        directory = _open(path)
        store = _store(directory)
        store.write([(b"k", b"v")])
        assert await durable(store) is None
        directory.count_on(store.durable)
        await store.close()
        directory.close()

    asyncio.run(main())
    _put_back(path, copy)
    _refused(path, "it ends at change")


def test_an_identity_that_knows_no_database_takes_the_one_that_is_there(tmp_path: Path) -> None:
    """As earlier versions wrote it."""
    _life(tmp_path, lambda store: store.write([(b"k", b"v")]))
    facts = json.loads((tmp_path / "identity.json").read_bytes())
    known = facts.pop("database"), facts.pop("sequence")
    (tmp_path / "identity.json").write_text(json.dumps(facts))
    _life(tmp_path, lambda store: _expect(store, b"v"))
    facts = json.loads((tmp_path / "identity.json").read_bytes())
    assert (facts["database"], facts["sequence"]) == known


def test_a_database_set_aside_is_not_taken_back(tmp_path: Path) -> None:
    """It lacks something, or it was an old copy; and it has seen more changes than the one that was made after it."""
    _life(tmp_path, lambda store: store.write([(b"%d" % i, b"v") for i in range(100)]))
    _open(tmp_path, rebuild=True).close()
    _life(tmp_path)
    (tmp_path / "db").rename(tmp_path / "gone")
    (tmp_path / "db.aside-1").rename(tmp_path / "db")
    _refused(tmp_path, "it is not the one that was here")
