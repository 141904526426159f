"""How fast the traffic of repair may flow. Time is an argument: seconds, from any monotonic clock."""

import math

LATE_S = 0.003
COURTESY_S_MAX = 0.1
# Clients are there for so long after one of them asked.
QUIET_S = 1.0


def courtesy_s(late_s: float) -> float:
    """How long work in the background rests once more if its turn came so late: others need the processor, and four
    times as long is theirs. Nothing for what any timer may be late."""
    return 0.0 if late_s < LATE_S else min(4 * late_s, COURTESY_S_MAX)


class Budget:
    """Bytes per second, with a burst: a bucket that fills steadily, is spent from at once and may go into debt."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, bytes_per_s: float, burst: float) -> None:
        """It begins full. `burst`: what may be spent without rest after a pause."""
        assert bytes_per_s > 0
        assert burst >= 0
        self._rate = bytes_per_s
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def spend(self, spent: int, now: float) -> float:
        """So many bytes were moved, or are about to be: the seconds to rest before any more."""
        since = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(self._burst, self._left + since * self._rate) - spent
        return max(0.0, -self._left / self._rate)


class Deference:
    """Whether clients are to be deferred to: one has asked a moment ago."""

    __slots__ = ("_asked", "_until")

    def __init__(self) -> None:
        self._asked = 0
        self._until = -math.inf

    def due(self, asked: int, now: float) -> bool:
        """Whether clients have asked since the last look, or it is not `QUIET_S` since a look found that they had.
        `asked`: how often since the start."""
        if asked != self._asked:
            self._asked = asked
            self._until = now + QUIET_S
        return now < self._until
