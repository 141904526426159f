"""Calls that must not be done a second time, though their frame comes twice.

Whoever asked for a write is told of it what the first to answer says. Were the frame done again when the first answer
is already out, the second could say "nothing was written", and be right about itself: by then no quorum can be
reached. If it overtakes the first on its way back, the one who asked believes it of a write that stands on a disk.
(Found by simulation, on a network that repeats and reorders frames.)

So the ids of such calls are kept as long as the connection. They ascend, so of many only the last are kept; a call that
is older than those comes so late that it is taken for lost.
"""

KEPT_MAX = 4096


class Once:
    """The calls of one connection that came already."""

    __slots__ = ("_came", "_floor")

    def __init__(self) -> None:
        self._came: dict[int, None] = {}  # in the order in which they came
        self._floor = 0

    def first(self, call_id: int) -> bool:
        """Whether it has never come; from now on it has."""
        if call_id <= self._floor or call_id in self._came:
            return False
        self._came[call_id] = None
        if len(self._came) > KEPT_MAX:
            oldest = next(iter(self._came))
            del self._came[oldest]
            self._floor = max(self._floor, oldest)
        return True
