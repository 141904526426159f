"""Which comparisons are this node's to begin.

Of two primaries of a partition one begins the exchange, and the other answers: the lesser id in even partitions, the
greater in odd ones, so that both have half of the work. A node that lost data does not wait to be asked: it begins the
exchanges of what it lacks with every other primary itself.
"""

from collections.abc import Callable, Iterator

from antientropy import Pair
from dynkv.membership import Membership


class Pairing:
    """The pairs of one node, as its member map and bucket settings are now."""

    def __init__(self, node: str, membership: Membership, partitions: int) -> None:
        self._node = node
        self._membership = membership
        self._partitions = partitions

    @property
    def formed(self) -> bool:
        """Whether it is known who holds what."""
        return self._membership.placement is not None

    def ns(self) -> tuple[int, ...]:
        """Every n that a bucket has, or would have."""
        membership = self._membership
        return tuple(sorted({membership.defaults.n, *(setting.n for setting in membership.settings.values())}))

    def holds(self, partition: int, n: int) -> bool:
        """Whether this node is one of the first n of the partition."""
        return self._node in self._primaries(partition, n)

    def needs(self, partition: int) -> frozenset[Pair] | None:
        """All pairs of this node in the partition, whoever begins them: what must be compared to have all there is.
        None while that is not known."""
        if not self.formed:
            return None
        return frozenset(
            Pair(partition, n, peer)
            for n in self.ns()
            if self.holds(partition, n)
            for peer in self._primaries(partition, n)
            if peer != self._node
        )

    def pairs(self, lacking: Callable[[int], bool]) -> Iterator[Pair]:
        """Those that this node begins; all of a partition that is `lacking`."""
        for partition in range(self._partitions):
            everything = lacking(partition)
            for pair in self.needs(partition) or ():
                if everything or self._begins(pair):
                    yield pair

    def _begins(self, pair: Pair) -> bool:
        first = min if pair.partition % 2 == 0 else max
        return first(self._node, pair.peer) == self._node

    def _primaries(self, partition: int, n: int) -> tuple[str, ...]:
        placement = self._membership.placement
        return () if placement is None else placement.preference(partition)[:n]
