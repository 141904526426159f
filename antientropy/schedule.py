"""Which comparisons are due. Time is an argument: seconds, from any monotonic clock.

Every pair (a partition, an n, a peer) has a *slot* in a period a little shorter than the cycle: a phase of its own,
fixed as long as it is scheduled. Phases are multiples of the golden ratio, so that however many pairs there are, they
lie evenly over the period. Whatever happens to a pair in between (compared late, at once on demand, tried again after a
failure), it returns to its slot, so a burst does not come again a cycle later.

When a pair's slot comes, the pairs of the same peer whose slots come soon are handed out with it: their roots go in one
message. That and the time from being due to being compared is what the period is shorter for.

Fairness. A peer has a line of its own, oldest due first. Between peers: first those with nothing under way, then who
was served longest ago. A peer that is slow has at most `open_max` pairs under way, and one that is away is not asked
for at all; what became due meanwhile is due at once when it is back.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable
from typing import NamedTuple

PERIOD_OF_CYCLE = 0.9
GATHER_OF_PERIOD = 1 / 64
GOLDEN = (math.sqrt(5) - 1) / 2


class Pair(NamedTuple):
    """One comparison to be made again and again: our tree of (partition, n) with the peer's."""

    partition: int
    n: int
    peer: str


class _Place(NamedTuple):
    """Where a pair stands in its line. It calls for a comparison when it is due, and may come with others before."""

    due: float
    earliest: float
    pair: Pair


class _Line:
    """The pairs with one peer. `waiting` is sorted, and holds what is not under way."""

    __slots__ = ("open", "places", "served", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Place] = []
        self.places: dict[Pair, _Place] = {}  # of every pair in `waiting`
        self.open = 0
        self.served = 0  # the turn in which it was served last

    def put(self, place: _Place) -> None:
        self.take(place.pair)
        self.places[place.pair] = place
        insort(self.waiting, place)

    def take(self, pair: Pair) -> bool:
        place = self.places.pop(pair, None)
        if place is None:
            return False
        del self.waiting[bisect_left(self.waiting, place)]
        return True


class Schedule:
    """The pairs that this node compares. Costs per call grow with the number of peers, and hardly with that of pairs.

    `cycle_s`: within so long every pair whose peer is available is handed out, if what is due is taken when it is due.
    `open_max`: pairs of one peer under way at once. Who runs more pairs than that at once goes on while a peer hangs.
    """

    def __init__(self, cycle_s: float, open_max: int = 64) -> None:
        assert cycle_s > 0
        assert open_max > 0
        self._period = cycle_s * PERIOD_OF_CYCLE
        self._gather = self._period * GATHER_OF_PERIOD
        self._open_max = open_max
        self._phases: dict[Pair, float] = {}  # of every pair that is scheduled
        self._count = 0
        self._turn = 0
        self._lines: dict[str, _Line] = {}
        self._open: dict[Pair, float] = {}  # under way: when it began; -inf: too early, it is due again when it ends

    def set_pairs(self, pairs: Iterable[Pair], now: float) -> None:
        """From now on these. Those that were there keep their places; one under way that is not wanted just ends."""
        wanted = set(pairs)
        for pair in self._phases.keys() - wanted:
            del self._phases[pair]
            self._lines[pair.peer].take(pair)
        for pair in sorted(wanted - self._phases.keys()):
            self._count += 1
            self._phases[pair] = self._count * GOLDEN % 1.0
            line = self._lines.setdefault(pair.peer, _Line())
            if pair not in self._open:
                line.put(self._slot(pair, now))
        for peer in [peer for peer, line in self._lines.items() if not line.waiting and not line.open]:
            del self._lines[peer]

    def due(self, now: float, available: Collection[str], limit: int) -> list[Pair]:
        """Up to `limit` pairs to compare now, all of one peer of `available`; none if nothing is due.

        Changes nothing: what is taken on is reported with `began`.
        """
        ready = [
            (line.open > 0, line.served, peer, line)
            for peer, line in self._ready(available)
            if line.waiting[0].due <= now
        ]
        if not ready:
            return []
        line = min(ready)[3]
        room = min(limit, self._open_max - line.open)
        return [place.pair for place in line.waiting[:room] if place.earliest <= now]

    def wait_s(self, now: float, available: Collection[str]) -> float:
        """Seconds until `due` has something, 0.0 if it has now; infinite if not before something ends or changes."""
        first = min((line.waiting[0].due for _, line in self._ready(available)), default=math.inf)
        return max(0.0, first - now)

    def began(self, pairs: Iterable[Pair], now: float) -> None:
        """These are under way: they are not handed out before they ended."""
        self._turn += 1
        for pair in pairs:
            line = self._lines.get(pair.peer)
            if line is not None and line.take(pair):
                line.open += 1
                line.served = self._turn
                self._open[pair] = now

    def ended(self, pair: Pair, now: float, ok: bool, retry_s: float) -> None:
        """One is over. `ok`: it was compared, and comes again in its slot; else after `retry_s`, or a period if less.

        Its slot is the next one after it began: a comparison that took longer than the cycle is due again at once.
        """
        began_at = self._open.pop(pair, None)
        if began_at is None:
            return
        line = self._lines[pair.peer]
        line.open -= 1
        if pair not in self._phases:
            return
        if began_at == -math.inf:
            line.put(_Place(now, now, pair))
        elif ok:
            line.put(self._slot(pair, began_at + self._gather))
        else:
            retry = now + min(retry_s, self._period)
            line.put(_Place(retry, retry, pair))

    def hurry(self, now: float, peer: str | None = None, partition: int | None = None) -> int:
        """Make due at once the pairs of this peer and partition, None for any; how many match.

        One that is under way began too early to count: it is due again when it ends.
        """
        found = 0
        for pair in self._phases:
            if (peer is None or pair.peer == peer) and (partition is None or pair.partition == partition):
                found += 1
                line = self._lines[pair.peer]
                if pair in self._open:
                    self._open[pair] = -math.inf
                elif line.places[pair].due > now:
                    line.put(_Place(now, now, pair))
        return found

    def _ready(self, available: Collection[str]) -> Iterable[tuple[str, _Line]]:
        for peer in available:
            line = self._lines.get(peer)
            if line is not None and line.waiting and line.open < self._open_max:
                yield peer, line

    def _slot(self, pair: Pair, now: float) -> _Place:
        """The first slot of a pair after `now`, at most a period on."""
        phase = self._phases[pair]
        turn = math.floor(now / self._period - phase) + 1
        slot = (turn + phase) * self._period
        if slot <= now:  # by rounding
            slot += self._period
        return _Place(slot, slot - self._gather, pair)
