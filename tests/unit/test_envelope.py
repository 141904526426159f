"""The envelope gives back what it got, or says that it is damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.errors import DamagedRecord
from dynkv.storage.envelope import Envelope, digest_of, pack, unpack

U64 = st.integers(0, 2**64 - 1)
DIGESTS = st.binary(min_size=16, max_size=16)


@given(st.binary(max_size=200), DIGESTS, U64, U64)
def test_round_trip(record: bytes, digest: bytes, actor: int, incarnation: int) -> None:
    value = pack(record, digest, actor, incarnation)
    assert unpack(value) == Envelope(record, digest, actor, incarnation)
    assert digest_of(value) == digest


@given(st.binary(max_size=50), DIGESTS, U64, U64, st.data())
def test_any_flipped_bit_is_found(
    record: bytes, digest: bytes, actor: int, incarnation: int, data: st.DataObject
) -> None:
    value = bytearray(pack(record, digest, actor, incarnation))
    place = data.draw(st.integers(0, len(value) * 8 - 1))
    value[place // 8] ^= 1 << place % 8
    for reader in (unpack, digest_of):
        with pytest.raises(DamagedRecord):
            reader(bytes(value))


@given(st.binary(max_size=50), st.integers(0, 86), st.binary(min_size=1, max_size=3))
def test_any_cut_or_addition_is_found(record: bytes, size: int, more: bytes) -> None:
    value = pack(record, bytes(16), 1, 2)
    for changed in (value[: min(size, len(value) - 1)], value + more):
        with pytest.raises(DamagedRecord):
            unpack(changed)


def test_the_form_is_fixed() -> None:
    value = pack(b"record", bytes(range(16)), 0x0102030405060708, 9)
    assert value.hex() == (
        "01"  # version
        "94b11702"  # crc32 of the rest
        "000102030405060708090a0b0c0d0e0f"  # digest
        "0102030405060708"  # actor
        "0000000000000009"  # incarnation
        "7265636f7264"
    )
