"""Counts and latencies by route, as plain numbers: adding is two list increments; the scrape turns them into metrics.

Label sets are bounded by construction: routes are the index's own names (never a path), statuses are five classes.
"""

from dynkv.metrics import Histogram

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class RouteStats:
    """Of one route and method: `counts` by status class, and how long answers took from the whole header on."""

    __slots__ = ("counts", "latency", "method", "route")

    def __init__(self, route: str, method: str) -> None:
        self.route = route
        self.method = method
        self.counts = [0] * len(CLASSES)
        self.latency = Histogram()

    def add(self, status: int, seconds: float) -> None:
        self.counts[status // 100 - 1] += 1
        self.latency.observe(seconds)


class HttpStats:
    """All that the HTTP side counts. Read by the node's collector at each scrape."""

    def __init__(self) -> None:
        self.routes: list[RouteStats] = []
        self.connections = 0  # open now
        self.connections_refused = 0
        self.requests = 0  # in progress now, of keys
        self.refused_requests = 0  # malformed, or too slow: answered without a handler
        self.expired = 0  # connections that a deadline ended
        self.overloaded = 0
        self.streams_dropped = 0  # of events, because their client did not keep up
        self.contexts_too_large = 0
        self.errors = 0  # answers 500

    def route(self, route: str, method: str) -> RouteStats:
        """A new row; called once per route and method when the index is built."""
        row = RouteStats(route, method)
        self.routes.append(row)
        return row
