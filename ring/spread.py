"""The spread rule of one member map as something a partition's replicas can be checked against, one at a time.

Every group (the cluster, a region, a zone, a host) has a lower and an upper bound on its replicas of each partition:

- a *distinct* group (see `ring.shares`): 0 and 1;
- a *covered* group: its fair share rounded down (1 at least, as the share is) and up. So five replicas lie in two even
  regions as 2 + 3, not as 1 + 4; three replicas in two zones as 2 + 1 or 1 + 2;
- the cluster: n and n.

Rounding distinct groups too, so that a share of 1 means "always", was measured and left out: in four zones a share is
often 1 by chance, and the next member, which breaks it, dealt the zone's partitions anew (movement 1.6 x the minimum,
not 1.3).

Fair shares lie within all bounds and groups nest, so there is always a way to obey the rule that gives every member
its share on average.

A partition's state is its *seats*: for each group the replicas it has or is still bound to take, because groups inside
it are owed some. Taking a member walks from its host up to the cluster. A group with fewer seats than its lower bound
owes this replica anyway, so nothing above changes and the walk ends well; a group already at its upper bound refuses;
any other gains a seat and its parent is asked. The cluster's bounds are equal, so each walk ends there at the latest,
and whatever is taken this way can always be completed to n replicas.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from ring.members import Member
from ring.shares import Group, deciding_levels, groups_of


class Spread:
    """The rule for n replicas on `members`, which it names by their index."""

    __slots__ = ("_fresh", "_high", "_low", "_paths")

    def __init__(self, members: Sequence[Member], shares: Mapping[str, Fraction], n: int) -> None:
        inside: dict[Group, set[Group]] = {}
        share: dict[Group, Fraction] = {}
        level: dict[Group, int] = {}
        for member in members:
            for depth, (group, part) in enumerate(pairwise(groups_of(member))):
                inside.setdefault(group, set()).add(part)
                share[group] = share.get(group, Fraction(0)) + shares[member.id]
                level[group] = depth
        covered, _ = deciding_levels(members, n)
        # A distinct group of one part says what the part says: leaving it out makes the walks short.
        kept = [group for group, parts in inside.items() if len(parts) > 1 or level[group] <= covered]
        kept.sort(key=lambda group: (-level[group], group))  # fine before coarse, the cluster last
        index = {group: number for number, group in enumerate(kept)}
        self._paths = [tuple(index[g] for g in reversed(groups_of(member)[:-1]) if g in index) for member in members]

        self._low, self._high = [], []
        for group in kept[:-1]:
            is_covered = level[group] <= covered
            self._low.append(math.floor(share[group]) if is_covered else 0)
            self._high.append(math.ceil(share[group]) if is_covered else 1)
        self._low.append(n)
        self._high.append(n)
        self._fresh = self._owed_at_first()

    def seats(self) -> list[int]:
        """The seats of a partition without replicas: only what groups owe to the groups inside them."""
        return self._fresh.copy()

    def take(self, seats: list[int], member: int) -> bool:
        """Seat one more replica (of a member not yet seated), or change nothing and answer False."""
        gained = 0
        path = self._paths[member]
        for group in path:
            gained += 1
            if seats[group] < self._low[group]:
                break
            if seats[group] == self._high[group]:
                return False
        for group in path[:gained]:
            seats[group] += 1
        return True

    def allows(self, replicas: Sequence[int], member: int) -> bool:
        """Whether a partition with these replicas, rightly chosen, may have this member too."""
        seats = self.seats()
        for replica in replicas:
            self.take(seats, replica)
        return member not in replicas and self.take(seats, member)

    def _owed_at_first(self) -> list[int]:
        """A group's seats: the sum over its parts of what each must take, its lower bound or more if owed inside."""
        seats = [0] * len(self._low)
        parent: dict[int, int] = {}
        for path in self._paths:
            parent.update(pairwise(path))
        for group in range(len(seats) - 1):
            seats[parent[group]] += max(self._low[group], seats[group])
        return seats
