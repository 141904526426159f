"""The laws of preference lists, on any member map."""

from fractions import Fraction
from math import ceil
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ring import LOAD_BOUND, Member, MemberMap, Placement
from tests.property.ring_maps import is_spread, member_maps

SIZES = st.sampled_from([1, 2, 8, 32])
NS = st.integers(1, 6)


@given(member_maps(), SIZES, NS)
def test_a_list_holds_every_member_once(members: MemberMap, partitions: int, n: int) -> None:
    placement = Placement(members, partitions, n)
    for partition in range(partitions):
        assert sorted(placement.preference(partition)) == sorted(members.ids)


@given(member_maps(), SIZES, NS, st.randoms(use_true_random=False))
def test_the_order_in_which_members_are_given_does_not_matter(
    members: MemberMap, partitions: int, n: int, shuffler: Random
) -> None:
    shuffled = list(members)
    shuffler.shuffle(shuffled)
    one, other = Placement(members, partitions, n), Placement(shuffled, partitions, n)
    assert [one.preference(p) for p in range(partitions)] == [other.preference(p) for p in range(partitions)]


@given(member_maps(), SIZES, NS)
@settings(max_examples=200)
def test_every_first_part_of_a_list_is_spread(members: MemberMap, partitions: int, n: int) -> None:
    """Not only the first n: a bucket may have another n, and fallbacks stand in for whoever is down."""
    placement = Placement(members, partitions, n)
    for partition in range(partitions):
        for length in range(1, len(members) + 1):
            assert is_spread(members, placement.primaries(partition, length))


@given(member_maps(), SIZES, NS)
@settings(max_examples=300)
def test_load_is_bounded_by_the_fair_share(members: MemberMap, partitions: int, n: int) -> None:
    placement = Placement(members, partitions, n)
    for member_id, load in placement.load().items():
        fair = placement.shares[member_id] * partitions
        assert load <= LOAD_BOUND * fair or load <= ceil(fair)


@given(member_maps(), NS)
def test_shares_are_a_partition_s_replicas(members: MemberMap, n: int) -> None:
    placement = Placement(members, 1, n)
    assert sum(placement.shares.values()) == placement.n == min(n, len(members))
    assert all(0 < share <= 1 for share in placement.shares.values())


@given(st.dictionaries(st.sampled_from([f"n{i}" for i in range(8)]), st.integers(1, 50), min_size=1), NS)
def test_without_labels_shares_follow_weights_up_to_one_replica(weights: dict[str, int], n: int) -> None:
    shares = Placement([Member(member_id, weight) for member_id, weight in weights.items()], 1, n).shares
    unfilled = {member_id: share for member_id, share in shares.items() if share < 1}
    per_weight = {share / weights[member_id] for member_id, share in unfilled.items()}
    assert len(per_weight) <= 1
    for member_id in shares.keys() - unfilled.keys():
        assert all(Fraction(1, weights[member_id]) <= rate for rate in per_weight) or not per_weight


def test_fewer_members_than_n_hold_everything() -> None:
    placement = Placement([Member("n1"), Member("n2", 9)], 16, 3)
    assert placement.n == 2
    assert placement.load() == {"n1": 16, "n2": 16}
    assert all(len(placement.primaries(partition)) == 2 for partition in range(16))
    assert all(len(placement.primaries(partition, 5)) == 2 for partition in range(16))
