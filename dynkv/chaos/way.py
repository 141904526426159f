"""One way, and what it decides: when a piece arrives, how often, at what pace, and whether it ends its connection.

A way is shared by all connections on which its one end sends to its other. It waits for nothing but to be open, and for
its pace; the lanes wait for the rest.
"""

import asyncio
from typing import NamedTuple, Protocol

import msgspec

from dynkv.chaos.frames import Piece
from dynkv.chaos.rules import GOOD, Reset, Rules
from dynkv.runtime import Clock, Random, wait_until

# What is paced goes out in parts of at most so many seconds, so that a change of the pace is soon felt.
PART_S = 0.05
FOREVER_S = 3600.0


class Counts(msgspec.Struct):
    """What has become of a way's pieces. `bytes` and `frames`: delivered."""

    connections: int = 0
    bytes: int = 0
    frames: int = 0
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    resets: int = 0


class Fate(NamedTuple):
    """When a piece arrives, by the clock: never, once, or twice. keeps_place: nothing behind it may overtake it."""

    due: list[float]
    keeps_place: bool


class Connected(Protocol):
    """One direction of a connection, as its way sees it."""

    def release(self) -> None:
        """Let all arrive now that waits for its time."""
        ...

    def reset(self) -> None:
        """End the connection with RST, both ways."""
        ...


class Way:
    """What `source` sends to `to`. has_frames: whether its bytes are told apart into frames."""

    def __init__(self, source: str, to: str, clock: Clock, random: Random, *, has_frames: bool) -> None:
        self.source = source
        self.to = to
        self.has_frames = has_frames
        self.rules = GOOD
        self.counts = Counts()
        self.connections: dict[Connected, None] = {}
        self._clock = clock
        self._random = random
        self._changed = asyncio.Event()
        self._free_at = 0.0
        self._reset: Reset | None = None
        self._frames_left = self._bytes_left = 0

    def change(self, rules: Rules) -> None:
        """From now on these rules hold, also for what waits for its pace or for a cut to be healed. What is on its way
        already has its time; but on a good way nothing waits."""
        self.rules = rules
        if rules == GOOD:
            self._reset = None
            self._free_at = 0.0
            for connected in self.connections:
                connected.release()
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self, order: Reset) -> None:
        """Break the connections now, or remember when to."""
        if order.after_frames is None and order.after_bytes is None:
            self.counts.resets += len(self.connections)
            for connected in list(self.connections):
                connected.reset()
        else:
            self._reset = order
            self._frames_left, self._bytes_left = order.after_frames or 0, order.after_bytes or 0

    # --- a piece's fate -----------------------------------------------------------------------------------------------

    def fate(self, piece: Piece, last: float) -> Fate:
        """`last`: when the last piece before it that keeps its place arrives."""
        rules, chance, counts = self.rules, self._random.uniform, self.counts
        due = max(self._clock.now() + (rules.delay_ms + chance(0, rules.jitter_ms)) / 1000, last)
        if not piece.is_frame:
            return Fate([due], True)
        # Chance is asked only where there is a rule: a good way costs little.
        if rules.drop and chance(0, 1) < rules.drop:
            counts.dropped += 1
            return Fate([], True)
        overtaken = bool(rules.reorder) and chance(0, 1) < rules.reorder
        if overtaken:
            counts.reordered += 1
            due += chance(0, rules.reorder_ms) / 1000
        if rules.duplicate and chance(0, 1) < rules.duplicate:
            counts.duplicated += 1
            return Fate([due, due], not overtaken)
        return Fate([due], not overtaken)

    def breaks_within(self, piece: Piece) -> int | None:
        """If the connection is to be reset at this piece: how many bytes of it are delivered before. To be asked once
        for each piece, in the order of delivery."""
        order = self._reset
        if order is None:
            return None
        if order.after_frames is not None and piece.is_frame:
            if self._frames_left == 0:
                return self._resets(0)
            self._frames_left -= 1
        if order.after_bytes is not None:
            if self._bytes_left < len(piece.data):
                return self._resets(self._bytes_left)
            self._bytes_left -= len(piece.data)
        return None

    def _resets(self, delivered: int) -> int:
        self._reset = None
        self.counts.resets += 1
        return delivered

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def opened(self) -> None:
        """Until the way is not cut."""
        while self.rules.cut:
            await self._changed.wait()

    async def part(self, wanted: int) -> int:
        """Until some of `wanted` bytes may go on their way; how many."""
        while True:
            await self.opened()
            pace = self.rules.bytes_per_s
            if not pace:
                return wanted
            now = self._clock.now()
            if now >= self._free_at:
                allowed = min(wanted, max(1, int(pace * PART_S)))
                self._free_at = now + allowed / pace
                return allowed
            await wait_until(self._changed, min(self._free_at - now, FOREVER_S))
