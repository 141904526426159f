"""What anybody who reaches the port can do to a node: be refused, counted and closed, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog
from structlog.testing import capture_logs

from dynkv.core.errors import AddressInUse, BadConfig
from dynkv.peer import network as network_module
from dynkv.peer.gossip_messages import Ping
from dynkv.peer.handshake_messages import PROTOCOL_VERSION, Accepted, Handshake, Hello, Refused
from dynkv.peer.hello import ClientHello, Us, proof_key
from dynkv.peer.messages import Absent, Call, CallFrame, Forward, Found, Read, Reply, ReplyFrame
from dynkv.peer.sockets import TcpSockets, mutual_tls
from dynkv.peer.wire import FrameReader, decode_replies, encode
from tests.unit.peers import SECRET, Cluster, Peer, clustered, greeting_of, until
from tests.unit.sources import ROOT

READ = Read("b", b"k", False)
TLS = ROOT / "tests" / "unit" / "peer_tls"


class Stranger:
    """A raw connection to n1's port; with the secret it can claim to be n2."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = cluster.addresses["n1"]
        self._frames = FrameReader()

    async def connect(self) -> "Stranger":
        self.reader, self.writer = await asyncio.open_connection(*self._address)
        return self

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> Handshake | ReplyFrame:
        """The next frame."""
        while True:
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            assert data, "closed"
            frames = self._frames.feed(data)
            if frames:
                frame: Handshake | ReplyFrame = frames[0]
                return frame

    async def prove(self) -> None:
        """The whole hello, as n2."""
        hello = ClientHello(Us("n2", "c", proof_key(SECRET), 2, 200), "n1", bytes(16))
        await self.say(encode(hello.first()))
        welcome = await self.hear()
        assert not isinstance(welcome, ReplyFrame)
        proof = hello.receive(welcome).send
        assert proof is not None
        await self.say(encode(proof))
        assert await self.hear() == Accepted()
        self._frames.expect(decode_replies)

    async def closed(self) -> None:
        """Wait until the node has closed the connection."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), 5):
                pass
        except ConnectionError:
            pass  # a reset is an end too
        self.writer.transport.abort()


def visited(test: Callable[[Peer, Callable[[], Stranger]], Awaitable[None]]) -> None:
    """Run `test` on n1, alone, with strangers at its door."""

    async def alone(cluster: Cluster) -> None:
        await cluster.peers["n2"].network.close()
        await test(cluster.peers["n1"], lambda: Stranger(cluster))

    structlog.reset_defaults()
    clustered(alone, "tcp", formed=False)


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (Hello(PROTOCOL_VERSION + 1, "c", "n2", "n1", bytes(16), 1, 1), "protocol version"),
        (Hello(PROTOCOL_VERSION, "other", "n2", "n1", bytes(16), 1, 1), "cluster 'other'"),
        (Hello(PROTOCOL_VERSION, "c", "n2", "n3", bytes(16), 1, 1), "looks for 'n3'"),
        (Hello(PROTOCOL_VERSION, "c", "n1", "n1", bytes(16), 1, 1), "two nodes of one id"),
        (Hello(PROTOCOL_VERSION, "c", "n9", "n1", bytes(16), 1, 1), "no member"),
    ],
)
def test_a_wrong_hello_is_refused_with_a_reason_logged_once(hello: Hello, why: str) -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        with capture_logs() as lines:
            for _ in range(3):
                visitor = await stranger().connect()
                await visitor.say(encode(hello))
                answer = await visitor.hear()
                assert isinstance(answer, Refused)
                assert why in answer.reason
                await visitor.closed()
        assert node.network.counters.refused == 3
        assert len([line for line in lines if line["event"] == "refused a peer"]) == 1

    visited(test)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x05\x95\x00\x00\x00\x00",
        (4097).to_bytes(4, "big"),
        encode(CallFrame(1, [Call(1, 1000, READ)])),
        encode(Accepted()),
    ],
    ids=["http", "huge claim", "empty", "other shape", "over the limit", "calls before hello", "out of turn"],
)
def test_noise_before_the_hello_closes_the_connection_and_is_counted(noise: bytes) -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        visitor = await stranger().connect()
        await visitor.say(noise)
        await visitor.closed()
        assert node.network.counters.bad_frames == 1
        assert node.calls == []

    visited(test)


def test_noise_is_logged_once_however_often_it_comes() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        with capture_logs() as lines:
            for _ in range(20):
                visitor = await stranger().connect()
                await visitor.say(b"\xff" * 100)
                await visitor.closed()
        assert node.network.counters.bad_frames == 20
        assert len(lines) == 1

    visited(test)


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff\xff\xff\xff",
        encode(ReplyFrame(1, [Reply(1, Absent(True))])),
        encode(CallFrame(1, [Call(1, 1000, READ)]))[:-1] + b"\xc1",
        b"\x00\x00\x00\x04\x92\x01\x90\x00",
        encode(Accepted()),
    ],
    ids=["huge claim", "answers", "wrong type", "trailing byte", "a second hello"],
)
def test_a_bad_frame_of_a_proven_peer_closes_that_connection_only(noise: bytes) -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        visitor = await stranger().connect()
        await visitor.prove()
        await visitor.say(noise)
        await visitor.closed()
        assert node.network.counters.bad_frames == 1
        again = await stranger().connect()
        await again.prove()
        await again.say(encode(CallFrame(1, [Call(7, 1000, READ)])))
        answer = await again.hear()
        assert isinstance(answer, ReplyFrame)
        assert answer.replies == [Reply(7, Absent(True))]
        again.writer.transport.abort()

    visited(test)


def test_a_frame_cut_by_the_end_of_the_connection_is_counted() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        visitor = await stranger().connect()
        await visitor.prove()
        await visitor.say(encode(CallFrame(1, [Call(1, 1000, READ)]))[:-1])
        visitor.writer.close()
        await until(lambda: node.network.counters.bad_frames == 1)
        assert node.calls == []

    visited(test)


def test_a_silent_stranger_is_shown_the_door() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        visitors = [await stranger().connect() for _ in range(5)]
        await visitors[0].say(b"\x00")
        for visitor in visitors:
            await visitor.closed()
        assert node.network.counters.unproven_closed == 5

    visited(test)


def test_beyond_a_bound_the_oldest_stranger_goes_and_members_still_get_in() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        visitors = [await stranger().connect() for _ in range(network_module.UNPROVEN_MAX + 10)]
        for visitor in visitors[:10]:
            await visitor.closed()
        assert len(node.network._unproven) <= network_module.UNPROVEN_MAX
        member = await stranger().connect()
        await member.prove()
        for visitor in [*visitors[10:], member]:
            visitor.writer.transport.abort()

    visited(test)


def test_a_second_connection_of_a_peer_replaces_the_first() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        first = await stranger().connect()
        await first.prove()
        second = await stranger().connect()
        await second.prove()
        await first.closed()
        await second.say(encode(CallFrame(1, [Call(7, 1000, Ping(greeting_of("n2")))])))
        answer = await second.hear()
        assert isinstance(answer, ReplyFrame)
        assert answer.replies[0].id == 7
        assert len(node.network._incoming) == 1
        second.writer.transport.abort()

    visited(test)


def test_late_frames_are_dropped_and_repeated_calls_are_done_once() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        node.answer = lambda request: None
        visitor = await stranger().connect()
        await visitor.prove()
        await visitor.say(encode(CallFrame(10_000, [Call(1, 1000, READ)])))
        await until(lambda: len(node.calls) == 1)
        # It left five seconds before the first one and came after it: it lay about for five seconds.
        await visitor.say(encode(CallFrame(5_000, [Call(2, 1000, READ), Call(3, 60_000, READ), Call(4, -5, READ)])))
        await until(lambda: len(node.calls) == 2)
        assert node.network.counters.dropped_late == 2
        left_s = node.calls[1][2] - node.network._clock.now()
        assert 50 < left_s < 55.1
        await visitor.say(encode(CallFrame(10_000, [Call(1, 1000, READ), Call(3, 1000, READ), Call(5, 2**63, READ)])))
        await until(lambda: len(node.calls) == 3)
        assert node.network.counters.repeated == 2
        assert node.calls[2][2] < node.network._clock.now() + 3601
        visitor.writer.transport.abort()

    visited(test)


def test_a_forwarded_write_is_done_once_even_when_its_frame_comes_again_after_the_answer() -> None:
    forward = Forward("b", b"k", (), b"v", "text/plain", b"id", 3, 2, 0, True, "siblings")

    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        node.answer = lambda request: Absent(True)
        visitor = await stranger().connect()
        await visitor.prove()
        for kind, times in ((forward, 1), (READ, 2)):
            node.calls.clear()
            for _ in range(2):  # what may be done twice is answered twice: the first answer may be lost
                await visitor.say(encode(CallFrame(1, [Call(7, 1000, kind)])))
                if len(node.calls) < times:
                    assert isinstance(await visitor.hear(), ReplyFrame)
            await visitor.say(encode(CallFrame(1, [Call(8, 1000, Ping(greeting_of("n2")))])))
            answer = await visitor.hear()
            assert isinstance(answer, ReplyFrame)
            assert answer.replies[0].id == 8
            assert len(node.calls) == times
        assert node.network.counters.repeated == 1
        visitor.writer.transport.abort()

    visited(test)


def test_a_peer_that_takes_no_answers_is_read_no_further() -> None:
    async def test(node: Peer, stranger: Callable[[], Stranger]) -> None:
        node.answer = lambda request: Found(b"d", bytes(1_000_000), True)
        visitor = await stranger().connect()
        await visitor.prove()
        # The visitor's own socket takes what is sent here, but it never reads.
        visitor.reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio offers no public way
        for number in range(400):
            visitor.writer.write(encode(CallFrame(1, [Call(number, 60_000, READ)])))
        await until(lambda: node.network._incoming["n2"]._paused)
        held = node.network._incoming["n2"].queue_bytes + node.network._incoming["n2"].socket_bytes
        assert held < 100_000_000
        assert len(node.calls) < 400
        visitor.writer.transport.abort()

    visited(test)


def test_an_address_in_use_is_said_clearly() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.peers["n2"].network.close()
        cluster.addresses["n2"] = cluster.addresses["n1"]
        with pytest.raises(AddressInUse, match="cannot listen for peers on 127"):
            await cluster.start("n2")

    clustered(test, "tcp", formed=False)


# n3 connects again and again, so one of its connections may be in mid-handshake when all ends. Such a one is still the
# event loop's own, which lets its socket go with a warning and not by closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_mutual_tls_lets_in_whom_the_authority_signed_and_nobody_else() -> None:
    ours = mutual_tls(str(TLS / "ours.pem"), str(TLS / "ours.key"), str(TLS / "ours-ca.pem"))
    theirs = mutual_tls(str(TLS / "theirs.pem"), str(TLS / "theirs.key"), str(TLS / "ours-ca.pem"))
    settings = {name: {"sockets": TcpSockets(tls)} for name, tls in (("n1", ours), ("n2", ours), ("n3", theirs))}

    async def test(cluster: Cluster) -> None:
        one = cluster.peers["n1"]
        await one.sees("n2")
        assert await one.ask("n2", READ) == Absent(True)
        await until(lambda: "before the hello" in cluster.peers["n3"].network._links["n1"]._last_error, "turned away")
        assert one.network.peers()["n3"].state == "down"
        assert all(node != "n3" for node, _, _ in one.hellos)

    for form in ("tcp", "uvloop"):
        clustered(test, form, size=3, settings=settings, formed=False)


def test_tls_files_that_will_not_do_are_said_clearly() -> None:
    with pytest.raises(BadConfig, match="no-such-file"):
        mutual_tls("no-such-file.pem", "no-such-file.key", "no-such-ca.pem")
