"""The canonical bytes of records: one form for each, and nothing else passes for a record."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import COUNTER_MAX, TIME_MAX, Record, Sibling, decode, digest, encode
from tests.property.histories import records

pack = msgspec.msgpack.encode

# One record in plain lists, [vector, siblings], from which every broken one below is made by one change.
FIRST = [7, 1, 5, b"a", "text/plain", b"id1"]
SECOND = [9, 2, 6, None, "", b"id2"]
VECTOR = [[7, 1], [8, 3], [9, 2]]


def refused(data: bytes) -> str:
    with pytest.raises(DamagedRecord) as raised:
        decode(data)
    return str(raised.value)


def decodes_to_itself_or_not_at_all(data: bytes) -> None:
    try:
        record = decode(data)
    except DamagedRecord:
        return
    assert encode(record) == data


@given(records)
def test_every_record_comes_back_as_it_was(record: Record) -> None:
    data = encode(record)
    assert decode(data) == record
    assert encode(decode(data)) == data
    assert len(digest(data)) == 16


def test_the_plain_one_is_a_record() -> None:
    record = decode(pack([VECTOR, [FIRST, SECOND]]))
    first, second = Sibling(7, 1, 5, b"a", "text/plain", b"id1"), Sibling(9, 2, 6, None, "", b"id2")
    assert record == Record(((7, 1), (8, 3), (9, 2)), (first, second))


def test_the_largest_numbers_are_a_record() -> None:
    edge = 2**64 - 1
    record = Record(((edge, COUNTER_MAX),), (Sibling(edge, COUNTER_MAX, TIME_MAX, b"", "", b"x" * 64),))
    assert decode(encode(record)) == record


BROKEN = {
    "vector not ascending": [[[8, 3], [7, 1], [9, 2]], [FIRST, SECOND]],
    "an actor twice": [[[7, 1], [7, 1], [9, 2]], [FIRST, SECOND]],
    "siblings not ascending": [VECTOR, [SECOND, FIRST]],
    "a dot twice": [VECTOR, [FIRST, FIRST]],
    "two writes under one dot": [VECTOR, [FIRST, [7, 1, 6, b"b", "text/plain", b"id3"]]],
    "a dot beyond the vector": [VECTOR, [[7, 2, 5, b"a", "", b"id"]]],
    "a dot of an unknown actor": [VECTOR, [[6, 1, 5, b"a", "", b"id"]]],
    "no events": [[], []],
    "events without siblings": [VECTOR, []],
    "siblings without events": [[], [FIRST]],
    "actor zero": [[[0, 1]], [[0, 1, 5, b"a", "", b"id"]]],
    "a negative actor": [[[-1, 1]], [[-1, 1, 5, b"a", "", b"id"]]],
    "counter zero": [[[7, 0]], [[7, 0, 5, b"a", "", b"id"]]],
    "counter too large": [[[7, COUNTER_MAX + 1]], [FIRST]],
    "negative time": [VECTOR, [[7, 1, -1, b"a", "", b"id"]]],
    "time too large": [VECTOR, [[7, 1, TIME_MAX + 1, b"a", "", b"id"]]],
    "empty write id": [VECTOR, [[7, 1, 5, b"a", "", b""]]],
    "write id too long": [VECTOR, [[7, 1, 5, b"a", "", b"x" * 65]]],
    "text for a value": [VECTOR, [[7, 1, 5, "a", "", b"id"]]],
    "bytes for a content type": [VECTOR, [[7, 1, 5, b"a", b"", b"id"]]],
    "a float for a counter": [[[7, 1.0]], [FIRST]],
    "true for a counter": [[[7, True]], [FIRST]],
    "nothing for a time": [VECTOR, [[7, 1, None, b"a", "", b"id"]]],
    "a sibling too short": [VECTOR, [FIRST[:5]]],
    "a sibling too long": [VECTOR, [[*FIRST, 0]]],
    "a record too short": [VECTOR],
    "a record too long": [VECTOR, [FIRST], 0],
    "an entry too long": [[[7, 1, 1]], [FIRST]],
    "a map": {"vector": VECTOR, "siblings": [FIRST]},
    "nothing": None,
    "deep nesting": [VECTOR, [[7, 1, 5, [[[[[[[[[[]]]]]]]]]], "", b"id"]]],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_a_rule_is_refused(broken: object) -> None:
    refused(pack(broken))


# The same record with one number, length or type byte said the long way: readable, but a second form of the same.
SHORT = pack([[[7, 1]], [[7, 1, 5, b"a", "", b"id"]]])
LONGER = {
    "counter in two bytes": (b"\x07\x01", b"\x07\xcc\x01"),
    "actor in nine bytes": (b"\x92\x07\x01", b"\x92\xcf" + (7).to_bytes(8, "big") + b"\x01"),
    "signed time": (b"\x05\xc4", b"\xd0\x05\xc4"),
    "value with a two-byte length": (b"\xc4\x01a", b"\xc5\x00\x01a"),
    "text with a length byte": (b"\xa0", b"\xd9\x00"),
    "array with a two-byte length": (b"\x91\x92", b"\xdc\x00\x01\x92"),
    "array with a four-byte length": (b"\x91\x92", b"\xdd\x00\x00\x00\x01\x92"),
    "text in bytes' place": (b"\xc4\x02id", b"\xa2id"),
    "text that is not UTF-8": (b"\xa0", b"\xa1\xff"),
}


@pytest.mark.parametrize(("short", "long"), LONGER.values(), ids=LONGER.keys())
def test_longer_forms_are_refused(short: bytes, long: bytes) -> None:
    assert encode(decode(SHORT)) == SHORT
    assert short in SHORT
    refused(SHORT.replace(short, long, 1))


def test_claims_of_more_than_there_is_cost_nothing() -> None:
    """Four billion siblings, a bin of four gigabytes, a thousand arrays in one another."""
    refused(b"\x92\xdd\xff\xff\xff\xff")
    refused(b"\x92\x91\x92\x07\x01\x91\x96\x07\x01\x05\xc6\xff\xff\xff\xff")
    refused(b"\x91" * 100_000)


@given(records, st.data())
def test_cut_or_lengthened_bytes_are_refused(record: Record, data: st.DataObject) -> None:
    whole = encode(record)
    refused(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(whole + data.draw(st.binary(min_size=1, max_size=8)))


@given(records, st.data())
def test_flipped_bits_never_make_a_second_form(record: Record, data: st.DataObject) -> None:
    """A flip inside a value makes another record, which only a checksum can tell; any other is refused."""
    damaged = bytearray(encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decodes_to_itself_or_not_at_all(bytes(damaged))


@given(st.binary(max_size=64))
@example(b"")
@example(b"\xc0")
@example(b"\x92\x90\x90")
def test_any_bytes_decode_to_themselves_or_not_at_all(data: bytes) -> None:
    decodes_to_itself_or_not_at_all(data)


# MessagePack of the right outline and wild contents goes deeper than random bytes do.
leaves = st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([2**48, 2**64 - 1]) | st.binary(max_size=2)
wild_entries = st.lists(st.lists(leaves, min_size=1, max_size=3), max_size=3)
wild_siblings = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), leaves, leaves, st.just(""), st.binary(max_size=1)), max_size=3
)


@given(st.tuples(wild_entries | st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=3), wild_siblings))
def test_wild_outlines_decode_to_themselves_or_not_at_all(wild: object) -> None:
    decodes_to_itself_or_not_at_all(pack(wild))
