"""A member map is a checked value: sorted, without doubles, equal where its members are."""

import pytest

from ring import Member, MemberMap

ONE, TWO, THREE = Member("n1"), Member("n2", zone="b"), Member("n3", weight=5)


def test_maps_are_equal_whatever_the_order() -> None:
    assert MemberMap([ONE, TWO, THREE]) == MemberMap([THREE, ONE, TWO])
    assert hash(MemberMap([ONE, TWO])) == hash(MemberMap([TWO, ONE]))
    assert MemberMap([ONE]) != MemberMap([Member("n1", zone="a")])


def test_a_changed_map_is_another_value() -> None:
    members = MemberMap([ONE, TWO])
    assert members.with_member(THREE).without("n1") == MemberMap([TWO, THREE])
    assert members.with_member(Member("n2")) == MemberMap([ONE, Member("n2")])
    assert members.ids == ("n1", "n2")
    assert members["n2"] is TWO
    assert "n1" in members
    assert "n3" not in members


def test_an_unknown_member_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="n9"):
        MemberMap([ONE]).without("n9")


def test_a_member_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="n1 is given twice"):
        MemberMap([ONE, TWO, Member("n1", zone="other")])


@pytest.mark.parametrize("member_id", ["", "-a", "N1", "a_b", "a.b", "a" * 64, "é", "n1\n"])
def test_bad_ids_are_refused(member_id: str) -> None:
    with pytest.raises(ValueError, match="member id"):
        Member(member_id)


@pytest.mark.parametrize("weight", [0, -1, 10_001, True, 1.5])
def test_bad_weights_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        Member("n1", weight=weight)


@pytest.mark.parametrize("label", [".a", "a b", "a/b", "x" * 64, "a\n"])
def test_bad_labels_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        Member("n1", zone=label)
