"""Salvage from real files with flipped bits: all that is sound is kept, and nothing else comes up."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dynkv.core.errors import DamagedDirectory
from dynkv.storage.keys import hint_key, meta_key, record_key, tree_key
from dynkv.storage.rocks import Report, Stretch, salvage
from dynkv.storage.rocks.database import Database
from tests.unit.damaged_tables import bottom, contents, flip, flip_in, killed, level_0, records, tables, unreadable
from tests.unit.storage_forms import SMALL

KEYS = [record_key(number % 8, "b", b"k%05d" % number) for number in range(3_000)]
KEYS.sort()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "db"


def _salvage(old: Path) -> tuple[Report, dict[bytes, bytes]]:
    new = old.with_name("db.salvage")
    report = salvage(old, new, SMALL, lambda: True)
    assert report is not None
    return report, contents(new)


def _covered(key: bytes, stretches: list[Stretch]) -> bool:
    return any(s.start <= key and (s.end is None or key < s.end) for s in stretches)


@pytest.mark.parametrize(
    "places",
    [[0], [2_999], [1_500], [700, 1_500, 1_520, 2_200], [0, 1, 2, 40, 60, 80, 100, 2_980, 2_999], range(0, 3_000, 7)],
    ids=["first", "last", "one", "some", "neighbours", "all"],
)
def test_every_sound_block_is_kept_to_the_key(old: Path, places: Sequence[int]) -> None:
    values = records("v", KEYS)
    database = Database(old, SMALL, create=True)
    bottom(database.db, values)
    database.close()
    for place in places:
        flip_in(old, values[KEYS[place]])
    lost = unreadable(old, KEYS)
    assert {KEYS[place] for place in places} <= lost
    report, found = _salvage(old)
    # One level: no file covers the keys of another, so what `get` can read is all that is sound.
    assert found == {key: value for key, value in values.items() if key not in lost}
    assert (report.records, report.lost, report.damaged_records) == (len(found), True, 0)
    assert 1 <= report.unreadable <= len(places)
    if len(report.stretches) == report.unreadable:
        assert {key for key in KEYS if _covered(key, report.stretches)} == lost


def test_what_is_sound_is_copied_whole(old: Path) -> None:
    values = records("v", KEYS)
    database = Database(old, SMALL, create=True)
    bottom(database.db, values)
    level_0(database.db, newer := records("w", KEYS[::3]))
    for key in KEYS[1::3]:
        database.db.delete(key)
    report, found = _salvage(killed(database))
    assert found == {key: newer.get(key, value) for key, value in values.items() if key not in set(KEYS[1::3])}
    assert not report.lost
    assert report.stretches == []


def test_no_older_version_comes_up_where_the_newest_is_damaged(old: Path) -> None:
    before, after = records("before", KEYS), records("after", KEYS)
    deleted = set(KEYS[1::3])
    changes = {key: None if key in deleted else after[key] for key in KEYS if key not in KEYS[2::3]}
    database = Database(old, SMALL, create=True)
    bottom(database.db, before)
    level_0(database.db, changes)
    assert sorted(file["level"] for file in database.db.live_files())[0] == 0
    database.close()
    for place in (0, 600, 1_500, 2_400, 2_997):
        flip_in(old, after[KEYS[place]])
    lost = unreadable(old, KEYS)
    report, found = _salvage(old)
    assert report.unreadable == 5
    assert lost & deleted, "no deletion was damaged: the case that matters most is not there"
    assert lost.isdisjoint(found)
    for key in KEYS:
        newest = changes.get(key, before[key])
        assert found.get(key) == (None if _covered(key, report.stretches) else newest)
    # The older versions were there to be shown: sound, in the file below.
    below = min(tables(old), key=lambda table: table.name).read_bytes()
    assert all(before[key] in below for key in lost)


def test_an_older_version_that_is_damaged_takes_its_stretch_along(old: Path) -> None:
    before, after = records("before", KEYS), records("after", KEYS)
    database = Database(old, SMALL, create=True)
    bottom(database.db, before)
    for key in KEYS[1_000:1_100]:
        database.db.put(key, after[key])
    old = killed(database)
    flip_in(old, before[KEYS[1_050]])
    report, found = _salvage(old)
    (stretch,) = report.stretches
    for key in KEYS:
        newest = (after if key in KEYS[1_000:1_100] else before)[key]
        assert found.get(key) == (None if _covered(key, [stretch]) else newest)
    assert KEYS[1_050] not in found


@pytest.mark.parametrize("seed", range(12))
def test_any_history_with_any_damage_shows_the_newest_or_nothing(old: Path, seed: int) -> None:
    chance = random.Random(seed)
    keys = KEYS[: chance.choice([50, 400, 3_000])]
    model: dict[bytes, bytes] = {}
    values: list[bytes] = []
    database = Database(old, SMALL, create=True)
    for layer in range(chance.randrange(2, 7)):
        chosen = chance.sample(keys, chance.randrange(1, len(keys)))
        made = records(f"{seed} {layer}", chosen, chance.choice([20, 300, 3_000]))
        changes = {key: made[key] if chance.random() < 0.7 else None for key in chosen}
        for key, value in changes.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
                values.append(value)
        level_0(database.db, changes)
        if chance.random() < 0.4:
            middle = chance.choice(keys)
            database.db.compact_range(*chance.choice([(None, None), (None, middle), (middle, None)]))
    database.close()
    for value in chance.sample(values, min(len(values), chance.randrange(1, 15))):
        for table in tables(old):
            if (at := table.read_bytes().find(value)) >= 0:
                flip(table, at + chance.randrange(len(value)), chance.randrange(8))
    report, found = _salvage(old)
    assert report.unreadable == len(report.stretches)
    for key in keys:
        assert found.get(key) == (None if _covered(key, report.stretches) else model.get(key))


def test_hints_and_facts_are_kept_and_trees_are_not(old: Path) -> None:
    values = records("v", KEYS)
    others = {hint_key("n2", 0, "b", b"k%05d" % number): b"hint %d" % number for number in range(300)}
    others |= {hint_key("n3", 1, "b", b"k1"): b"hint", meta_key("members"): b"the map", meta_key("settings"): b"s"}
    trees = {tree_key(partition): b"a tree" * 100 for partition in range(8)}
    database = Database(old, SMALL, create=True)
    bottom(database.db, values | others | trees)
    database.close()
    flip_in(old, values[KEYS[1_000]])
    report, found = _salvage(old)
    assert {key: value for key, value in found.items() if key[:1] != b"r"} == others
    assert (report.hints, report.facts, report.lost) == (301, 2, True)


def test_what_is_owed_is_rescued_from_a_stretch_if_its_newest_version_is_sound(old: Path) -> None:
    keys = sorted(record_key(0, "b", b"k%05d" % number) for number in range(1_000))
    before, after, latest = records("before", keys), records("after", keys[400:600]), records("latest", [keys[500]])
    database = Database(old, SMALL, create=True)
    bottom(database.db, before)
    level_0(database.db, after)
    database.db.put(keys[500], latest[keys[500]])
    for number in (498, 499, 500, 300, 1_500):
        database.db.put(hint_key("n2", 0, "b", b"k%05d" % number), b"a hint")
    old = killed(database)
    # Of 499 the newest version is damaged and an older one sound; 498 is in its block; 500 has a newer one in the log.
    flip_in(old, after[keys[499]])
    assert unreadable(old, keys) >= {keys[498], keys[499]}
    report, found = _salvage(old)
    assert _covered(keys[500], report.stretches)
    assert found[keys[500]] == latest[keys[500]]
    assert not {keys[498], keys[499], keys[501]} & found.keys()
    assert (report.rescued, report.hints) == (1, 5)
    assert report.records == len(found) - 5


def test_a_record_that_does_not_match_its_envelope_is_left_out(old: Path) -> None:
    values = records("v", KEYS[:10])
    wrong = dict(values)
    wrong[KEYS[3]] = values[KEYS[3]][:-1]
    wrong[KEYS[4]] = b"short"
    database = Database(old, SMALL, create=True)
    bottom(database.db, wrong)
    database.close()
    report, found = _salvage(old)
    assert found == {key: value for key, value in values.items() if key not in (KEYS[3], KEYS[4])}
    assert (report.damaged_records, report.unreadable, report.lost) == (2, 0, True)


def test_the_old_database_is_not_touched(old: Path) -> None:
    values = records("v", KEYS)
    database = Database(old, SMALL, create=True)
    level_0(database.db, values)
    database.db.put(KEYS[0], values[KEYS[1]])
    database.close()
    flip_in(old, values[KEYS[1_000]])

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in old.iterdir() if not path.name.startswith("LOG")}

    before = files()
    _salvage(old)
    assert files() == before


REFUSED: dict[str, Callable[[Path], object]] = {
    "CURRENT": lambda old: (old / "CURRENT").unlink(),
    "MANIFEST": lambda old: flip(next(old.glob("MANIFEST-*")), 100),
    "the log": lambda old: max(old.glob("*.log")).write_bytes(b""),
    "an index": lambda old: flip(tables(old)[-1], tables(old)[-1].stat().st_size - 20),
    "a file": lambda old: tables(old)[-1].unlink(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_opened_is_refused_with_the_way_out(old: Path, what: str) -> None:
    values = records("v", KEYS[:500])
    database = Database(old, SMALL, create=True)
    level_0(database.db, values)
    database.db.put(KEYS[0], values[KEYS[1]])
    old = killed(database)
    REFUSED[what](old)
    with pytest.raises(DamagedDirectory, match="dynkv serve --rebuild"):
        salvage(old, old.with_name("new"), SMALL, lambda: True)
    assert not old.with_name("new").exists()


def test_a_copy_that_does_not_fit_is_said(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(old, SMALL, create=True)
    level_0(database.db, records("v", KEYS))
    database.close()

    def full(self: Database) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Database, "close", full)
    with pytest.raises(DamagedDirectory, match=r"could not be copied: .*No space left.*--rebuild"):
        salvage(old, old.with_name("new"), SMALL, lambda: True)


def test_it_ends_early_if_told_so(old: Path) -> None:
    database = Database(old, SMALL, create=True)
    level_0(database.db, records("v", KEYS))
    database.close()
    answers = [True, False]
    assert salvage(old, old.with_name("new"), SMALL, lambda: answers.pop(0)) is None
    assert answers == []


MEASURED = """
import resource, sys
from pathlib import Path
from dynkv.storage.rocks import salvage
from tests.unit.storage_forms import SMALL

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = salvage(Path(sys.argv[1]), Path(sys.argv[2]), SMALL, lambda: True)
print(report.records, report.unreadable, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_database(old: Path) -> None:
    count, size = 24_000, 4_000
    keys = [record_key(0, "b", b"k%06d" % number) for number in range(count)]
    database = Database(old, SMALL, create=True)
    values = records("v", keys, size)
    for key, value in values.items():
        database.db.put(key, value)
    database.db.flush()
    database.close()
    for place in (5_000, 20_000):
        flip_in(old, values[keys[place]])
    command = [sys.executable, "-c", MEASURED, str(old), str(old.with_name("new"))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    kept, stretches, grown_kib = (int(word) for word in said)
    assert count - 20 <= kept <= count - 2
    assert stretches == 2
    assert grown_kib < count * size / 1024 / 3
