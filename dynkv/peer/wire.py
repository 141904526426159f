"""Frames in bytes, without I/O: bytes that arrive in any pieces go in, decoded frames come out.

    frame = length (4 bytes, big-endian) | that many bytes of MessagePack

What a peer sends is data to be doubted. The claimed length is checked before anything is kept for it, nothing is
allocated on the strength of a claim, and one error ends the connection: after a bad frame nothing that follows can be
told apart from noise. Until the hello is done frames are small (`HANDSHAKE_BYTES_MAX`), so a stranger can make this
node hold 4 KiB and no more.

Whole frames that arrive in one piece, the common case, are decoded where they lie. A piece of a frame is kept in one
growing buffer, looked at again only once all of it must be there: a frame of m bytes in k pieces costs O(m + k).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from dynkv.core.errors import BadFrame
from dynkv.peer.gossip_messages import Gossip, GossipReply
from dynkv.peer.handshake_messages import Handshake
from dynkv.peer.many_messages import AppliedMany, ApplyMany, Copies, ListRecords, ReadMany, Records
from dynkv.peer.messages import (
    FRAME_BYTES_MAX,
    Answer,
    Apply,
    CallFrame,
    Compare,
    Compared,
    Forward,
    Forwarded,
    Found,
    Keys,
    Leaves,
    ListKeys,
    Read,
    ReplyFrame,
    Request,
    Surveyed,
)
from dynkv.peer.reaping_messages import Held, Holding, Reap

LENGTH_BYTES = 4
HANDSHAKE_BYTES_MAX = 4096

Decode = Callable[[memoryview], Any]

_encoder = msgspec.msgpack.Encoder()

decode_handshake: Decode = msgspec.msgpack.Decoder(Handshake).decode
decode_calls: Decode = msgspec.msgpack.Decoder(CallFrame).decode
decode_replies: Decode = msgspec.msgpack.Decoder(ReplyFrame).decode


def encode(frame: Handshake | CallFrame | ReplyFrame) -> bytes:
    """`frame` as it goes over the wire, length first.

    BadFrame if it would be longer than a receiver accepts or holds what MessagePack cannot say: a lone surrogate, an
    integer beyond 64 bits.
    """
    try:
        payload = _encoder.encode(frame)
    except (UnicodeEncodeError, OverflowError) as error:
        raise BadFrame(f"cannot be encoded: {error}") from error
    size = len(payload)
    if size > FRAME_BYTES_MAX:
        raise BadFrame(f"{size} bytes, the limit is {FRAME_BYTES_MAX}")
    return size.to_bytes(LENGTH_BYTES, "big") + payload


def request_bytes(body: Request) -> int:
    """About how many bytes `body` takes in a frame: for bounds, before it is encoded. Cheap for the frequent kinds."""
    if type(body) is Read:
        return 64 + len(body.key)
    if type(body) is Apply:
        return 64 + len(body.key) + len(body.record)
    if type(body) is Forward:
        return 256 + len(body.key) + len(body.value or b"") + 20 * len(body.context)
    if type(body) is Gossip:
        return 64 + 256 * (len(body.members) + len(body.settings))
    if type(body) is Compare:
        return 64 + 16 * len(body.roots)
    if type(body) is ListKeys:
        return 64 + len(body.after) + 3 * len(body.leaves)
    if type(body) is ApplyMany:
        return 64 + sum(16 + len(one.key) + len(one.record) for one in body.records)
    if type(body) is ReadMany:
        return 64 + sum(8 + len(bucket) + len(key) for bucket, key in body.keys)
    if type(body) is ListRecords:
        return 256 + len(body.prefix) + len(body.after)
    if type(body) is Holding or type(body) is Reap:
        return 64 + sum(32 + len(one.bucket) + len(one.key) for one in body.tombstones)
    return 128


def answer_bytes(body: Answer) -> int:
    """`request_bytes` for answers."""
    if type(body) is Found:
        return 64 + len(body.record)
    if type(body) is GossipReply:
        return 64 + 256 * (len(body.members) + len(body.settings))
    if type(body) is Compared:
        return 64 + sum(16 + len(one.inner) for one in body.comparisons)
    if type(body) is Leaves:
        return 64 + len(body.nodes)
    if type(body) is Keys:
        return 64 + sum(24 + len(key) for key, _ in body.entries)
    if type(body) is AppliedMany:
        return 64 + 18 * len(body.digests)
    if type(body) is Copies:
        return 64 + sum(32 + len(copy.record) for copy in body.copies if copy is not None)
    if type(body) is Records:
        return 64 + len(body.until) + 3 * len(body.deleted) + sum(3 + len(key) for key in body.keys)
    if type(body) is Held:
        return 64 + sum(16 + len(stand.hint_for) for stand in body.stands)
    if type(body) is Forwarded:
        return 256 + len(body.state)
    if type(body) is Surveyed:
        return 64 + len(body.survey)
    return 256


class FrameReader:
    """Turns one connection's bytes into frames. After BadFrame the reader is of no more use."""

    __slots__ = ("_decode", "_held", "_limit", "_need")

    def __init__(self) -> None:
        self._decode = decode_handshake
        self._limit = HANDSHAKE_BYTES_MAX
        self._held = bytearray()
        self._need = 0  # while something is held: how much of it there must be before it is worth a look

    def expect(self, decode: Decode, limit: int = FRAME_BYTES_MAX) -> None:
        """The hello is done: from the next `feed` on frames are decoded by `decode` and may have `limit` bytes."""
        self._decode = decode
        self._limit = limit

    def feed(self, data: bytes) -> list[Any]:
        """The frames that `data` completes, in order. BadFrame if one is too long or not of the declared shape."""
        held = self._held
        if not held:
            return self._split(data)
        held += data
        if len(held) < self._need:
            return []
        self._held = bytearray()
        return self._split(held)

    def finish(self) -> None:
        """The connection ended. BadFrame if it ended inside a frame."""
        if self._held:
            raise BadFrame(f"cut after {len(self._held)} bytes")

    @property
    def held_bytes(self) -> int:
        """Bytes kept of a frame that is not whole yet."""
        return len(self._held)

    def _split(self, data: bytes | bytearray) -> list[Any]:
        frames = []
        size = len(data)
        start = 0
        need = LENGTH_BYTES
        with memoryview(data) as view:
            while size - start >= LENGTH_BYTES:
                begin = start + LENGTH_BYTES
                length = int.from_bytes(view[start:begin], "big")
                if length > self._limit:
                    raise BadFrame(f"claims {length} bytes, the limit is {self._limit}")
                end = begin + length
                if end > size:
                    need = LENGTH_BYTES + length
                    break
                frames.append(self._decoded(view[begin:end]))
                start = end
            if start < size:
                self._held = bytearray(view[start:])
                self._need = need
        return frames

    def _decoded(self, payload: memoryview) -> Any:
        try:
            return self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # Of other shape, cut, with bytes to spare, no UTF-8, or nested without end: all the same to us.
            raise BadFrame(" ".join(str(error).split())[:200]) from error
