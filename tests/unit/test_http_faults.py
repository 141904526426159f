"""Bad input, byte by byte, on real sockets: refused with an answer that says why, and nothing in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
import uvloop

from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node
from tests.unit.http_raw import RawClient, ask, request_bytes

Story = Callable[[HttpNode], Awaitable[None]]


def play(story: Story, **limits: Any) -> None:
    """Run `story` against a node; what anybody logs in the meantime fails it."""

    class Loud(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    said: list[str] = []
    handler = Loud()
    logging.getLogger().addHandler(handler)

    async def main() -> None:
        async with http_node(**limits) as node:
            await story(node)
            # Whatever happened before: the node still serves.
            assert (await ask(node.port, "PUT", "/kv/b/after", b"v")).status == 204

    try:
        # On the loop that nodes run on: where connections end, the two loops differ most.
        with structlog.testing.capture_logs() as events, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    finally:
        logging.getLogger().removeHandler(handler)
    assert said == []
    assert events == []


# --- smuggling shapes -------------------------------------------------------------------------------------------------

HEAD = b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\n"

SHAPES = {
    "two lengths that differ": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    "two equal lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "a list of lengths": HEAD + b"Content-Length: 1, 1\r\n\r\nx",
    "a signed length": HEAD + b"Content-Length: +1\r\n\r\nx",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\nx",
    "a length in hex": HEAD + b"Content-Length: 0x1\r\n\r\nx",
    "a length beyond 64 bits": HEAD + b"Content-Length: 99999999999999999999\r\n\r\nx",
    "a length that a parser takes for none": HEAD + b"Content-Length: 18446744073709551615\r\n\r\nx",
    "the same without a body": HEAD + b"Content-Length: 18446744073709551615\r\n\r\n",
    "the same, and a request behind it": HEAD + b"Content-Length: 18446744073709551615\r\n\r\n" + HEAD + b"\r\n",
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"PUT /kv/b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "a negative chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "a chunk longer than said": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "bare LF in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
    "bare LF": b"GET /kv/b/k HTTP/1.1\nHost: h\n\n",
    "bare LF between fields": b"GET /kv/b/k HTTP/1.1\r\nHost: h\nA: b\r\n\r\n",
    "bare CR in a field": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n",
    "folded field": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    "blank before the first field": b"GET /kv/b/k HTTP/1.1\r\n Host: h\r\n\r\n",
    "NUL in a value": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n",
    "NUL in a name": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA\x00: b\r\n\r\n",
    "NUL in the target": b"GET /kv/b/k\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
    "blank in the target": b"GET /kv/b/a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "a field without colon": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
    "a field without name": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
    "two hosts": b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    "no host": b"GET /kv/b/k HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /kv/b/k\r\n\r\n",
    "HTTP/3.7": b"GET /kv/b/k HTTP/3.7\r\nHost: h\r\n\r\n",
    "an unknown method": b"BREW /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_malformed_requests_end_the_connection(shape: str) -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            # What follows a doubtful message must never be taken for a request of its own.
            await client.send(SHAPES[shape] + request_bytes("PUT", "/kv/b/smuggled", b"x"))
            answer = await client.answer()
            assert (answer.status, answer.kind) == (400, "malformed")
            assert answer.fields["connection"] == "close"
            assert await client.ended() == b""
        assert node.coordinator.writes == []
        assert node.stats.refused_requests == 1

    play(story)


def test_a_newer_version_of_http_is_refused() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await client.answer()).status in (400, 505)
            assert await client.ended() == b""

    play(story)


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        b"GET /kv/b/" + b"k" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 100 + b"\r\n",
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n" + b"".join(b"A%d: %b\r\n" % (n, b"x" * 15_000) for n in range(9)),
    ],
)
def test_headers_over_their_limits(header: bytes) -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            # In pieces, so that the sum over all fields is what counts in the last case.
            for at in range(0, len(header), 10_000):
                await client.send(header[at : at + 10_000])
            answer = await client.answer()
            assert (answer.status, answer.kind) == (431, "too-large")

    play(story)


def test_a_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + b"Content-Length: 1001\r\n\r\n")
            answer = await client.answer()
            assert (answer.status, answer.kind) == (413, "too-large")
            assert answer.json()["limit"] == "at most 1000 bytes"
            assert answer.json()["outcome"] == "not_applied"
            assert answer.fields["connection"] == "close"
        assert node.coordinator.writes == []

    play(story, value_bytes_max=1000)


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            assert (await client.ask("PUT", "/kv/b/k", bytes(1000))).status == 204
            assert (await client.ask("PUT", "/kv/b/k", bytes(1001))).status == 413
            # It was whole and small, so the connection goes on.
            assert (await client.ask("GET", "/kv/b/k")).body == bytes(1000)

    play(story, value_bytes_max=1000)


def test_a_client_that_sends_a_long_body_all_the_same_reads_the_413() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            # More than the buffers of both sides hold: it must be taken in, or the client never gets to read.
            await client.send(HEAD + b"Content-Length: 60000000\r\n\r\n" + bytes(60_000_000))
            assert (await client.answer()).status == 413
            client.end()
            assert await client.ended() == b""

    play(story)


def test_so_does_one_whose_body_waited_behind_another_request() -> None:
    async def story(node: HttpNode) -> None:
        node.coordinator.gate = asyncio.Event()
        async with await RawClient.connect(node.port) as client:
            body = b"Content-Length: 60000000\r\n\r\n" + bytes(60_000_000)
            sending = asyncio.ensure_future(client.send(request_bytes("GET", "/kv/b/k") + HEAD + body))

            async def paused() -> bool:
                return any(connection._reading_paused for connection in node.server.connections)

            await eventually_async(paused)
            node.coordinator.gate.set()
            await sending
            assert (await client.answer()).status == 404
            assert (await client.answer()).status == 413
            client.end()
            assert await client.ended() == b""

    play(story)


def test_a_chunked_body_has_no_length_and_the_same_limit() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
            await client.send(chunked + b"3\r\nabc\r\n")
            await client.send(b"4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n")
            assert (await client.answer()).status == 204
            assert (await client.ask("GET", "/kv/b/k")).body == b"abcdefg"
            await client.send(chunked)
            for _ in range(11):
                await client.send(b"64\r\n" + bytes(100) + b"\r\n")
            assert (await client.answer()).status == 413
        assert [write.value for write in node.coordinator.writes] == [b"abcdefg"]

    play(story, value_bytes_max=1000)


def test_a_long_body_in_many_pieces() -> None:
    body = bytes(range(256)) * 4096

    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            assert (await client.ask("PUT", "/kv/b/k", body)).status == 204
            assert (await client.ask("GET", "/kv/b/k")).body == body

    play(story)


def test_encoded_bodies_are_not_taken() -> None:
    async def story(node: HttpNode) -> None:
        answer = await ask(node.port, "PUT", "/kv/b/k", b"x", {"Content-Encoding": "gzip"})
        assert (answer.status, answer.kind) == (415, "unsupported-encoding")
        assert (await ask(node.port, "PUT", "/kv/b/k", b"x", {"Content-Encoding": "identity"})).status == 204

    play(story)


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate, chunked", "other, chunked"])
def test_coded_transfers_are_not_taken(coding: str) -> None:
    """Else the value would be the coded bytes."""

    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + f"Transfer-Encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n".encode())
            answer = await client.answer()
            assert (answer.status, answer.kind) == (415, "unsupported-encoding")
        assert node.coordinator.writes == []
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
            assert (await client.answer()).status == 204

    play(story)


def test_expect_continue() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert (await client.answer()).status == 100
            await client.send(b"abc")
            assert (await client.answer()).status == 204
            await client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n")
            assert (await client.answer()).status == 413
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\n")
            assert (await client.answer()).status == 417

    play(story)


# --- time -------------------------------------------------------------------------------------------------------------


def test_200_half_open_connections_are_closed_and_others_served_meanwhile() -> None:
    async def story(node: HttpNode) -> None:
        silent = [await RawClient.connect(node.port) for _ in range(100)]
        halves = [await RawClient.connect(node.port) for _ in range(100)]
        for client in halves:
            await client.send(b"GET /kv/b/k HTTP/1.1\r\nHos")
        assert (await ask(node.port, "PUT", "/kv/b/k", b"v")).status == 204
        for client in halves:
            answer = await client.answer()
            assert (answer.status, answer.kind) == (408, "timeout")
        for client in silent:
            assert await client.ended() == b""
        for client in (*silent, *halves):
            await client.__aexit__()

        async def closed() -> bool:
            return not node.server.connections

        await eventually_async(closed)
        assert node.stats.expired >= 200

    play(story, header_s=0.5)


def test_a_trickled_header_gains_no_time() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            assert (await client.ask("GET", "/health/live")).status == 200  # the deadline is each header's own
            answer = asyncio.ensure_future(client.answer())
            for byte in b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\nA: " + b"a" * 10_000:
                if answer.done():
                    break
                await client.send(bytes((byte,)))
                await asyncio.wait((answer,), timeout=0.02)
            assert (await answer).status == 408

    play(story, header_s=0.3)


def test_a_header_begun_behind_a_request_has_its_own_deadline() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            node.coordinator.gate = asyncio.Event()
            await client.send(request_bytes("GET", "/kv/b/k"))

            async def entered() -> bool:
                return node.coordinator.entered == 1

            await eventually_async(entered)
            await client.send(b"GET /kv/b/k HTTP/1.1\r\nHo")
            [connection] = node.server.connections

            async def begun() -> bool:
                return connection._header_bytes > 0

            await eventually_async(begun)
            node.coordinator.gate.set()
            assert (await client.answer()).status == 404
            assert (await client.answer()).status == 408

    play(story, header_s=0.3)


def test_a_slow_body_has_a_deadline() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            await client.send(HEAD + b"Content-Length: 3\r\n\r\nab")
            answer = await client.answer()
            assert (answer.status, answer.kind) == (408, "timeout")
            client.end()
            assert await client.ended() == b""
        assert node.coordinator.writes == []

    play(story, body_s=0.3)


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def story(node: HttpNode) -> None:
        async with await RawClient.connect(node.port) as client:
            assert (await client.ask("GET", "/health/live")).status == 200
            assert await client.ended() == b""

    play(story, idle_s=0.3)


def test_a_client_that_does_not_read_is_cut() -> None:
    async def story(node: HttpNode) -> None:
        assert (await ask(node.port, "PUT", "/kv/b/k", bytes(8_000_000))).status == 204
        async with await RawClient.connect(node.port) as client:
            for _ in range(8):
                await client.send(request_bytes("GET", "/kv/b/k"))

            async def gone() -> bool:
                return not node.server.connections

            await eventually_async(gone)

    play(story, value_bytes_max=8_000_000, body_s=0.3)


def test_clients_that_vanish_within_a_request_leave_nothing() -> None:
    async def story(node: HttpNode) -> None:
        for data in (b"GET /k", HEAD + b"Content-Length: 9\r\n\r\nabc", request_bytes("GET", "/kv/b/k")):
            for leave in (RawClient.reset, RawClient.end):
                client = await RawClient.connect(node.port)
                await client.send(data)
                leave(client)
                if leave is RawClient.end:
                    await client.ended()
                await client.__aexit__()

        async def gone() -> bool:
            return not node.server.connections

        await eventually_async(gone)

        async def forgotten() -> bool:
            return node.stats.requests == 0 and node.server.budget.held == 0 and len(node.tasks) == 0

        await eventually_async(forgotten)
        assert node.coordinator.writes == []

    play(story)
