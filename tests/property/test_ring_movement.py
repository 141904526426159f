"""Balance and movement together, for 3 to 16 members at Q = 1024: all sizes, several sets of ids and of zones."""

from collections.abc import Iterator

import pytest

from ring import Member, Placement, movement

PARTITIONS = 1024
LOAD_MAX = 1.06
MOVEMENT_MAX = 1.25

NAMES = ("n{}", "node-{:02}", "kv-{}-example", "10-0-0-{}")


def _grown(name: str, zones: int) -> Iterator[tuple[Placement, Placement]]:
    """Placements of k and k + 1 members, k from 3 to 16; the members in turn in one zone after another."""
    members = [Member(name.format(i), zone=f"z{i % zones}") for i in range(1, 18)]
    before = Placement(members[:3], PARTITIONS)
    for count in range(4, 18):
        after = Placement(members[:count], PARTITIONS)
        yield before, after
        before = after


@pytest.mark.parametrize("zones", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_load_and_movement_stay_within_their_bounds(name: str, zones: int) -> None:
    for small, large in _grown(name, zones):
        for placement in small, large:
            for member_id, load in placement.load().items():
                assert load <= LOAD_MAX * PARTITIONS * placement.shares[member_id]
        # adding the member that `large` has more, and removing it again
        assert movement(small, large).ratio <= MOVEMENT_MAX
        assert movement(large, small).ratio <= MOVEMENT_MAX


@pytest.mark.parametrize("gone", range(16))
def test_any_one_of_sixteen_may_go(gone: int) -> None:
    members = [Member(f"n{i}") for i in range(16)]
    whole = Placement(members, PARTITIONS)
    rest = Placement([member for i, member in enumerate(members) if i != gone], PARTITIONS)
    moved = movement(whole, rest)
    assert moved.ratio <= MOVEMENT_MAX
    assert moved.moved >= whole.load()[f"n{gone}"]  # each of its replicas needs a new place


@pytest.mark.parametrize(("count", "partitions"), [(4, 256), (8, 256), (11, 256)])
def test_so_it_is_with_fewer_partitions_while_a_member_holds_sixty(count: int, partitions: int) -> None:
    members = [Member(f"n{i}") for i in range(count + 1)]
    small, large = Placement(members[:-1], partitions), Placement(members, partitions)
    assert max(large.load().values()) <= LOAD_MAX * 3 * partitions / (count + 1)
    assert movement(small, large).ratio <= MOVEMENT_MAX


def test_weights_are_met_and_move_little() -> None:
    members = [Member(f"n{i}", weight=1 + i % 3) for i in range(9)]
    small, large = Placement(members[:-1], PARTITIONS), Placement(members, PARTITIONS)
    for member_id, load in large.load().items():
        assert load <= LOAD_MAX * PARTITIONS * large.shares[member_id]
    assert movement(small, large).ratio <= MOVEMENT_MAX


def test_uneven_zones_keep_replicas_apart_and_let_load_give_way() -> None:
    """One member alone in its zone, with three zones and n = 3, holds everything, whatever is fair by weight."""
    members = [Member("lone", zone="c"), *(Member(f"n{i}", zone="ab"[i % 2]) for i in range(10))]
    placement = Placement(members, PARTITIONS)
    zone_of = {member.id: member.zone for member in members}
    for partition in range(PARTITIONS):
        assert len({zone_of[member_id] for member_id in placement.primaries(partition)}) == 3
    assert placement.load()["lone"] == PARTITIONS
    assert max(load for member_id, load in placement.load().items() if member_id != "lone") <= LOAD_MAX * PARTITIONS / 5


def test_nothing_moves_where_nothing_changes_and_unlike_placements_are_not_compared() -> None:
    members = [Member(f"n{i}") for i in range(5)]
    unchanged = movement(Placement(members, 64), Placement(members[::-1], 64))
    assert (unchanged.moved, unchanged.minimum, unchanged.ratio) == (0, 0, 1)
    with pytest.raises(ValueError, match="64 and of 128"):
        movement(Placement(members, 64), Placement(members, 128))
