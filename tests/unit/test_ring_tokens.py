"""Tokens are framed without ambiguity and spread evenly; partitions are their top bits."""

from collections import Counter

import pytest

from ring import TOKEN_BITS, check_partitions, partition_of, token


def test_bucket_and_key_cannot_be_split_in_two_ways() -> None:
    assert len({token("ab", b"c"), token("a", b"bc"), token("", b"abc"), token("abc", b"")}) == 4


def test_a_bucket_that_looks_like_a_frame_is_still_a_bucket() -> None:
    assert token("", b"\x00\x00\x00\x00") != token("\x00\x00\x00\x00", b"")


@pytest.mark.parametrize("partitions", [1, 2, 256, 1024, 1 << 16])
def test_partitions_are_equal_slices_in_order(partitions: int) -> None:
    slice_size = (1 << TOKEN_BITS) // partitions
    for partition in {0, partitions // 2, partitions - 1}:
        assert partition_of(partition * slice_size, partitions) == partition
        assert partition_of((partition + 1) * slice_size - 1, partitions) == partition


def test_doubling_the_partitions_splits_each_in_two() -> None:
    for number in range(1000):
        found = token("users", b"%d" % number)
        assert partition_of(found, 512) // 2 == partition_of(found, 256)


def test_similar_keys_spread_over_all_partitions() -> None:
    counted = Counter(partition_of(token("users", b"user:%d" % number), 16) for number in range(16_000))
    # 1000 each, standard deviation 31: five of them either way
    assert len(counted) == 16
    assert all(845 < count < 1155 for count in counted.values())


@pytest.mark.parametrize("partitions", [0, -1, 3, 255, 1 << 17])
def test_what_is_no_power_of_two_in_range_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        check_partitions(partitions)
