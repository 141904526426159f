"""Too much work, many requests at once on one connection, and the end: what is in progress is finished."""

import asyncio
from collections.abc import Callable

import pytest
import structlog

from dynkv.core.errors import AddressInUse
from dynkv.http.parsing import PIPELINED_MAX
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import RawClient, ask, request_bytes


async def _until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually_async(holds)


def test_more_requests_than_the_bound_are_refused_at_once() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        clients = [await RawClient.connect(node.port) for _ in range(3)]
        for one in clients:
            await one.send(request_bytes("PUT", "/kv/b/k", b"v"))
        await _until(lambda: node.coordinator.entered == 3)
        for method, body in (("GET", None), ("PUT", b"v")):
            answer = await client.ask(method, "/kv/b/k", body)
            assert (answer.status, answer.kind, answer.fields["retry-after"]) == (503, "overloaded", "1")
            assert answer.fields.get("dynkv-outcome") == ("not_applied" if body else None)
        # The same connection is still good, and status is never refused.
        assert (await client.ask("GET", "/health/ready")).status == 200
        assert node.stats.overloaded == 2
        node.coordinator.gate.set()
        for one in clients:
            assert (await one.answer()).status == 204
            await one.__aexit__()
        assert (await client.ask("GET", "/kv/b/k")).status == 300

    play(story, requests_max=3)


def test_more_bytes_of_bodies_than_the_bound_are_refused_at_once() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        async with await RawClient.connect(node.port) as first, await RawClient.connect(node.port) as slow:
            await first.send(request_bytes("PUT", "/kv/b/k", bytes(600)))
            await _until(lambda: node.coordinator.entered == 1)
            for body in (bytes(500), bytes(401)):
                answer = await client.ask("PUT", "/kv/b/k", body)
                assert (answer.status, answer.kind) == (503, "overloaded")
            # What was announced counts before it is there.
            await slow.send(b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 400\r\n\r\n")
            await _until(lambda: node.server.budget.held == 1000)
            assert (await client.ask("PUT", "/kv/b/k", b"x")).status == 503
            node.coordinator.gate.set()
            await slow.send(bytes(400))
            assert (await first.answer()).status == 204
            assert (await slow.answer()).status == 204
        assert node.server.budget.held == 0

    play(story, body_bytes_max=1000)


def test_more_connections_than_the_bound_are_told_and_closed() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        async with await RawClient.connect(node.port) as second:
            assert (await second.ask("GET", "/health/live")).status == 200
            async with await RawClient.connect(node.port) as third:
                answer = await third.answer()
                assert (answer.status, answer.kind) == (503, "overloaded")
                assert await third.ended() == b""
        await _until(lambda: node.stats.connections == 1)
        assert (await ask(node.port, "GET", "/health/live")).status == 200
        assert node.stats.connections_refused == 1

    play(story, connections_max=2)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        many = PIPELINED_MAX * 5 + 3
        data = b"".join(request_bytes("PUT", f"/kv/b/{n}", str(n).encode()) for n in range(many))
        await client.send(data + b"".join(request_bytes("GET", f"/kv/b/{n}") for n in range(many)))
        assert [(await client.answer()).status for _ in range(many)] == [204] * many
        assert [(await client.answer()).body for _ in range(many)] == [str(n).encode() for n in range(many)]
        assert [write.key for write in node.coordinator.writes] == [str(n).encode() for n in range(many)]

    play(story)


def test_pipelining_is_bounded_while_a_request_is_in_progress() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        many = 3000
        sending = asyncio.ensure_future(client.send(request_bytes("GET", "/kv/b/k") * many))
        await _until(lambda: node.coordinator.entered == 1)
        [connection] = node.server.connections
        await _until(lambda: connection.held)
        assert len(connection._queue) <= PIPELINED_MAX
        node.coordinator.gate.set()
        for _ in range(many):
            assert (await client.answer()).status == 404
        await sending

    play(story)


def test_a_bad_request_behind_good_ones_is_answered_last() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        await client.send(request_bytes("PUT", "/kv/b/k", b"v"))
        await _until(lambda: node.coordinator.entered == 1)
        await client.send(b"GARBAGE\r\n\r\n")
        await client.send(request_bytes("GET", "/kv/b/k"))
        node.coordinator.gate.set()
        assert (await client.answer()).status == 204
        assert (await client.answer()).status == 400
        assert await client.ended() == b""

    play(story)


def test_a_client_that_ends_its_side_still_gets_its_answers() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.send(request_bytes("PUT", "/kv/b/k", b"v") + request_bytes("GET", "/kv/b/k"))
        client.end()
        assert (await client.answer()).status == 204
        assert (await client.answer()).body == b"v"
        assert await client.ended() == b""
        node.coordinator.gate = asyncio.Event()
        async with await RawClient.connect(node.port) as other:
            await other.send(request_bytes("GET", "/kv/b/k"))
            await _until(lambda: node.coordinator.entered == 3)
            other.end()
            await client_ended(node)
            node.coordinator.gate.set()
            answer = await other.answer()
            assert (answer.body, answer.fields["connection"]) == (b"v", "close")
            assert await other.ended() == b""

    play(story)


async def client_ended(node: HttpNode) -> None:
    """The server has seen that the only open connection's client sends no more."""
    await _until(lambda: all(connection._ending for connection in node.server.connections))


def test_nothing_follows_an_answer_that_said_close() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        await client.send(request_bytes("PUT", "/kv/b/k", b"v", {"Connection": "close"}))
        await _until(lambda: node.coordinator.entered == 1)
        await client.send(b"GARBAGE\r\n\r\n")
        await client_ended(node)
        node.coordinator.gate.set()
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (204, "close")
        assert await client.ended() == b""

    play(story)


def test_a_connection_whose_task_fails_is_cut() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        async def answer(request: Request) -> Reply:
            raise ZeroDivisionError

        node.server.answer = answer  # type: ignore[method-assign]  # a bug in what should catch all bugs
        with structlog.testing.capture_logs() as events:
            await client.send(request_bytes("GET", "/kv/b/k"))
            assert await client.ended() == b""
        assert [event["event"] for event in events] == ["task failed"]
        node.tasks.failures = 0

    play(story)


def test_a_write_goes_on_when_its_client_is_gone() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        await client.send(request_bytes("PUT", "/kv/b/k", b"v"))
        await _until(lambda: node.coordinator.entered == 1)
        client.reset()
        await _until(lambda: not node.server.connections)
        node.coordinator.gate.set()
        await _until(lambda: len(node.coordinator.writes) == 1)

    play(story)


def test_stop_finishes_what_is_in_progress_and_closes_the_rest() -> None:
    async def main() -> None:
        async with http_node() as node, await RawClient.connect(node.port) as idle:
            assert (await idle.ask("GET", "/health/live")).status == 200
            node.coordinator.gate = asyncio.Event()
            busy, sending = await RawClient.connect(node.port), await RawClient.connect(node.port)
            await busy.send(request_bytes("PUT", "/kv/b/busy", b"v") + request_bytes("GET", "/kv/b/next"))
            await sending.send(b"PUT /kv/b/sending HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
            await _until(lambda: node.server.budget.held == 5)
            stopping = asyncio.ensure_future(node.server.stop(5.0))
            assert await idle.ended() == b""
            with pytest.raises(ConnectionError):
                await RawClient.connect(node.port)
            await sending.send(b"cd")
            await _until(lambda: node.coordinator.entered == 2)
            assert not stopping.done()
            node.coordinator.gate.set()
            for client in (busy, sending):
                answer = await client.answer()
                assert (answer.status, answer.fields["connection"]) == (204, "close")
                assert await client.ended() == b""
                await client.__aexit__()
            await stopping
            assert {write.key for write in node.coordinator.writes} == {b"busy", b"sending"}

    asyncio.run(main())


def test_stop_cuts_what_does_not_finish() -> None:
    async def main() -> None:
        async with http_node() as node, await RawClient.connect(node.port) as client:
            node.coordinator.gate = asyncio.Event()
            await client.send(request_bytes("PUT", "/kv/b/k", b"v"))
            await _until(lambda: node.coordinator.entered == 1)
            await node.server.stop(0.1)
            assert await client.ended() == b""
            node.coordinator.gate.set()

    asyncio.run(main())


def test_an_address_in_use_is_a_clear_error() -> None:
    async def main() -> None:
        async with http_node() as node:
            with pytest.raises(AddressInUse, match=f"127.0.0.1:{node.port}"):
                await HttpNode(node.view.limits).server.start("127.0.0.1", node.port)

    asyncio.run(main())
