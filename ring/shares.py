"""Fair shares: how many of a partition's n replicas each member should carry on average, before any is placed.

Weights alone cannot say it. A member of weight 10 among three of weight 1 should not carry 2.3 replicas of each
partition, as it can hold one at most; and a zone that must hold a replica of every partition loads its members whatever
they weigh. The share of a member is the nearest to its weight that the spread rule allows:

- *distinct*: at every level with n groups or more (a group is a region, a zone, a host, a member), no two replicas of a
  partition in one group. The coarsest such level implies the finer ones. A group's share is at most 1.
- *covered*: at every level with fewer groups than n, every group holds a replica of each partition. The finest such
  level implies the coarser ones. A group's share is at least 1.

Levels nest, so one level decides each rule, and they are neighbours. Within the rules replicas are poured over members
by weight like water: whoever is full (1) leaves the rest to the others, whoever would stay below its due (1) gets it
first. Members of one distinct group share by weight. All exact, in fractions, so every machine computes the same bits.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ring.members import Member

Group = tuple[str, ...]

ONE = Fraction(1)


def groups_of(member: Member) -> tuple[Group, ...]:
    """What a member belongs to, from coarse to fine: the cluster, its region, zone, host, and itself."""
    host = (
        (member.region, member.zone, "host", member.host)
        if member.host
        else (member.region, member.zone, "id", member.id)
    )
    return ((), host[:1], host[:2], host, (*host, member.id))


def fair_shares(members: Sequence[Member], n: int) -> dict[str, Fraction]:
    """Each member's replicas per partition: above 0, at most 1, in sum n. There must be n members or more."""
    covered, distinct = deciding_levels(members, n)
    weights: dict[Group, int] = {}
    within: dict[Group, list[Group]] = {}
    for member in members:
        groups = groups_of(member)
        if groups[distinct] not in weights:
            within.setdefault(groups[covered], []).append(groups[distinct])
        weights[groups[distinct]] = weights.get(groups[distinct], 0) + member.weight

    poured = _pour_covering(within, weights, n)
    shares = {}
    for member in members:
        group = groups_of(member)[distinct]
        shares[member.id] = poured[group] * member.weight / weights[group]
    return shares


def deciding_levels(members: Sequence[Member], n: int) -> tuple[int, int]:
    """The finest covered level and the coarsest distinct one, as places in `groups_of`.

    With n = 1 the whole cluster is both. ValueError if there are fewer members than n.
    """
    for level in range(5):
        if len({groups_of(member)[level] for member in members}) >= n:
            return max(level - 1, 0), level
    raise ValueError(f"{len(members)} members cannot hold {n} replicas apart")


def _pour_covering(within: Mapping[Group, list[Group]], weights: Mapping[Group, int], n: int) -> dict[Group, Fraction]:
    """Shares of the distinct groups, when each covered group (a key of `within`) must hold 1 or more.

    Giving one group its due lowers what is left for the others, so who once fell short stays short and the loop ends.
    """
    short: list[Group] = []
    while True:
        poured = _pour(
            n - len(short), {group: weights[group] for over in within if over not in short for group in within[over]}
        )
        for over in short:
            poured |= _pour(1, {group: weights[group] for group in within[over]})
        fell = [over for over in within if over not in short and sum(poured[group] for group in within[over]) < 1]
        if not fell:
            return poured
        short += fell


def _pour(total: int, weights: Mapping[Group, int]) -> dict[Group, Fraction]:
    """`total` over the groups in proportion to their weights, none above 1."""
    poured: dict[Group, Fraction] = {}
    rest, left = dict(weights), total
    while rest:
        weight = sum(rest.values())
        full = [group for group, own in rest.items() if own * left >= weight]
        if not full:
            return poured | {group: Fraction(own * left, weight) for group, own in rest.items()}
        for group in full:
            poured[group] = ONE
            del rest[group]
        left -= len(full)
    return poured
