"""Metrics: plain integers while serving, Prometheus families only when somebody scrapes.

The parts of a node count in attributes of their own (an increment costs nanoseconds, and a library's labelled counter
microseconds). `Exposition` reads them when `/metrics` is asked for. Every label has a bounded set of values: routes,
status classes, node ids, workers; never a key or a bucket.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STALL_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)


class Histogram:
    """Counts of observations per bucket; `bounds` are upper limits in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, q: float) -> float:
        """Upper bound of the bucket in which the q-quantile lies; 0.0 without observations."""
        rank, seen = q * self.count(), 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            if seen >= rank and seen:
                return bound
        return 0.0

    def cumulative(self) -> list[tuple[str, float]]:
        """What Prometheus wants: (upper bound, observations up to it)."""
        pairs, seen = [], 0.0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            pairs.append((bound, seen))
        return pairs


def counter(name: str, help_text: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(f"dynkv_{name}", help_text, value=value)


def counters(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    """A counter per value of one label."""
    family = CounterMetricFamily(f"dynkv_{name}", help_text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def gauge(name: str, help_text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(f"dynkv_{name}", help_text, value=value)


def gauges(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    """A gauge per value of one label."""
    family = GaugeMetricFamily(f"dynkv_{name}", help_text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def histogram(name: str, help_text: str, values: Histogram) -> Metric:
    """A histogram without labels, in seconds."""
    return HistogramMetricFamily(f"dynkv_{name}", help_text, buckets=values.cumulative(), sum_value=values.total)


__all__ = [
    "CounterMetricFamily",
    "Exposition",
    "Histogram",
    "HistogramMetricFamily",
    "Metric",
    "counter",
    "counters",
    "gauge",
    "gauges",
    "histogram",
]

Source = Callable[[], Iterable[Metric]]


class Exposition(Collector):
    """All sources of one node as one page."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for source in self._sources:
            yield from source()

    def page(self) -> bytes:
        """The Prometheus text form."""
        return generate_latest(self._registry)
