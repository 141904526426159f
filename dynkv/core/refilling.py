"""Who said lately that it is being refilled: its answers count to no quorum, so a read that asks it first asks twice.

A matter of speed only. What a node says of one partition is taken for all of it for `REMEMBERED_S`: while it is asked
last it says nothing, so after that one read finds out anew. Time is an argument: seconds of any monotonic clock.
"""

from collections.abc import Sequence

REMEMBERED_S = 1.0


class Refilling:
    """Kept by who asks."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def heard(self, node: str, now: float) -> None:
        """`node` said that it may lack what it once acknowledged."""
        self._until[node] = now + REMEMBERED_S

    def lately(self, node: str, now: float) -> bool:
        """Whether `node` said so lately."""
        return self._until.get(node, now) > now

    def last(self, nodes: Sequence[str], now: float) -> list[str]:
        """`nodes`, those last that were being refilled lately; else in the order given."""
        return sorted(nodes, key=lambda node: self.lately(node, now)) if self._until else [*nodes]
