"""The Store over a RocksDB directory: what runs on the loop, and what is handed to the background thread."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, cast

import structlog
from rocksdict import ReadOptions, WriteBatch, WriteOptions

from dynkv.core.errors import (
    DamagedDirectory,
    StartError,
    StoreBusy,
    StoreReadFailed,
    StoreReadOnly,
    StoreWriteFailed,
)
from dynkv.runtime import Clock
from dynkv.storage.background import Background
from dynkv.storage.base import SCAN_BYTES, Change, Done, Durability, Durable, Renew, StoreStatus
from dynkv.storage.committer import RETRY_EVERY_S, SYNC_EVERY_S, Committer
from dynkv.storage.damage import DamageWatch
from dynkv.storage.rocks.database import Database, failure_of
from dynkv.storage.rocks.options import Tuning

log = structlog.get_logger("dynkv.storage")


class RocksStore:
    """A Store in a directory. See `open`."""

    def __init__(
        self,
        path: Path,
        database: Database,
        background: Background,
        *,
        durability: Durability,
        clock: Clock,
        renew: Renew,
        tuning: Tuning,
        sync_every_s: float,
        retry_every_s: float,
    ) -> None:
        self._path = path
        self._background = background
        self._renew = renew
        self._tuning = tuning
        self._committer = Committer(
            self, durability, clock=clock, sync_every_s=sync_every_s, retry_every_s=retry_every_s
        )
        self._damage = DamageWatch(clock)
        self._committer.on_damaged = self._damage.found
        self._writes = self._stalls = 0
        self._now = WriteOptions()
        self._now.no_slowdown = True
        self._passing = ReadOptions()
        self._passing.fill_cache(False)  # type: ignore[call-arg]  # rocksdict's stub forgets the argument
        self._use(database)

    @classmethod
    def open(
        cls,
        path: Path,
        durability: Durability,
        *,
        create: bool,
        clock: Clock,
        renew: Renew,
        tuning: Tuning = Tuning(),  # noqa: B008 - frozen, so one for all is safe
        sync_every_s: float = SYNC_EVERY_S,
        retry_every_s: float = RETRY_EVERY_S,
    ) -> Self:
        """Open the database at `path`; `create` it there if it was never served from.

        On the running loop, and holding it: a thread would not help, as opening holds the GIL. `renew` takes a new
        incarnation when a failure has been overcome; it runs off the loop. DamagedDirectory, DirectoryInUse;
        StartError for what is neither, such as a full disk.
        """
        try:
            database = Database(path, tuning, create=create)
        except OSError as error:
            raise StartError(f"cannot open the database in {path}: {error.strerror}") from error
        return cls(
            path,
            database,
            Background("dynkv-disk"),
            durability=durability,
            clock=clock,
            renew=renew,
            tuning=tuning,
            sync_every_s=sync_every_s,
            retry_every_s=retry_every_s,
        )

    @property
    def on_reopened(self) -> Callable[[], None] | None:
        return self._committer.on_reopened

    @on_reopened.setter
    def on_reopened(self, hook: Callable[[], None] | None) -> None:
        self._committer.on_reopened = hook

    @property
    def on_damaged(self) -> Callable[[str], None] | None:
        return self._damage.hook

    @on_damaged.setter
    def on_damaged(self, hook: Callable[[str], None] | None) -> None:
        self._damage.hook = hook

    @property
    def durable(self) -> Durable:
        return self._database.durable

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._unread(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            values = cast(list[bytes | None], self._db.get(list(keys)))
        except Exception as error:
            raise self._unread(error) from error
        return values

    def write(self, changes: Sequence[Change]) -> None:
        committer = self._committer
        if committer.refusal is not None:
            raise StoreReadOnly(f"read-only: {committer.refusal}")
        try:
            if len(changes) == 1 and (value := changes[0][1]) is not None:
                self._db.put(changes[0][0], value, write_opt=self._now)  # a batch of one costs 1 µs more
            else:
                batch = WriteBatch(raw_mode=True)
                for key, value in changes:
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
                self._db.write(batch, self._now)
        except Exception as error:
            if type(error) is not Exception:  # an argument that is no bytes: the caller's defect, not the disk's
                raise
            if "stall" in str(error):
                self._stalls += 1
                raise StoreBusy("the disk is behind with earlier writes") from error
            failure = failure_of(self._path, error)
            committer.fail(failure)
            raise StoreWriteFailed(str(failure)) from error
        self._writes += 1
        committer.wrote()

    def when_durable(self, done: Done) -> None:
        self._committer.when_durable(done)

    def scan(self, start: bytes, end: bytes, limit: int, bytes_max: int = SCAN_BYTES) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        left = bytes_max
        iterator = None
        try:
            iterator = self._db.iter(self._passing)
            iterator.seek(start)
            while len(found) < limit and left > 0 and iterator.valid() and (key := iterator.key()) < end:
                value = iterator.value()
                found.append((key, value))
                left -= len(value)
                iterator.next()
            iterator.status()
        except Exception as error:
            raise self._unread(error) from error
        finally:
            del iterator  # the error's traceback would keep it alive, and it the directory's lock
        return found

    def status(self) -> StoreStatus:
        committer = self._committer
        return StoreStatus(
            healthy=committer.failure is None,
            read_only=committer.refusal is not None,
            reason=committer.failure or "",
            writes=self._writes,
            syncs=committer.syncs,
            sync_seconds=committer.sync_seconds,
            sync_seconds_max=committer.sync_seconds_max,
            sync_failures=committer.sync_failures,
            stalls=self._stalls,
            reopens=committer.reopens,
            bytes=self._bytes(),
        )

    async def close(self) -> None:
        try:
            await self._committer.close()
        finally:
            try:
                await self._background.run(self._database.close)
            except (DamagedDirectory, OSError) as error:
                raise StoreWriteFailed(str(error)) from error
            finally:
                self._background.stop()

    def in_turn(self, work: Callable[[], None], done: Done) -> None:
        self._background.begin(work, done)

    def abandon(self) -> None:
        """Let go of the disk at once, of a store that was never written to."""
        self._background.stop()
        self._database.close()

    # What the committer drives. Never two at a time.

    def sync(self, done: Done) -> None:
        """Make durable what was written, off the loop."""
        self._background.begin(self._database.sync, done)

    def reopen(self, done: Done) -> None:
        """Close and open anew, off the loop, once the disk works again; see base."""
        opened: list[Database] = []

        def work() -> None:
            _check_room(self._path.parent, self._tuning.reserve_bytes)
            try:
                self._database.close()
            except (StoreWriteFailed, DamagedDirectory, OSError) as error:
                log.info("closed after a failure", said=str(error))  # it failed before; that is why it is closed
            opened.append(Database(self._path, self._tuning, create=False))
            opened[0].prove()
            self._renew("the store was reopened after a failed write or sync")

        def use(error: Exception | None) -> None:
            if opened:  # even if it did not prove itself: what it holds can be read until the next attempt
                self._use(opened[0])
            done(error)

        self._background.begin(work, use)

    def _unread(self, error: Exception) -> StoreReadFailed:
        self._damage.read_failed(str(error))
        return StoreReadFailed(f"cannot read: {error}")

    def _use(self, database: Database) -> None:
        self._database = database
        self._db = database.db

    def _bytes(self) -> int:
        try:
            files = self._db.property_int_value("rocksdb.total-sst-files-size") or 0
            return files + (self._db.property_int_value("rocksdb.cur-size-all-mem-tables") or 0)
        except Exception:  # noqa: BLE001 - closed or being reopened: it cannot be told now, as the contract says
            return 0


def _check_room(path: Path, reserve_bytes: int) -> None:
    """StoreWriteFailed unless the disk gives `reserve_bytes` and syncs them."""
    probe = path / "room.probe"
    try:
        file = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(file, 0, reserve_bytes)
            os.pwrite(file, b"x" * 4096, 0)
            os.fsync(file)
        finally:
            os.close(file)
            probe.unlink()
    except OSError as error:
        why = f"the disk of {path} does not take {reserve_bytes >> 20} MiB yet: {error.strerror}"
        raise StoreWriteFailed(why) from error
