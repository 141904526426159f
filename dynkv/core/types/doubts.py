"""Which updates of typed values this node may have taken in without their clients knowing it.

An update whose quorum is not met is answered as ambiguous, and its client sends it again, elsewhere. Until that is
heard of, a counter must be able to tell it apart (the package's text, *Retries*). So each update is in doubt from the
moment at which it stands in the copy until its quorum is met. The memory is bounded, and ends with the process.
"""

DOUBTS_MAX = 8192

Doubt = tuple[str, bytes, bytes]
"""Bucket, key, hashed write id."""


class Doubts:
    """A set of them."""

    __slots__ = ("_doubts",)

    def __init__(self) -> None:
        self._doubts: dict[Doubt, None] = {}  # in the order in which they came

    def begin(self, doubt: Doubt) -> None:
        """It stands in this node's copy."""
        self._doubts[doubt] = None
        if len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]

    def end(self, doubt: Doubt) -> None:
        """Its quorum is met, and its client will be told."""
        self._doubts.pop(doubt, None)

    def __contains__(self, doubt: Doubt) -> bool:
        return doubt in self._doubts

    def __len__(self) -> int:
        return len(self._doubts)
