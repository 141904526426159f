"""How long answers take: the running median and 95th percentile of the last 128, cheap enough for every answer.

A hedge sent at the 95th percentile costs one call in twenty and cuts the tail to little more than the delay itself
(Dean and Barroso, "The Tail at Scale", 2013). Quantiles are taken from the samples themselves, recomputed once in 32 of
them: adding one costs a store into a ring. Calls that never were answered are no samples, so a dead peer does not
teach anybody patience.
"""

RING = 128
RECOMPUTE_EVERY = 32
# The first few samples are worth more than a guess.
FIRST = 8

# A shorter delay would hedge on noise of the event loop, a longer one would be felt.
DELAY_S_MIN = 0.002
DELAY_S_MAX = 0.250
# Before anything was measured.
DELAY_S_UNKNOWN = 0.050


class Latency:
    """Quantiles of one kind of answer. `median_s` is None before there are any."""

    __slots__ = ("_count", "_due", "_ring", "delay_s", "median_s")

    def __init__(self) -> None:
        self._ring: list[float] = []
        self._count = 0
        self._due = FIRST
        self.median_s: float | None = None
        self.delay_s = DELAY_S_UNKNOWN

    def add(self, seconds: float) -> None:
        """An answer took so long."""
        count = self._count
        if count < RING:
            self._ring.append(seconds)
        else:
            self._ring[count % RING] = seconds
        self._count = count + 1
        if count + 1 >= self._due:
            self._recompute()

    @property
    def measured(self) -> bool:
        """Whether `delay_s` rests on samples."""
        return self.median_s is not None

    def _recompute(self) -> None:
        ordered = sorted(self._ring)
        self.median_s = ordered[len(ordered) // 2]
        self.delay_s = min(max(ordered[len(ordered) * 95 // 100], DELAY_S_MIN), DELAY_S_MAX)
        self._due = self._count + (RECOMPUTE_EVERY if self._count >= RECOMPUTE_EVERY else FIRST)


def common_delay_s(latencies: list[Latency]) -> float:
    """One hedge delay for several peers: the lower median of those measured, so that a slow peer does not raise it."""
    delays = sorted(latency.delay_s for latency in latencies if latency.measured)
    return delays[(len(delays) - 1) // 2] if delays else DELAY_S_UNKNOWN
