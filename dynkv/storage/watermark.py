"""What was durable, noted beside the database, so that a start can tell when it got less back.

RocksDB tolerates what looks like a torn end, because a crash leaves one. But damage can look like that too (measured
with RocksDB 9.8.4): a log cut or removed, a flipped bit in a length field of its last 32 KiB, a MANIFEST cut in its
middle - each opens without a word, minus acknowledged writes. So after every sync the file WATERMARK says:

    magic(8) sequence(8) manifest number(8) manifest bytes(8) manifest crc32(4) crc32 of all that(4)

`sequence` counts the changes that were durable. The MANIFEST (which files make up the database) only grows while it is
in use; number, size and checksum name the prefix that was there. A start compares the MANIFEST before RocksDB touches
anything (opening on a cut one deletes the files that it no longer names) and the sequence after the log was replayed.

The file is overwritten in place, in one sector, and synced only when the database is opened or closed: after a crash of
the process it is exact; after a loss of power it may be up to half a minute old, a lower bound. It never says more than
was synced.
"""

import os
import re
from pathlib import Path
from struct import Struct
from zlib import crc32

from dynkv.core.errors import DamagedDirectory

NAME = "WATERMARK"
MAGIC = b"dynkvWM1"
REBUILD = (
    "To get its records back from their replicas, start the node once with `dynkv serve --rebuild`, "
    "which sets the damaged files aside"
)

_body = Struct(">8sQQQI")
_check = Struct(">I")
_CHUNK = 1 << 20


def damaged(database: Path, why: str) -> DamagedDirectory:
    """The error that refuses `database`: what is wrong and what to do."""
    return DamagedDirectory(f"the database in {database} is damaged: {why.rstrip('. ')}. {REBUILD}", why)


class Watermark:
    """The note of one open database. Blocks on the disk; used by one thread at a time."""

    def __init__(self, database: Path) -> None:
        """Begin to note, in place, what is there now; the file is made if missing. OSError, DamagedDirectory."""
        self._database = database
        self._number = _manifest_number(database)
        self._manifest = os.open(database / f"MANIFEST-{self._number:06d}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._file = os.open(database / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            os.close(self._manifest)
            raise
        self._bytes = 0
        self._crc = 0

    def note(self, sequence: int) -> None:
        """`sequence` changes are durable, and the MANIFEST as far as it goes now."""
        if os.fstat(self._manifest).st_size != self._bytes:
            os.fdatasync(self._manifest)
            self._bytes, self._crc = _read_crc(self._manifest, self._bytes, self._crc)
        body = _body.pack(MAGIC, sequence, self._number, self._bytes, self._crc)
        os.pwrite(self._file, body + _check.pack(crc32(body)), 0)

    def sync(self) -> None:
        """Make the note itself durable."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._file)
        os.close(self._manifest)


def check_files(database: Path) -> int:
    """The noted sequence, once the MANIFEST is found to hold all that was noted. DamagedDirectory if it does not.

    To be called before RocksDB opens the directory.
    """
    sequence, number, size, crc = _read(database)
    current = _manifest_number(database)
    if current < number:
        raise damaged(database, f"CURRENT names MANIFEST-{current:06d}, but MANIFEST-{number:06d} was in use already")
    if current == number:
        try:
            manifest = os.open(database / f"MANIFEST-{number:06d}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise damaged(database, f"MANIFEST-{number:06d} is missing") from None
        try:
            if (found := _read_crc(manifest, 0, 0, size)) != (size, crc):
                why = "has changed" if found[0] == size else f"has {found[0]} bytes of {size}"
                raise damaged(database, f"MANIFEST-{number:06d} {why}")
        finally:
            os.close(manifest)
    return sequence


def check_sequence(database: Path, noted: int, found: int) -> None:
    """DamagedDirectory if the replayed log ends before what was durable."""
    if found < noted:
        raise damaged(database, f"the log ends at change {found}, but {noted} changes were durable")


def _read(database: Path) -> tuple[int, int, int, int]:
    try:
        data = (database / NAME).read_bytes()
    except FileNotFoundError:
        raise damaged(database, f"its {NAME} is missing") from None
    if len(data) != _body.size + _check.size or _check.unpack_from(data, _body.size) != (crc32(data[: _body.size]),):
        raise damaged(database, f"its {NAME} is not readable")
    magic, sequence, number, size, crc = _body.unpack_from(data)
    if magic != MAGIC:
        raise damaged(database, f"its {NAME} is of another version")
    return sequence, number, size, crc


def _manifest_number(database: Path) -> int:
    try:
        text = (database / "CURRENT").read_text(errors="replace")
    except FileNotFoundError:
        raise damaged(database, "CURRENT is missing") from None
    found = re.fullmatch(r"MANIFEST-(\d{6,18})\n", text)
    if found is None:
        raise damaged(database, "CURRENT does not name a MANIFEST")
    return int(found[1])


def _read_crc(file: int, start: int, crc: int, end: int | None = None) -> tuple[int, int]:
    """Go on with a checksum from `start` to `end`, or to the end of the file: (bytes read so far, crc)."""
    while end is None or start < end:
        chunk = os.pread(file, _CHUNK if end is None else min(_CHUNK, end - start), start)
        if not chunk:
            break
        crc = crc32(chunk, crc)
        start += len(chunk)
    return start, crc
