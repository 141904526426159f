"""Framing: whatever the pieces, the same frames; whatever the noise, BadFrame and bounded memory."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.errors import BadFrame
from dynkv.peer.gossip_messages import Extent, Greeting, Ping
from dynkv.peer.handshake_messages import Accepted, Hello, Proof
from dynkv.peer.many_messages import READ_MAX, Copies, Copy, ReadMany
from dynkv.peer.messages import (
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    Apply,
    Call,
    CallFrame,
    Found,
    Read,
    Reply,
    ReplyFrame,
)
from dynkv.peer.wire import (
    HANDSHAKE_BYTES_MAX,
    FrameReader,
    answer_bytes,
    decode_calls,
    decode_replies,
    encode,
    request_bytes,
)

HELLO = Hello(1, "cluster", "n1", "n2", bytes(16), 1, 2)
CALLS = [
    CallFrame(0, []),
    CallFrame(1, [Call(1, 1000, Read("b", b"k", False))]),
    CallFrame(1, [Call(4, 1000, ReadMany((("b", b"k"), ("b", b"l"))))]),
    CallFrame(
        2,
        [
            Call(2, 1000, Apply("b", b"k", b"record" * 999, "")),
            Call(3, 5, Ping(Greeting(b"", Extent(1, "database", 7)))),
        ],
    ),
]


def calls_reader(limit: int = FRAME_BYTES_MAX) -> FrameReader:
    reader = FrameReader()
    reader.expect(decode_calls, limit)
    return reader


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


@given(st.lists(st.sampled_from(CALLS), max_size=5), st.data())
def test_any_pieces_give_the_same_frames(frames: list[CallFrame], data: st.DataObject) -> None:
    stream = b"".join(map(encode, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = calls_reader()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == frames
    reader.finish()


def test_one_byte_at_a_time() -> None:
    reader = calls_reader()
    stream = b"".join(map(encode, CALLS))
    assert [frame for byte in stream for frame in reader.feed(bytes([byte]))] == CALLS
    assert reader.held_bytes == 0


@given(st.binary(max_size=300))
def test_noise_is_a_bad_frame_or_a_frame(noise: bytes) -> None:
    for decode in (decode_calls, decode_replies):
        reader = FrameReader()
        reader.expect(decode)
        try:
            frames = reader.feed(framed(noise))
        except BadFrame:
            continue
        assert [msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=type(frame)) for frame in frames] == frames


@given(st.sampled_from(CALLS), st.data())
def test_a_damaged_frame_is_a_bad_frame_or_another_frame(frame: CallFrame, data: st.DataObject) -> None:
    payload = bytearray(encode(frame)[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, min(60, len(payload)) - 1))] = data.draw(st.integers(0, 255))
    try:
        frames = calls_reader().feed(framed(bytes(payload)))
    except BadFrame:
        return
    assert len(frames) == 1


READ = msgspec.msgpack.encode([1, "b", b"k", False])


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("empty", b""),
        ("not an array", b"\x01"),
        ("a map", b"\x82\x01\x02\x01\x02"),
        ("truncated inside", encode(CALLS[1])[4:-1]),
        ("trailing bytes", encode(CALLS[1])[4:] + b"\x00"),
        ("an element too many", msgspec.msgpack.encode([1, [], {}])),
        ("an element too few", msgspec.msgpack.encode([1])),
        ("an element too many, deep inside", msgspec.msgpack.encode([1, [[1, 2, [1, "b", b"k", False, 0]]]])),
        ("a wrong type", msgspec.msgpack.encode([1, [["1", 2, [1, "b", b"k", False]]]])),
        ("text for bytes", msgspec.msgpack.encode([1, [[1, 2, [1, "b", "k", False]]]])),
        ("an unknown tag", msgspec.msgpack.encode([1, [[1, 2, [99, "b", b"k", False]]]])),
        ("an answer for a call", msgspec.msgpack.encode([1, [[1, 2, [17, True]]]])),
        ("an empty key", msgspec.msgpack.encode([1, [[1, 2, [1, "b", b"", False]]]])),
        ("a long key", msgspec.msgpack.encode([1, [[1, 2, [1, "b", bytes(4097), False]]]])),
        ("text that is not UTF-8", b"\x92\x01\x91\x93\x01\x02\x94\x01\xa1\xff\xc4\x01k\xc2"),
        ("an extension type", b"\x92\x01\x91\x93\xd4\x05\x00\x02" + READ),
        ("a timestamp", b"\x92\xd6\xff\x00\x00\x00\x00\x90"),
        ("nesting", b"\x91" * 100_000),
        ("nesting where it is not read", b"\x93\x01\x90" + b"\x91" * 100_000 + b"\x00"),
        ("a list of four thousand million", b"\x92\x01\xdd\xff\xff\xff\xff"),
        ("bytes of four thousand million", b"\x92\x01\x91\x93\x01\x02\x94\x01\xa1b\xc6\xff\xff\xff\xff"),
        ("no keys", msgspec.msgpack.encode([1, [[1, 2, [33, []]]]])),
        ("too many keys", msgspec.msgpack.encode([1, [[1, 2, [33, [["b", b"k"]] * (READ_MAX + 1)]]]])),
        ("an empty key among many", msgspec.msgpack.encode([1, [[1, 2, [33, [["b", b""]]]]]])),
        ("a key without its bucket", msgspec.msgpack.encode([1, [[1, 2, [33, [[b"k"]]]]]])),
        ("keys of four thousand million", b"\x92\x01\x91\x93\x01\x02\x92\x21\xdd\xff\xff\xff\xff"),
        ("too many calls", msgspec.msgpack.encode([1, [[1, 2, [4, b""]]] * (FRAME_MESSAGES_MAX + 1)])),
    ],
)
def test_malformed_payloads(name: str, payload: bytes) -> None:
    with pytest.raises(BadFrame):
        calls_reader().feed(framed(payload))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("no copies", [34, []]),
        ("too many copies", [34, [None] * (READ_MAX + 1)]),
        ("a long digest", [34, [[bytes(65), b""]]]),
        ("a copy without a record", [34, [[b"d"]]]),
        ("text for a record", [34, [[b"d", "r"]]]),
        ("an element too many", [34, [[b"d", b"r", b"x"]]]),
        ("keys for copies", [33, [["b", b"k"]]]),
    ],
)
def test_malformed_copies(name: str, payload: object) -> None:
    reader = FrameReader()
    reader.expect(decode_replies)
    with pytest.raises(BadFrame):
        reader.feed(framed(msgspec.msgpack.encode([1, [[1, payload]]])))


def test_what_is_estimated_of_many_is_no_less_than_what_is_sent() -> None:
    question = ReadMany(tuple(("bucket", bytes(size + 1)) for size in range(READ_MAX)))
    answer = Copies(tuple(None if size % 3 == 0 else Copy(bytes(16), bytes(size)) for size in range(READ_MAX)))
    assert len(encode(CallFrame(1, [Call(1, 1, question)]))) <= request_bytes(question)
    assert len(encode(ReplyFrame(1, [Reply(1, answer)]))) <= answer_bytes(answer)
    reader = FrameReader()
    reader.expect(decode_replies)
    assert reader.feed(encode(ReplyFrame(1, [Reply(1, answer)]))) == [ReplyFrame(1, [Reply(1, answer)])]


def test_a_claimed_length_beyond_the_limit_is_refused_from_its_four_bytes() -> None:
    with pytest.raises(BadFrame, match="claims 4294967295 bytes"):
        calls_reader().feed(b"\xff\xff\xff\xff")
    reader = calls_reader()
    assert reader.feed(b"\xff\xff\xff") == []
    with pytest.raises(BadFrame, match="claims"):
        reader.feed(b"\xff")


def test_a_claim_alone_takes_no_memory() -> None:
    reader = calls_reader()
    tracemalloc.start()
    try:
        assert reader.feed(FRAME_BYTES_MAX.to_bytes(4, "big") + b"\x92") == []
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_before_the_hello_is_done_only_small_frames_and_only_its_messages() -> None:
    reader = FrameReader()
    with pytest.raises(BadFrame, match="claims"):
        reader.feed((HANDSHAKE_BYTES_MAX + 1).to_bytes(4, "big"))
    wrong: list[CallFrame | ReplyFrame] = [*CALLS, ReplyFrame(1, [])]
    for frame in wrong:
        with pytest.raises(BadFrame):
            FrameReader().feed(encode(frame))
    assert FrameReader().feed(encode(HELLO) + encode(Accepted())) == [HELLO, Accepted()]


def test_hello_alone_may_grow_at_its_end() -> None:
    later = [100, 2, "cluster", "n1", "n2", bytes(16), 1, 2, {"new": [1, 2]}]
    (hello,) = FrameReader().feed(framed(msgspec.msgpack.encode(later)))
    assert isinstance(hello, Hello)
    assert hello.version == 2
    with pytest.raises(BadFrame):
        FrameReader().feed(framed(msgspec.msgpack.encode([103, bytes(32), 1])))
    with pytest.raises(BadFrame):
        FrameReader().feed(encode(Proof(b"short")))


def test_the_end_inside_a_frame_is_a_bad_frame() -> None:
    reader = calls_reader()
    assert reader.feed(encode(CALLS[1])[:-1]) == []
    with pytest.raises(BadFrame, match="cut"):
        reader.finish()


def test_what_cannot_be_encoded_says_so() -> None:
    with pytest.raises(BadFrame, match="encoded"):
        encode(CallFrame(1, [Call(1, 1, Read("\ud800", b"k", False))]))
    with pytest.raises(BadFrame, match="encoded"):
        encode(CallFrame(2**64, []))
    with pytest.raises(BadFrame, match="limit"):
        encode(ReplyFrame(1, [Reply(1, Found(b"", bytes(FRAME_BYTES_MAX), True))]))


def test_a_large_frame_in_small_pieces_is_looked_at_twice_not_at_every_piece() -> None:
    looks = 0

    class Counting(FrameReader):
        def _split(self, data: bytes | bytearray) -> list[object]:
            nonlocal looks
            looks += 1
            return super()._split(data)

    reader = Counting()
    reader.expect(decode_calls)
    frame = CallFrame(1, [Call(1, 1, Apply("b", b"k", bytes(4_000_000), ""))])
    stream = encode(frame)
    got = [found for start in range(0, len(stream), 1000) for found in reader.feed(stream[start : start + 1000])]
    assert got == [frame]
    assert looks == 2
