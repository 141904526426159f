"""Salvage: a new database with all that can be read of a damaged one.

A damaged file is never lived with. Its block makes every scan over it fail, a put of the same keys does not remove it,
and the first compaction that meets it leaves the database read-only for good. So the node ends its life, what is
readable is copied (`salvage`), the copy takes the database's place (`DataDirectory.take_salvaged`), and a new life
begins: incomplete, so that it counts to no quorum until it has been compared with the other primaries, and under a new
incarnation, so that no actor counts on from a copy that may be gone.

What is kept
------------
- Every record outside the unreadable stretches whose envelope matches its checksum, as it is: the newest version, never
  an older one (see `walk`). A record whose envelope does not match is left out and counted; replicas have it.
- Hints and node-local facts outside the stretches. A hint lost means a debt forgotten; exchanges between replicas
  find the difference. Facts lost (member map, bucket settings) come back by gossip.
- No hash trees: they speak of the old copy.
- A record inside a stretch, if a hint that was kept names it and `get` can read it: `get` looks from the newest file to
  the oldest and stops at the first that has the key, or with an error, so what it gives is the newest. A record that is
  owed to somebody may be the only copy of an acknowledged write.

The old database is opened read-only: not a byte of it changes, nothing is merged, and a crash at any moment leaves it
to the next attempt. Its log is replayed into memory (it is no longer than the memtables) and checked against the
watermark like at any start: a database whose log or MANIFEST is damaged is not salvaged but refused, as ever.

The node is away meanwhile: 0.6 s for 200,000 records of 1 KiB (two cores, files in the page cache). Until somebody
deletes what was set aside, the directory needs room for both.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog
from rocksdict import Rdict, WriteBatch, WriteOptions

from dynkv.core.errors import DamagedDirectory, DamagedRecord, StartError, StoreWriteFailed
from dynkv.storage.envelope import digest_of
from dynkv.storage.keys import HINT, RECORD, TREE, parse_hint_key, record_key
from dynkv.storage.rocks.database import Database, open_to_read
from dynkv.storage.rocks.options import Tuning
from dynkv.storage.rocks.walk import Pair, Stretch, Walk, spot_of
from dynkv.storage.watermark import damaged

log = structlog.get_logger("dynkv.storage")

STRETCHES_KEPT: Final = 20
TELL_EVERY_RECORDS: Final = 1_000_000


class Report(msgspec.Struct):
    """What a salvage found. `rescued` records lay in unreadable stretches and are counted in `records` too.

    `stretches`: the first few, of `unreadable` in all.
    """

    records: int = 0
    hints: int = 0
    facts: int = 0
    rescued: int = 0
    damaged_records: int = 0
    unreadable: int = 0
    stretches: list[Stretch] = []

    @property
    def lost(self) -> bool:
        """Whether something may be gone that was there."""
        return self.damaged_records > 0 or self.unreadable > 0


def salvage(old: Path, new: Path, tuning: Tuning, go_on: Callable[[], bool]) -> Report | None:
    """Copy what can be read of the closed database `old` into a new one at `new`, where nothing is: whole, durable and
    closed on return. None if `go_on` said no in the middle; `new` is of no use then. Blocks, memory is bounded.

    DamagedDirectory if `old` cannot be opened, or the copy cannot be made.
    """
    try:
        source = open_to_read(old, tuning)
    except OSError as error:
        raise _no_copy(old, error) from error
    try:
        return _copy(source, new, tuning, go_on)
    except (OSError, StartError, StoreWriteFailed) as error:
        raise _no_copy(old, error) from error
    except Exception as error:
        if type(error) is not Exception:  # rocksdict raises this type; any other is a defect here
            raise
        raise _no_copy(old, error) from error
    finally:
        source.close()


def _no_copy(old: Path, error: Exception) -> DamagedDirectory:
    return damaged(old, f"what can be read of it could not be copied: {error}")


def _copy(source: Rdict, new: Path, tuning: Tuning, go_on: Callable[[], bool]) -> Report | None:
    target = Database(new, tuning, create=True)
    try:
        copy = _Copy(source, target.db)
        if not (copy.all_readable(go_on) and copy.rescue(go_on)):
            return None
        target.db.flush()
    finally:
        target.close()
    return copy.report


class _Copy:
    """The copying itself, in two passes."""

    def __init__(self, source: Rdict, target: Rdict) -> None:
        self.report = Report()
        self._source = source
        self._target = target
        self._unlogged = WriteOptions()
        # All of it becomes durable at once, by the flush at the end.
        self._unlogged.disable_wal = True  # type: ignore[assignment,method-assign]  # the stub thinks it is a method
        self._end: bytes | None = b""  # of the last unreadable stretch

    def all_readable(self, go_on: Callable[[], bool]) -> bool:
        """Everything outside unreadable stretches. Whether it came to its end."""
        told = 0
        for step in Walk(self._source).steps():
            if not go_on():
                return False
            if isinstance(step, Stretch):
                self._note(step)
            else:
                self._write([pair for pair in step if self._keeps(*pair)])
            if self.report.records - told >= TELL_EVERY_RECORDS:
                told = self.report.records
                log.info("salvaging", records=told, unreadable=self.report.unreadable)
        return True

    def rescue(self, go_on: Callable[[], bool]) -> bool:
        """Records that are owed to somebody, from inside unreadable stretches. Whether it came to its end."""
        if not self.report.unreadable:
            return True
        for step in Walk(self._target).steps():
            if not go_on():
                return False
            if isinstance(step, Stretch):
                raise StoreWriteFailed(f"the copy, just written, cannot be read: {step.why}")
            for key, _ in step:
                if key[:1] == HINT:
                    self._rescue(key)
                elif key > HINT:  # hints lie together
                    return True
        return True

    def _rescue(self, hint: bytes) -> None:
        try:
            _, partition, bucket, key = parse_hint_key(hint)
        except ValueError:
            return  # it names no record; whoever pays hints will say so
        stored_key = record_key(partition, bucket, key)
        if self._target.get(stored_key) is not None:
            return
        try:
            value = self._source.get(stored_key)
        except Exception as error:  # noqa: BLE001 - `spot_of` raises what is no damage
            spot_of(error)
            return
        if value is not None and _is_sound(value):
            self._write([(stored_key, value)])
            self.report.records += 1
            self.report.rescued += 1

    def _keeps(self, key: bytes, value: bytes) -> bool:
        kind, report = key[:1], self.report
        if kind == RECORD:
            if not _is_sound(value):
                report.damaged_records += 1
                return False
            report.records += 1
        elif kind == HINT:
            report.hints += 1
        elif kind == TREE:
            return False
        else:
            report.facts += 1
        return True

    def _note(self, stretch: Stretch) -> None:
        report = self.report
        if report.unreadable and stretch.start == self._end:
            if len(report.stretches) == report.unreadable:
                report.stretches[-1] = msgspec.structs.replace(report.stretches[-1], end=stretch.end)
        else:
            report.unreadable += 1
            if len(report.stretches) < STRETCHES_KEPT:
                report.stretches.append(stretch)
        self._end = stretch.end

    def _write(self, pairs: Sequence[Pair]) -> None:
        if pairs:
            batch = WriteBatch(raw_mode=True)
            for key, value in pairs:
                batch.put(key, value)
            self._target.write(batch, self._unlogged)


def _is_sound(value: bytes) -> bool:
    try:
        digest_of(value)
    except DamagedRecord:
        return False
    return True
