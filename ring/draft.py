"""The draft: members choose partitions in turn until every partition has its n replicas. See `ring.placement` for why.

Pure bookkeeping over indices: a member is its place in the member map, a partition its number.
"""

from collections import deque
from collections.abc import Sequence

from ring.spread import Spread

Choice = tuple[float, int, int, int]
"""(when, tie, member, partition): a member's claim on a partition; claims are heard in ascending order."""


class Draft:
    """One draft. After `run`, `replicas[partition]` are the members chosen for it, in the order in which they came."""

    def __init__(self, spread: Spread, partitions: int, n: int, capacities: Sequence[int]) -> None:
        self.replicas: list[list[int]] = [[] for _ in range(partitions)]
        self._spread = spread
        self._n = n
        self._room = list(capacities)

    def run(self, choices: Sequence[Choice]) -> None:
        """Hear all choices, which must be sorted, then settle what the capacities left open."""
        self._hear(choices)
        for partition, replicas in enumerate(self.replicas):
            while len(replicas) < self._n:
                self._settle(partition)

    def _hear(self, choices: Sequence[Choice]) -> None:
        room, n, take = self._room, self._n, self._spread.take
        seats = [self._spread.seats() for _ in self.replicas]
        for _, _, member, partition in choices:
            if room[member] and len(self.replicas[partition]) < n and take(seats[partition], member):
                self.replicas[partition].append(member)
                room[member] -= 1

    def _settle(self, partition: int) -> None:
        """Give a replica more to a partition whose every possible member is full, by the shortest chain of hand-overs.

        A full member takes this partition and hands one of its others to a member that may hold it, which does the
        same if it is full too, until one has room. This is an augmenting path of matroid intersection (each
        partition's spread rule with the members' capacities): shortest paths never break the rule, and as capacities
        are no less than the fair shares rounded up, which satisfy both, there always is one.
        """
        everyone = range(len(self._room))
        # member -> (who hands over to it, which partition); nobody hands over the partition that started it
        reached: dict[int, tuple[int | None, int]] = {
            member: (None, partition) for member in everyone if self._spread.allows(self.replicas[partition], member)
        }
        waiting = deque(reached)
        while not self._room[waiting[0]]:
            full = waiting.popleft()
            for held, replicas in enumerate(self.replicas):
                if full not in replicas or len(reached) == len(self._room):
                    continue
                others = [member for member in replicas if member != full]
                for taker in everyone:
                    if taker not in reached and self._spread.allows(others, taker):
                        reached[taker] = (full, held)
                        waiting.append(taker)

        last = waiting[0]
        self._room[last] -= 1
        while True:
            giver, held = reached[last]
            self.replicas[held].append(last)
            if giver is None:
                return
            self.replicas[held].remove(giver)
            last = giver
