"""The clever check of the spread rule against a dumb one that tries every set of members."""

import math
from collections.abc import Collection
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ring.draft import Draft
from ring.members import Member, MemberMap
from ring.shares import deciding_levels, fair_shares, groups_of
from ring.spread import Spread
from tests.property.ring_maps import is_spread, member_maps, spread_choices


@given(member_maps(max_size=7), st.integers(1, 3), st.data())
@settings(max_examples=300)
def test_what_is_taken_is_just_what_can_be_completed(members: MemberMap, n: int, data: st.DataObject) -> None:
    """The oracle: some set of members that is spread, holds all that was taken, and keeps every group to its share."""
    n = min(n, len(members))
    choices = [set(chosen) for chosen in spread_choices(members, n) if keeps_to_shares(members, chosen, n)]
    spread = Spread(members.members, fair_shares(members.members, n), n)
    taken: list[int] = []
    seats = spread.seats()
    for candidate in data.draw(st.permutations(range(len(members)))):
        wanted = {members.ids[number] for number in (*taken, candidate)}
        completable = any(wanted <= chosen for chosen in choices)
        assert spread.allows(taken, candidate) == completable
        assert spread.take(seats, candidate) == completable
        if completable:
            taken.append(candidate)
    assert len(taken) == n


def keeps_to_shares(members: MemberMap, chosen: Collection[str], n: int) -> bool:
    """Whether each region, zone and host that must hold a replica of everything holds its share, rounded down or up.

    A share that happens to be whole leaves no choice: of shares 1 and 2 in two regions, 2 + 1 is not 1 + 2.
    """
    shares = fair_shares(members.members, n)
    covered, _ = deciding_levels(members.members, n)
    for level in range(1, covered + 1):
        for group in {groups_of(member)[level] for member in members}:
            inside = {member.id for member in members if groups_of(member)[level] == group}
            share = sum((shares[name] for name in inside), Fraction(0))
            if not math.floor(share) <= len(inside.intersection(chosen)) <= math.ceil(share):
                return False
    return True


def test_a_region_whose_share_is_whole_takes_no_replica_more() -> None:
    labels = (("x", "a"), ("", ""), ("", ""), ("", ""), ("x", ""), ("", "a"), ("", ""))
    weights = (1, 1, 1, 1, 1, 2, 1)
    members = [
        Member(str(i), weight, region=region, zone=zone)
        for i, ((region, zone), weight) in enumerate(zip(labels, weights, strict=True))
    ]
    spread = Spread(members, fair_shares(members, 3), 3)
    assert spread.allows([0, 1], 5)
    assert not spread.allows([0, 1], 4)


def test_five_replicas_lie_evenly_in_two_even_regions() -> None:
    members = [Member(f"n{i}", region="ab"[i % 2]) for i in range(8)]
    spread = Spread(members, fair_shares(members, 5), 5)
    assert spread.allows([0, 2, 4, 1], 3)
    assert not spread.allows([0, 2, 4], 6)


@given(member_maps(max_size=7), st.integers(1, 3), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_a_draft_completes_with_capacities_just_sufficient(members: MemberMap, n: int, shuffler: Random) -> None:
    """Whatever members claim first, hand-overs find a way within the fair shares rounded up."""
    n, partitions = min(n, len(members)), 8
    shares = fair_shares(members.members, n)
    capacities = [-(-share * partitions // 1) for share in shares.values()]
    choices = [(0.0, shuffler.getrandbits(64), member, p) for p in range(partitions) for member in range(len(members))]
    draft = Draft(Spread(members.members, shares, n), partitions, n, capacities)
    draft.run(sorted(choices))
    for replicas in draft.replicas:
        assert len(replicas) == n
        assert is_spread(members, tuple(members.ids[member] for member in replicas))
    for member, capacity in enumerate(capacities):
        assert sum(member in replicas for replicas in draft.replicas) <= capacity
