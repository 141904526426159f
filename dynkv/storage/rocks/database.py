"""One opening of a RocksDB directory, with its watermark. Everything here blocks; it runs on the background thread."""

from pathlib import Path

from rocksdict import AccessType, Rdict

from dynkv.core.errors import DamagedDirectory, DirectoryInUse, StartError, StoreWriteFailed
from dynkv.storage.base import Durable
from dynkv.storage.keys import meta_key
from dynkv.storage.rocks.options import Tuning, options_for
from dynkv.storage.watermark import Watermark, check_files, check_sequence, damaged


class Database:
    """The open files. `db` may be read and written on the loop while nothing here runs but `sync`. `durable`: see
    Store."""

    def __init__(self, path: Path, tuning: Tuning, *, create: bool) -> None:
        self.path = path
        noted = 0 if create else check_files(path)
        try:
            self.db = Rdict(str(path), options_for(tuning, create=create))
        except Exception as error:
            raise _of_open(path, error) from error
        self.closed = False
        try:
            check_sequence(path, noted, self.db.latest_sequence_number())
            self._id = (path / "IDENTITY").read_text(errors="replace").strip()
            self._watermark = Watermark(path)
        except BaseException:
            self.db.close()
            raise
        # What was replayed has been written to new, synced files by now; so this is no more than what is durable.
        self._note(self.db.latest_sequence_number())
        self._watermark.sync()

    def sync(self) -> None:
        """All changes made before this call are durable on return. DamagedDirectory, StoreWriteFailed, OSError."""
        sequence = self.db.latest_sequence_number()
        try:
            self.db.flush_wal(True)
        except Exception as error:
            raise failure_of(self.path, error) from error
        self._note(sequence)

    def prove(self) -> None:
        """Show that a write and its sync succeed."""
        try:
            self.db.put(meta_key("probe"), b"")
        except Exception as error:
            raise failure_of(self.path, error) from error
        self.sync()

    def close(self) -> None:
        """Write out and let go. The files are let go even if it raises; nothing happens if they are already."""
        if self.closed:
            return
        self.closed = True
        sequence = self.db.latest_sequence_number()
        try:
            self.db.close()
            self._note(sequence)
            self._watermark.sync()
        except OSError:
            raise
        except Exception as error:
            raise failure_of(self.path, error) from error
        finally:
            self._watermark.close()

    def _note(self, sequence: int) -> None:
        self._watermark.note(sequence)
        self.durable = Durable(self._id, sequence)


def open_to_read(path: Path, tuning: Tuning) -> Rdict:
    """Open a closed database without changing a byte of it; its log is replayed into memory. DamagedDirectory,
    StartError, OSError. It takes no lock, so the caller must hold that of the data directory."""
    noted = check_files(path)
    try:
        db = Rdict(str(path), options_for(tuning, create=False), access_type=AccessType.read_only(False))
    except Exception as error:
        raise _of_open(path, error) from error
    try:
        check_sequence(path, noted, db.latest_sequence_number())
    except BaseException:
        db.close()
        raise
    return db


def _of_open(path: Path, error: Exception) -> StartError:
    text = str(error)
    if "lock hold" in text or "While lock file" in text:
        return DirectoryInUse(f"the database in {path} is in use by another process")
    if "Corruption" in text or "No such file" in text or "does not exist" in text:
        return damaged(path, text)
    return StartError(f"cannot open the database in {path}: {text}")


def failure_of(path: Path, error: Exception) -> StoreWriteFailed | DamagedDirectory:
    # A damaged file found while it is merged with others will be found again after every reopening.
    return damaged(path, str(error)) if "Corruption" in str(error) else StoreWriteFailed(str(error))
