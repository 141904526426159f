"""Cursors: what is left of a listing, as a token. Url-safe base64, without padding, of

    8 bytes    blake2b over bucket, prefix and the rest
    the rest   what is left, as MessagePack: (first partition, last partition, the last key told or nil), ...

The keys in it go without the prefix that they all begin with. Everything that a listing needs to go on is in the token,
so any node takes it at any time, also after a restart.

The hash is no secret: it tells damage and mistakes, such as another bucket or prefix, from a cursor. Whoever makes one
of his own chooses where a listing begins, which costs nobody anything.
"""

from base64 import urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.coordinator.results import Stretch
from dynkv.core.bucket import KEY_BYTES_MAX
from dynkv.core.errors import BadParameter

_HASH_BYTES = 8
_FROM_URL = str.maketrans("-_+/=", "+/   ")  # what the url-safe form has no use for becomes a blank, which is refused

Partition = Annotated[int, Meta(ge=0, lt=65_536)]
Tail = Annotated[bytes, Meta(max_length=KEY_BYTES_MAX)] | None
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    Annotated[tuple[tuple[Partition, Partition, Tail], ...], Meta(min_length=1, max_length=1024)]
).decode


def make_cursor(bucket: str, prefix: bytes, stretches: Sequence[Stretch]) -> str | None:
    """The cursor that goes on with `stretches`; None if there are none."""
    if not stretches:
        return None
    tails = [(first, last, after[len(prefix) :] if after else None) for first, last, after in stretches]
    packed = _encode(tails)
    return urlsafe_b64encode(_hash(bucket, prefix, packed) + packed).rstrip(b"=").decode("ascii")


def parse_cursor(bucket: str, prefix: bytes, cursor: str) -> tuple[Stretch, ...]:
    """What `make_cursor` was given. BadParameter if the cursor is not of this bucket and prefix."""
    try:
        data = a2b_base64(cursor.translate(_FROM_URL) + "=" * (-len(cursor) % 4), strict_mode=True)
    except (Base64Error, ValueError) as error:
        raise _bad("is damaged") from error
    packed = data[_HASH_BYTES:]
    if data[:_HASH_BYTES] != _hash(bucket, prefix, packed):
        raise _bad("is damaged, or of another bucket or prefix")
    try:
        tails = _decode(packed)
    except msgspec.MsgspecError as error:
        raise _bad("is of another version of dynkv") from error
    stretches = tuple(Stretch(first, last, b"" if tail is None else prefix + tail) for first, last, tail in tails)
    below = -1
    for first, last, after in stretches:
        if not below < first <= last or len(after) > KEY_BYTES_MAX:
            raise _bad("was not made by a listing")
        below = last
    return stretches


def _hash(bucket: str, prefix: bytes, packed: bytes) -> bytes:
    return blake2b(_encode((bucket, prefix, packed)), digest_size=_HASH_BYTES, person=b"dynkv cursor 1").digest()


def _bad(why: str) -> BadParameter:
    return BadParameter("cursor", why, "the cursor of an answer, unchanged, with the bucket and prefix of that answer")
