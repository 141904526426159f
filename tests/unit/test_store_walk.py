"""The walk around damage against a model of RocksDB's iterator, with faults that real files seldom show.

The model: some keys, and damaged stretches (low, high] of the key space, each with a spot. A seek or a step that would
pass into a stretch fails with its spot; with several at once, the first in the list is named and hides the others.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Rdict

from dynkv.storage.rocks.walk import END, TRIES, Pair, Stretch, Walk


class Damage(NamedTuple):
    """Seeks to low < target <= high fail; `high` None: all above. `times`: how often, None for ever."""

    low: bytes
    high: bytes | None
    said: str
    times: int | None = None


def corrupt(offset: int, file: int = 9) -> str:
    return f"Corruption: block checksum mismatch: stored = 1, computed = 2  in /db/{file:06}.sst offset {offset} size 9"


class FakeDatabase:
    """What a Walk asks of an Rdict."""

    def __init__(self, keys: Sequence[bytes], damage: Sequence[Damage]) -> None:
        self.keys = sorted(keys)
        self.damage = list(damage)
        self.left = [one.times for one in damage]
        self.seeks = 0

    def live_files(self) -> list[dict[str, bytes]]:
        return [{"start_key": self.keys[0], "end_key": self.keys[-1]}] if self.keys else []

    def iter(self, _: object) -> "FakeIterator":
        return FakeIterator(self)


class FakeIterator:
    def __init__(self, db: FakeDatabase) -> None:
        self.db = db

    def seek(self, target: bytes) -> None:
        db = self.db
        db.seeks += 1
        assert db.seeks < 100_000, "the walk does not end"
        at = bisect_left(db.keys, target)
        self.found = db.keys[at] if at < len(db.keys) else None
        self.said = None
        for number, (low, high, said, _) in enumerate(db.damage):
            ahead = low >= target and (self.found is None or low < self.found)
            if ahead or (low < target and (high is None or target <= high)):
                left = db.left[number]
                if left == 0:
                    continue
                db.left[number] = None if left is None else left - 1
                self.said = said
                return

    def next(self) -> None:
        assert self.found is not None
        self.seek(self.found + b"\x00")

    def valid(self) -> bool:
        return self.said is None and self.found is not None

    def key(self) -> bytes:
        assert self.found is not None
        return self.found

    def value(self) -> bytes:
        return self.key() + b"!"

    def status(self) -> None:
        if self.said is not None:
            raise Exception(self.said)


def _steps(db: FakeDatabase) -> list[list[Pair] | Stretch]:
    return list(Walk(cast(Rdict, cast(Any, db))).steps())


def _keys(steps: list[list[Pair] | Stretch]) -> list[bytes]:
    return [key for step in steps if not isinstance(step, Stretch) for key, _ in step]


names = st.binary(min_size=1, max_size=4).filter(lambda name: name < END and name[-1] != 0)


@given(st.sets(names, min_size=1, max_size=40), st.lists(st.tuples(names, names), max_size=6))
def test_what_is_outside_of_all_damage_is_found_and_nothing_else(
    keys: set[bytes], ends: list[tuple[bytes, bytes]]
) -> None:
    keys.add(b"r" * 4)  # a walk searches as finely as its longest key
    damage = [Damage(min(pair), max(pair), corrupt(number)) for number, pair in enumerate(ends)]
    steps = _steps(FakeDatabase(sorted(keys), damage))
    sound = [key for key in sorted(keys) if not any(low < key <= (high or END) for low, high, *_ in damage)]
    assert _keys(steps) == sound
    for step in steps:
        if isinstance(step, Stretch):
            assert not any(step.start <= key and (step.end is None or key < step.end) for key in sound)


def test_a_file_that_fails_everywhere_leaves_nothing() -> None:
    db = FakeDatabase([b"a", b"b"], [Damage(b"", None, "Corruption: bad magic number"), Damage(b"a", b"b", corrupt(1))])
    assert _steps(db) == [Stretch(b"", None, "Corruption: bad magic number")]


def test_what_fails_to_the_end_ends_the_walk() -> None:
    db = FakeDatabase([b"a", b"b", b"c"], [Damage(b"b", None, corrupt(7))])
    assert _steps(db) == [[(b"a", b"a!"), (b"b", b"b!")], Stretch(b"b\x00", None, corrupt(7))]


def test_a_fault_that_passes_loses_nothing() -> None:
    for times in (1, 2):
        db = FakeDatabase([b"a", b"b", b"c"], [Damage(b"a", b"b", "IO error: pread: Input/output error", times)])
        assert _keys(_steps(db)) == [b"a", b"b", b"c"]


def test_a_spot_that_the_disk_cannot_read_is_a_stretch_like_another() -> None:
    said = "IO error: While pread offset 4038 len 337: /data/db/000011.sst: Input/output error"
    steps = _steps(FakeDatabase([b"a", b"b", b"c"], [Damage(b"a", b"b", said)]))
    assert _keys(steps) == [b"a", b"c"]


def test_what_is_no_damage_is_raised() -> None:
    db = FakeDatabase([b"a", b"b"], [Damage(b"a", b"b", "IO error: Too many open files")])
    with pytest.raises(Exception, match="Too many open files"):
        _steps(db)


def test_damage_that_comes_and_goes_is_raised() -> None:
    class Flapping(FakeDatabase):
        """Fails at b in every other reading."""

        def iter(self, options: object) -> FakeIterator:
            self.left = [0 if self.left[0] is None else None]
            return super().iter(options)

    # The first page reads on over b at once; later readings alternate between failing and not.
    db = Flapping([b"a", b"b"], [Damage(b"", b"b", corrupt(1))])
    db.left = [0]
    with pytest.raises(Exception, match="checksum mismatch"):
        _steps(db)
    assert db.seeks <= 3 * TRIES
