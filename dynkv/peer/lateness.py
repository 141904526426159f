"""How late a frame is, without comparing two machines' clocks.

A frame says when it left, by its sender's monotonic clock, which differs from ours by an unknown constant. The smallest
difference seen on a connection belongs to the frame that travelled quickest; what a frame has beyond it, it spent
waiting: in a socket of a paused process, on a clogged link.

The constant is not quite constant. Two clocks drift apart (by a fraction of a millisecond a second at most, while they
are being corrected), so the floor is let rise by `DRIFT`; else, after a day, every call would look seconds late. A
clock that jumps makes all frames late, heartbeats too: they go unanswered, the peer connects anew, and a new floor is
found.
"""

DRIFT = 0.001


class Lateness:
    """The lateness of one connection's frames. All in seconds."""

    __slots__ = ("_at", "_floor")

    def __init__(self) -> None:
        self._floor: float | None = None
        self._at = 0.0

    def of(self, sent: float, now: float) -> float:
        """Beyond the quickest frame's: the travel of one that left at `sent` (their clock) and came at `now` (ours)."""
        difference = now - sent
        if self._floor is not None:
            floor = self._floor + DRIFT * (now - self._at)
            if difference > floor:
                return difference - floor
        self._floor = difference
        self._at = now
        return 0.0
