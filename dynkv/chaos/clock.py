"""A wall clock that can be put wrong while a node runs: the one thing about it that is not the machine's own.

Nodes take the time from an object that they are given, so no library has to be slipped under the process: a node that
is otherwise itself looks into a file of eight bytes for how wrong it is to be, each time that it asks for the time.
Only the wall clock steps; a machine's monotonic clock does not.
"""

import mmap
from pathlib import Path

from dynkv.chaos.skew import OFFSET
from dynkv.machine import ThisMachine
from dynkv.runtime import SystemClock


class SkewedClock(SystemClock):
    """The system's clock, wrong by what the file says."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._by_ms = mmap.mmap(opened.fileno(), OFFSET.size, access=mmap.ACCESS_READ)

    def wall_ms(self) -> int:
        wrong: int = OFFSET.unpack_from(self._by_ms)[0]
        return super().wall_ms() + wrong


class SkewedMachine(ThisMachine):
    """This machine with a skewed clock."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.clock = SkewedClock(file)
