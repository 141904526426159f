"""What a node does now: rates and latencies over the last few seconds, from counts that only ever grow."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from dynkv.hints import HintBook
from dynkv.http.stats import HttpStats, RouteStats
from dynkv.metrics import Histogram
from dynkv.repair.journal import Moved
from dynkv.runtime import Clock
from dynkv.worker import Found

STEP_S = 1.0
STEPS = 5

OF_KEYS = ("kv", "operation")  # single requests, and the operations of batches
READS = frozenset({"GET", "HEAD"})


class Sample(NamedTuple):
    """Totals of one moment."""

    at: float
    reads: Histogram
    writes: Histogram
    paid: dict[str, int]
    repaired: int


class Meter:
    """`step` is a worker's step: it notes the totals once a second. `moved`: what exchanges have repaired."""

    def __init__(self, clock: Clock, stats: HttpStats, hints: HintBook, moved: Moved) -> None:
        self._clock = clock
        self._stats = stats
        self._hints = hints
        self._moved = moved
        self._samples: deque[Sample] = deque([self._sample()], maxlen=STEPS + 1)

    async def step(self) -> Found:
        """Note the totals of this moment."""
        self._samples.append(self._sample())
        return STEP_S

    def requests(self) -> tuple[float, float, float | None, float | None]:
        """Reads and writes a second, and the 99th percentile of their latencies in ms, None if there were none."""
        before, now = self._span()
        seconds = max(1e-3, now.at - before.at)
        reads, writes = _since(before.reads, now.reads), _since(before.writes, now.writes)
        return reads.count() / seconds, writes.count() / seconds, _p99_ms(reads), _p99_ms(writes)

    def paid_per_s(self, target: str) -> float:
        """Hints paid to `target` a second."""
        before, now = self._span()
        return (now.paid.get(target, 0) - before.paid.get(target, 0)) / max(1e-3, now.at - before.at)

    def repaired_per_s(self) -> float:
        """Keys that exchanges repaired a second."""
        before, now = self._span()
        return (now.repaired - before.repaired) / max(1e-3, now.at - before.at)

    def _span(self) -> tuple[Sample, Sample]:
        return self._samples[0], self._sample()

    def _sample(self) -> Sample:
        rows = [row for row in self._stats.routes if row.route in OF_KEYS]
        return Sample(
            self._clock.now(),
            _sum(row for row in rows if row.method in READS),
            _sum(row for row in rows if row.method not in READS),
            dict(self._hints.paid_to),
            self._moved.keys_pulled + self._moved.keys_pushed,
        )


def _sum(rows: Iterable[RouteStats]) -> Histogram:
    total = Histogram()
    for row in rows:
        total.counts = [a + b for a, b in zip(total.counts, row.latency.counts, strict=True)]
    return total


def _since(before: Histogram, now: Histogram) -> Histogram:
    part = Histogram()
    part.counts = [b - a for a, b in zip(before.counts, now.counts, strict=True)]
    return part


def _p99_ms(latencies: Histogram) -> float | None:
    """The bound of the 99th percentile; of what is beyond all bounds, the last one."""
    return min(latencies.quantile(0.99), latencies.bounds[-1]) * 1000 if latencies.count() else None
