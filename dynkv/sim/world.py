"""Virtual time: a list of what is yet to happen. The clock jumps from one entry to the next, so waiting costs nothing.

Entries of one moment happen in the order in which they were made; nothing else orders anything, so a run is a function
of its seed.
"""

from collections.abc import Callable
from heapq import heappop, heappush

Act = Callable[[], object]


class Stuck(Exception):
    """Nothing can happen any more, or what was waited for did not happen in time."""


class World:
    """One simulated world. `now`: seconds since its beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        self._agenda: list[tuple[float, int, Act]] = []
        self._made = 0

    def at(self, when: float, act: Act) -> None:
        """Have `act` happen at `when`, or now if that is past. It cannot be taken back: an act looks whether it is
        still wanted."""
        self._made += 1
        heappush(self._agenda, (when if when > self.now else self.now, self._made, act))

    def after(self, seconds: float, act: Act) -> None:
        self.at(self.now + seconds, act)

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Let things happen until `done()`. Stuck if nothing is left to happen, or time reaches `until`."""
        agenda = self._agenda
        while not done():
            if not agenda:
                raise Stuck("everybody waits for somebody, and nothing is left to happen")
            when, _, act = heappop(agenda)
            if when > until:
                raise Stuck(f"what was waited for has not happened at {until:g} s")
            self.now = when
            self.happened += 1
            act()
