"""Databases in several levels, made by hand, and bits flipped where a test wants them.

Values are random bytes, which lz4 does not shrink: a block of them is stored as it is, so a value can be found in its
file and damaged there, and a test knows which records share its block.
"""

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rocksdict import Rdict

from dynkv.storage.envelope import pack
from dynkv.storage.rocks.database import Database, open_to_read
from tests.unit.storage_forms import SMALL


def records(word: str, keys: Sequence[bytes], size: int = 200) -> dict[bytes, bytes]:
    """A sound stored record for each key; another `word`, other records."""
    chance = random.Random(word)
    return {key: pack(chance.randbytes(size), chance.randbytes(16), 0, 0) for key in keys}


def level_0(db: Rdict, changes: Mapping[bytes, bytes | None]) -> None:
    """One more file on top of all others; None deletes."""
    for key, value in changes.items():
        if value is None:
            db.delete(key)
        else:
            db.put(key, value)
    db.flush()


def bottom(db: Rdict, pairs: Mapping[bytes, bytes]) -> None:
    """Everything so far, and these, in files of the lowest level."""
    level_0(db, pairs)
    db.compact_range(None, None)


def killed(database: Database) -> Path:
    """Close it, but first copy what a kill -9 would leave: what was written last is in the log and not in a table."""
    database.sync()
    path = database.path.with_name("killed")
    shutil.copytree(database.path, path)
    database.close()
    return path


def tables(database: Path) -> list[Path]:
    return sorted(database.glob("*.sst"))


def flip(file: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 1 << bit
    file.write_bytes(data)


def flip_in(database: Path, value: bytes) -> None:
    """Flip a bit of this value in the one file that has it."""
    holders = [(table, at) for table in tables(database) if (at := table.read_bytes().find(value)) >= 0]
    assert len(holders) == 1, holders
    flip(holders[0][0], holders[0][1] + len(value) // 2)


def unreadable(database: Path, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` whose block is damaged, as `get` tells."""
    db = open_to_read(database, SMALL)
    found = set()
    for key in keys:
        try:
            db.get(key)
        except Exception as error:
            if "Corruption" not in str(error):
                raise
            found.add(key)
    db.close()
    return found


def contents(database: Path) -> dict[bytes, bytes]:
    """All pairs of a sound database, which is opened as a node would."""
    opened = Database(database, SMALL, create=False)
    iterator = opened.db.iter()
    iterator.seek(b"")
    found = {}
    while iterator.valid():
        found[iterator.key()] = iterator.value()
        iterator.next()
    iterator.status()
    del iterator
    opened.close()
    return found
