"""Which nodes answer, as far as this client has met them: a node that failed is tried last for a moment.

    good     rank 0
    failed   rank 1 for a moment that doubles with each failure in a row; then one call may try it, the others
             go on passing it by until that one has come back
    held     rank 1, because it said Retry-After; if every node did, a call waits for the first of them

A rank only orders: when nothing better is left, a failed node is asked all the same.
"""

MOMENT_S = 0.5
MOMENT_MAX_S = 15.0


class _Node:
    __slots__ = ("failures", "held_until", "last_until")

    def __init__(self) -> None:
        self.failures = 0
        self.last_until = 0.0
        self.held_until = 0.0


class Health:
    """Of nodes by their URL. `now` is in monotonic seconds."""

    def __init__(self, trial_s: float) -> None:
        """`trial_s`: how long a trial may take, at most, before another is let through."""
        self._trial_s = trial_s
        self._nodes: dict[str, _Node] = {}

    def rank(self, url: str, now: float) -> int:
        node = self._nodes.get(url)
        if node is None:
            return 0
        return int(now < node.last_until or now < node.held_until)

    def held_until(self, url: str) -> float:
        """When the node wants to be asked again; 0.0 if it has not said."""
        node = self._nodes.get(url)
        return 0.0 if node is None else node.held_until

    def asked(self, url: str, now: float) -> None:
        """A call goes to this node. If it had failed before, that call is the trial."""
        node = self._nodes.get(url)
        if node is not None and node.failures and now >= node.last_until:
            node.last_until = now + self._trial_s

    def answered(self, url: str) -> None:
        """It answered, whatever it said."""
        node = self._nodes.get(url)
        if node is not None and node.failures:
            node.failures, node.last_until = 0, 0.0

    def failed(self, url: str, now: float) -> None:
        """It did not answer."""
        node = self._nodes.setdefault(url, _Node())
        node.failures = min(node.failures + 1, 16)
        node.last_until = now + min(MOMENT_MAX_S, MOMENT_S * 2.0 ** (node.failures - 1))

    def hold(self, url: str, until: float) -> None:
        """It wants to be asked again at `until` and not before."""
        node = self._nodes.setdefault(url, _Node())
        node.held_until = max(node.held_until, until)

    def only(self, urls: set[str]) -> None:
        """Forget all other nodes: a cluster's addresses change over the years."""
        for url in self._nodes.keys() - urls:
            del self._nodes[url]
