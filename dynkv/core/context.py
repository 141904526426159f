"""Contexts: what a client has seen of a key, as a token that it carries from a read to a write and cannot make itself.

A token is url-safe base64, without padding, of

    16 bytes   keyed blake2b over (bucket, key, vector)
    the rest   the vector, as MessagePack

The key of the hash is derived from the cluster's secret, so a token that is damaged, forged, or from another key,
bucket or cluster fails before its vector is looked at. That matters: a vector covers whatever it says, and one foreign
counter in a write's context would silently replace values that its author never saw.

One vector has one token: padding, other alphabets and loose last bits are refused although they decode to the same
bytes. Nothing is ever cut off a vector that has grown too large for a header; `fits` tells, and the caller puts the
token where there is room.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from hmac import compare_digest

import msgspec

from dynkv.core.errors import BadContext
from dynkv.core.record import Actor, Counter, Vector

HEADER_CHARS_MAX = 4096
"""The longest token that goes into a header: about 230 actors."""

TOKEN_CHARS_MAX = 64 * 1024
"""The longest token that is read, from wherever it comes."""

_MAC_BYTES = 16
_TO_URL = bytes.maketrans(b"+/", b"-_")  # of bytes: str.translate looks each character up
_FROM_URL = str.maketrans("-_+/=", "+/   ")  # what the url-safe form has no use for becomes a blank, which is refused

_encode = msgspec.msgpack.Encoder().encode
_decode_vector = msgspec.msgpack.Decoder(tuple[tuple[Actor, Counter], ...]).decode


class Tokens:
    """Makes and reads the tokens of one cluster."""

    def __init__(self, key: bytes) -> None:
        """`key` is the cluster's secret, of any length but empty."""
        if not key:
            raise ValueError("an empty key authenticates nothing")
        # `person` sets this use of the secret apart from every other.
        derived = blake2b(key, digest_size=32, person=b"dynkv context 1").digest()
        self._keyed = blake2b(digest_size=_MAC_BYTES, key=derived)

    def make(self, bucket: str, key: bytes, vector: Vector) -> str:
        """The token that says "seen up to `vector`" of this key, however long it gets; see `fits`."""
        packed = _encode(vector)
        text = b2a_base64(self._mac(bucket, key, packed) + packed, newline=False)
        return text.rstrip(b"=").translate(_TO_URL).decode("ascii")

    def parse(self, bucket: str, key: bytes, token: str) -> Vector:
        """The vector of a token made for this very key. BadContext if it is anything else."""
        if len(token) > TOKEN_CHARS_MAX:
            raise BadContext(f"has {len(token)} characters; the longest token has {TOKEN_CHARS_MAX}")
        padded = token.translate(_FROM_URL) + "=" * (-len(token) % 4)
        try:
            data = a2b_base64(padded, strict_mode=True)
        except (Base64Error, ValueError) as error:
            raise BadContext("is damaged: not url-safe base64 without padding") from error
        mac, packed = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not compare_digest(mac, self._mac(bucket, key, packed)):
            raise BadContext("is damaged, or was got for another key, bucket or cluster")
        if b2a_base64(data, newline=False) != padded.encode("ascii"):
            raise BadContext("is damaged: its last character says more than it can")
        try:
            return _decode_vector(packed)
        except msgspec.MsgspecError as error:
            raise BadContext("is of another version of dynkv") from error

    def _mac(self, bucket: str, key: bytes, packed: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(_encode((bucket, key, packed)))  # lengths included: no two triples share their bytes
        return keyed.digest()


def fits(token: str) -> bool:
    """Whether the token may go into a header."""
    return len(token) <= HEADER_CHARS_MAX
