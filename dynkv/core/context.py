"""Contexts: what a client has seen of a key, as a token that it carries from a read to a write and cannot make itself.

A token is the vector, as MessagePack, sealed (`core.seal`) about its bucket and key. So one that is damaged, forged, or
from another key, bucket or cluster fails before its vector is looked at. That matters: a vector covers whatever it
says, and one foreign counter in a write's context would silently replace values that its author never saw.

One vector has one token. Nothing is ever cut off a vector that has grown too large for a header; `fits` tells, and the
caller puts the token where there is room.
"""

import msgspec

from dynkv.core.errors import BadContext
from dynkv.core.record import Actor, Counter, Vector
from dynkv.core.seal import Broken, Seal
from dynkv.core.session import SessionTokens

HEADER_CHARS_MAX = 4096
"""The longest token that goes into a header: about 230 actors."""

TOKEN_CHARS_MAX = 64 * 1024
"""The longest token that is read, from wherever it comes."""

_encode = msgspec.msgpack.Encoder().encode
_decode_vector = msgspec.msgpack.Decoder(tuple[tuple[Actor, Counter], ...]).decode


class Tokens:
    """Makes and reads the tokens of one cluster; `sessions` those that are of no key in particular."""

    def __init__(self, key: bytes) -> None:
        """`key` is the cluster's secret, of any length but empty."""
        self._seal = Seal(key, b"dynkv context 1", "was got for another key, bucket or cluster")
        self.sessions = SessionTokens(key)

    def make(self, bucket: str, key: bytes, vector: Vector) -> str:
        """The token that says "seen up to `vector`" of this key, however long it gets; see `fits`."""
        return self._seal.close(_encode(vector), bucket, key)

    def parse(self, bucket: str, key: bytes, token: str) -> Vector:
        """The vector of a token made for this very key. BadContext if it is anything else."""
        if len(token) > TOKEN_CHARS_MAX:
            raise BadContext(f"has {len(token)} characters; the longest token has {TOKEN_CHARS_MAX}")
        try:
            return _decode_vector(self._seal.open(token, bucket, key))
        except Broken as error:
            raise BadContext(error.why) from error
        except msgspec.MsgspecError as error:
            raise BadContext("is of another version of dynkv") from error


def fits(token: str) -> bool:
    """Whether the token may go into a header."""
    return len(token) <= HEADER_CHARS_MAX
