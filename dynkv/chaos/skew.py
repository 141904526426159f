"""A file of eight bytes that says how wrong a node's wall clock is to be, in milliseconds; `clock` reads it."""

import struct
from pathlib import Path

OFFSET = struct.Struct("<q")


def make(file: Path) -> None:
    """The file of a clock that is right."""
    file.write_bytes(OFFSET.pack(0))


def put_wrong(file: Path, by_ms: int) -> None:
    """From now on the clock is wrong by so many milliseconds; 0 puts it right."""
    with file.open("r+b") as opened:
        opened.write(OFFSET.pack(by_ms))
