"""What repair has done and found, for people: the standing of every pair, the newest events, totals.

The same facts go to the status page, the command line, JSON and metrics. Nothing here decides anything.
"""

from collections import deque

import msgspec

from antientropy import Counts, Outcome, Pair, Result
from dynkv.convergence import Convergence
from dynkv.core.survey import LEAVES_PER_PAIR, LOG_ENTRIES, Entry, PairState
from dynkv.runtime import Clock


class Standing(msgspec.Struct):
    """Of one pair by its last comparison; times are wall ms, 0 for never. See `survey.Compared`."""

    state: PairState = PairState.NEVER
    apart: int = 0
    compared_ms: int = 0
    tried_ms: int = 0
    why: str = ""
    leaves: tuple[int, ...] = ()  # that differed when it was last found apart, the first of `leaves_total`
    leaves_total: int = 0
    found_ms: int = 0


class Moved(msgspec.Struct):
    """Records that went over the wire in repairs: `pulled` from a peer, `pushed` to it."""

    keys_pulled: int = 0
    keys_pushed: int = 0
    bytes_pulled: int = 0
    bytes_pushed: int = 0

    def add(self, more: "Moved") -> None:
        self.keys_pulled += more.keys_pulled
        self.keys_pushed += more.keys_pushed
        self.bytes_pulled += more.bytes_pulled
        self.bytes_pushed += more.bytes_pushed


class Journal:
    """All of one node, since its start."""

    def __init__(self, clock: Clock, convergence: Convergence) -> None:
        self._clock = clock
        self.standings: dict[Pair, Standing] = {}
        self.log: deque[Entry] = deque(maxlen=LOG_ENTRIES)
        self.moved = Moved()
        self.comparisons = 0
        self.failures = 0
        self.convergence = convergence
        self._number = 0

    def keep(self, pairs: frozenset[Pair]) -> None:
        """These are compared from now on, and no others."""
        self.standings = {pair: self.standings.get(pair) or Standing() for pair in sorted(pairs)}

    def found_apart(self, pair: Pair, counts: Counts, leaves: tuple[int, ...]) -> None:
        """An exchange under way has found keys that differ."""
        standing = self._standing(pair)
        standing.state = PairState.APART
        standing.apart = counts.keys - counts.repaired
        standing.leaves, standing.leaves_total = leaves[:LEAVES_PER_PAIR], len(leaves)
        standing.found_ms = self._clock.wall_ms()

    def ended(self, pair: Pair, began_ms: int, result: Result, moved: Moved) -> None:
        """An exchange is over."""
        standing = self._standing(pair)
        standing.tried_ms = self._clock.wall_ms()
        standing.why = result.why
        standing.apart = result.counts.keys - result.counts.repaired
        if result.outcome in (Outcome.UNKNOWN, Outcome.FAILED):
            standing.state = PairState.UNKNOWN
            self.failures += result.outcome is Outcome.FAILED
        else:
            standing.state = PairState.IN_STEP if result.whole else PairState.APART
            standing.compared_ms = began_ms
            self.comparisons += 1
        self.moved.add(moved)
        if result.counts.keys or result.outcome is Outcome.FAILED:
            self.note("exchange", _words(result), pair.partition, pair.peer, moved, began_ms)

    def note(
        self, what: str, result: str, partition: int = -1, peer: str = "", moved: Moved | None = None, began_ms: int = 0
    ) -> None:
        """One line of the log. `what`: as in `survey.Entry`."""
        self._number += 1
        now_ms, moved = self._clock.wall_ms(), moved or Moved()
        self.log.append(
            Entry(
                self._number,
                now_ms,
                what,  # type: ignore[arg-type]  # one of the literals; checked where a survey is read
                partition,
                peer,
                moved.keys_pulled,
                moved.keys_pushed,
                moved.bytes_pulled + moved.bytes_pushed,
                max(0, now_ms - began_ms) if began_ms else 0,
                result[:512],
            )
        )

    def _standing(self, pair: Pair) -> Standing:
        return self.standings.setdefault(pair, Standing())


def _words(result: Result) -> str:
    counts = result.counts
    if result.outcome is Outcome.REPAIRED:
        return "repaired"
    if result.outcome is Outcome.SKIPPED:
        return f"{counts.skipped} keys moved on"
    return f"{result.outcome.value}: {result.why}"
