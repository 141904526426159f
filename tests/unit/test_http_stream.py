"""Streamed answers: chunks as they are made, no faster than the client takes them, and an end whoever goes first."""

import asyncio
from collections import deque

import pytest
import structlog

from dynkv.core.errors import StoreReadFailed
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import Route
from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import RawClient, request_bytes


class Tap:
    """A source that gives what the test puts in; None is the end, an exception is raised."""

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless
        self.items: deque[bytes | Exception | None] = deque()
        self.taken = 0
        self.closed = asyncio.Event()
        self._more = asyncio.Event()

    def put(self, *items: bytes | Exception | None) -> None:
        self.items.extend(items)
        self._more.set()

    async def chunk(self) -> bytes:
        while not self.items and not self.closed.is_set():
            self._more.clear()
            await self._more.wait()
        if self.closed.is_set():
            return b""
        item = self.items.popleft()
        self.taken += 1
        if isinstance(item, Exception):
            raise item
        return item or b""

    def close(self) -> None:
        self.closed.set()
        self._more.set()


def tapped(node: HttpNode, endless: bool = False) -> Tap:
    """The source of GET /tap, this time."""
    tap = Tap(endless)

    async def handler(request: Request) -> Reply:
        return Reply(200, "Content-Type: text/plain\r\n", source=tap)

    node.server._index["tap"] = Route("tap", {"GET": handler}, node.stats)
    return tap


async def within(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


def test_chunks_come_as_they_are_made_and_the_connection_goes_on() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        await client.send(request_bytes("GET", "/tap", None, {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}))
        head = await client.head()
        assert (head.status, head.fields["transfer-encoding"]) == (200, "chunked")
        assert "content-length" not in head.fields
        assert head.fields["traceparent"].startswith("00-1")
        for data in (b"one", b"x" * 300_000):
            tap.put(data)
            assert await client.chunk() == data
        assert not tap.closed.is_set()
        tap.put(None)
        assert await client.chunk() == b""
        await within(tap.closed)
        assert (await client.ask("GET", "/health/live")).status == 200

    play(story)


def test_requests_behind_it_wait_their_turn() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        await client.send(request_bytes("GET", "/tap") + request_bytes("GET", "/health/live"))
        tap.put(b"a", None)
        await client.head()
        assert [await client.chunk(), await client.chunk()] == [b"a", b""]
        assert (await client.answer()).status == 200

    play(story)


def test_old_clients_get_it_up_to_the_end_of_the_connection_and_head_none_of_it() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        head = await client.ask("HEAD", "/tap")
        assert (head.status, head.body) == (200, b"")
        await within(tap.closed)
        tap = tapped(node)
        tap.put(b"a", b"b", None)
        await client.send(b"GET /tap HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await client.head()
        assert "transfer-encoding" not in head.fields
        assert head.fields["connection"] == "close"
        assert await client.ended() == b"ab"

    play(story)


@pytest.mark.parametrize("leave", [RawClient.reset, RawClient.end])
def test_a_client_that_goes_away_ends_the_source(leave: object) -> None:
    async def story(node: HttpNode) -> None:
        tap = tapped(node, endless=True)
        async with await RawClient.connect(node.port) as client:
            await client.send(request_bytes("GET", "/tap"))
            await client.head()
            assert callable(leave)
            leave(client)
            await within(tap.closed)

            async def gone() -> bool:
                return not node.server.connections and not len(node.tasks)

            await eventually_async(gone)

    async def main() -> None:
        async with http_node() as node:
            await story(node)

    asyncio.run(main())


def test_a_client_that_only_stops_sending_gets_all_that_has_an_end() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        await client.send(request_bytes("GET", "/tap"))
        await client.head()
        client.end()
        tap.put(b"a", None)
        assert await client.chunk() == b"a"
        assert await client.chunk() == b""
        assert await client.ended() == b""

    play(story)


def test_a_slow_client_is_a_slow_caller_and_is_cut_in_the_end() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        tap.put(*[bytes(1024 * 1024)] * 64)
        await client.send(request_bytes("GET", "/tap"))
        await within(tap.closed)
        # What the socket takes without anybody reading; far from all.
        assert 0 < tap.taken < 32

    play(story, body_s=0.3)


def test_a_draining_server_lets_what_has_an_end_finish_and_ends_the_rest() -> None:
    async def main() -> None:
        async with (
            http_node() as node,
            await RawClient.connect(node.port) as one,
            await RawClient.connect(node.port) as two,
        ):
            endless = tapped(node, endless=True)
            await one.send(request_bytes("GET", "/tap"))
            await one.head()
            listing = tapped(node)
            await two.send(request_bytes("GET", "/tap"))
            await two.head()
            stopping = node.tasks.start("stop", node.server.stop(5.0))
            assert await one.chunk() == b""
            assert await one.ended() == b""
            assert endless.closed.is_set()
            assert not listing.closed.is_set()
            listing.put(b"the rest", None)
            assert [await two.chunk(), await two.chunk()] == [b"the rest", b""]
            assert await two.ended() == b""
            await stopping

    asyncio.run(main())


def test_what_breaks_in_the_middle_is_cut_and_said_once_in_the_log() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        with structlog.testing.capture_logs() as events:
            for error in (StoreReadFailed("a damaged block"), ZeroDivisionError("inside")):
                tap = tapped(node)
                async with await RawClient.connect(node.port) as other:
                    await other.send(request_bytes("GET", "/tap"))
                    await other.head()
                    tap.put(b"a", error)
                    assert await other.chunk() == b"a"
                    assert await other.ended() == b"", "no last chunk: a part must not pass for the whole"
                await within(tap.closed)
        assert [event["event"] for event in events] == ["a streamed answer was cut", "request failed unexpectedly"]
        assert node.stats.errors == 1

    play(story)


def test_who_knows_no_chunks_is_told_by_a_reset() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node)
        await client.send(b"GET /tap HTTP/1.0\r\n\r\n")
        await client.head()
        with structlog.testing.capture_logs():
            tap.put(StoreReadFailed("a damaged block"))
            assert await client.was_reset(), "an orderly end would say that this is all"

    play(story)


def test_a_client_that_sends_what_is_no_request_meanwhile_loses_what_has_no_end() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        tap = tapped(node, endless=True)
        await client.send(request_bytes("GET", "/tap"))
        await client.head()
        await client.send(b"\x00 not HTTP\r\n\r\n")
        assert await client.chunk() == b""
        assert (await client.answer()).status == 400
        assert await client.ended() == b""
        assert tap.closed.is_set()

    play(story)
