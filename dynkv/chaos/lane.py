"""One direction of one connection: pieces that wait for their time, and come out in the order of it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from dynkv.chaos.frames import Cutter, Piece
from dynkv.chaos.way import Way
from dynkv.runtime import Clock, wait_until

# More than that is not taken from the sender until some of it is delivered: it meets TCP's own back pressure.
HELD_BYTES_MAX = 4 * 1024 * 1024


class Lane:
    """Filled by one task, emptied by another."""

    def __init__(self, way: Way, cutter: Cutter, clock: Clock, reset: Callable[[], None]) -> None:
        self.way = way
        self.reset = reset
        self._cutter = cutter
        self._clock = clock
        self._waiting: list[tuple[float, int, Piece]] = []
        self._number = itertools.count()
        self._held_bytes = 0
        self._last = 0.0
        self._ended = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, data: bytes) -> None:
        """Take what was sent; waits where there is too much already."""
        for piece in self._cutter.feed(data):
            self._take(piece)
        if self._held_bytes > HELD_BYTES_MAX:
            self._room.clear()
        await self._room.wait()

    def end(self) -> None:
        """Nothing more comes."""
        for piece in self._cutter.finish():
            self._take(piece)
        self._ended = True
        self._news.set()

    def _take(self, piece: Piece) -> None:
        fate = self.way.fate(piece, self._last)
        for due in fate.due:
            if fate.keeps_place:
                self._last = due
            heapq.heappush(self._waiting, (due, next(self._number), piece))
            self._held_bytes += len(piece.data)
        self._news.set()

    def release(self) -> None:
        """Let all arrive now that waits for its time, in the order of their times."""
        now = self._clock.now()
        self._waiting = [(now, place, piece) for place, (_, _, piece) in enumerate(sorted(self._waiting))]
        self._number = itertools.count(len(self._waiting))
        self._last = now
        self._news.set()

    async def get(self) -> Piece | None:
        """The next piece, when its time has come; None after the last."""
        while True:
            self._news.clear()
            if self._waiting:
                wait_s = self._waiting[0][0] - self._clock.now()
                if wait_s <= 0:
                    piece = heapq.heappop(self._waiting)[2]
                    self._held_bytes -= len(piece.data)
                    if self._held_bytes <= HELD_BYTES_MAX:
                        self._room.set()
                    return piece
                await wait_until(self._news, wait_s)  # a piece that comes later may be due sooner
            elif self._ended:
                return None
            else:
                await self._news.wait()
