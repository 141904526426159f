"""Stored keys: one reading each, in the promised order, every range holds just what it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.storage import keys

PARTITIONS = st.integers(0, 65_535)
BUCKETS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
NODES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
KEYS = st.binary(min_size=1, max_size=20) | st.sampled_from([b"\xff", b"\xff\xff", b"\x00"])
PLACES = st.tuples(PARTITIONS, BUCKETS, KEYS)


@given(PLACES)
def test_record_keys_round_trip(place: tuple[int, str, bytes]) -> None:
    assert keys.parse_record_key(keys.record_key(*place)) == place


@given(NODES, PLACES)
def test_hint_keys_round_trip(target: str, place: tuple[int, str, bytes]) -> None:
    assert keys.parse_hint_key(keys.hint_key(target, *place)) == (target, *place)


@given(PLACES, PLACES)
def test_different_places_have_different_keys(ours: tuple[int, str, bytes], theirs: tuple[int, str, bytes]) -> None:
    assert (keys.record_key(*ours) == keys.record_key(*theirs)) == (ours == theirs)


@given(PLACES, PLACES)
def test_records_sort_by_partition_first(ours: tuple[int, str, bytes], theirs: tuple[int, str, bytes]) -> None:
    (low, high), rest = sorted((ours[0], theirs[0])), (ours[1:], theirs[1:])
    if low < high:
        assert keys.record_key(low, *rest[0]) < keys.record_key(high, *rest[1])
        assert keys.record_key(low, *rest[1]) < keys.record_key(high, *rest[0])


@given(PLACES, PLACES, st.binary(max_size=2))
def test_ranges_hold_just_what_they_name(
    wanted: tuple[int, str, bytes], other: tuple[int, str, bytes], prefix: bytes
) -> None:
    partition, bucket, _ = wanted
    for place in (wanted, other, (partition, *other[1:]), (partition, bucket, other[2])):
        stored = keys.record_key(*place)
        start, end = keys.record_range(partition)
        assert (start <= stored < end) == (place[0] == partition)
        start, end = keys.record_range(partition, bucket)
        assert (start <= stored < end) == (place[:2] == (partition, bucket))
        start, end = keys.record_range(partition, bucket, prefix)
        assert (start <= stored < end) == (place[:2] == (partition, bucket) and place[2].startswith(prefix))


@given(NODES, NODES, PLACES)
def test_hints_of_a_target_lie_together(target: str, other: str, place: tuple[int, str, bytes]) -> None:
    start, end = keys.hint_range(target)
    assert start <= keys.hint_key(target, *place) < end
    assert (start <= keys.hint_key(other, *place) < end) == (other == target)
    start, end = keys.hint_range()
    assert start <= keys.hint_key(other, *place) < end
    assert not start <= keys.record_key(*place) < end
    assert not start <= keys.meta_key(other) < end


@given(KEYS, KEYS)
def test_nothing_lies_between_a_key_and_what_comes_after_it(key: bytes, other: bytes) -> None:
    assert not key < other < keys.after(key)


@pytest.mark.parametrize("stored", [b"", b"r", b"r\x00\x01", b"r\x00\x01\x05abc", b"h\x00\x00\x00", b"mname"])
def test_what_is_no_record_key_is_said(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no record key|is cut"):
        keys.parse_record_key(stored)


@pytest.mark.parametrize("stored", [b"", b"h", b"h\x05ab", b"h\x01a\x00", b"h\x01a\x00\x00\x05b", b"r\x00\x01\x01ak"])
def test_what_is_no_hint_key_is_said(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no hint key|is cut"):
        keys.parse_hint_key(stored)
