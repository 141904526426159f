"""GET /events: all first, then what changes; one look for all who follow, none for nobody; nobody holds up others."""

import asyncio
import json
from typing import Any

import pytest
import structlog

from dynkv.core.errors import NotFormed
from dynkv.http import events
from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import RawClient, request_bytes


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVERY_S", 0.02)


class Follower:
    """A client of /events."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._text = ""
        self.ids: list[str] = []

    async def follow(self) -> dict[str, Any]:
        """Begin; the whole overview."""
        await self._client.send(request_bytes("GET", "/events", None, {"Accept": "text/event-stream"}))
        head = await self._client.head()
        assert head.status == 200
        assert head.fields["content-type"] == "text/event-stream; charset=utf-8"
        assert head.fields["cache-control"] == "no-store"
        kind, data = await self.event()
        assert kind == "overview"
        return data

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next one that is not a beat."""
        while True:
            kind, data = await self.any()
            if kind != "beat":
                return kind, data

    async def any(self) -> tuple[str, dict[str, Any]]:
        while "\n\n" not in self._text:
            data = await self._client.chunk()
            assert data, "the stream ended"
            self._text += data.decode()
        block, _, self._text = self._text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        self.ids.append(fields["id"])
        return fields["event"], json.loads(fields["data"])


def test_all_first_then_what_changes() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        follower = Follower(client)
        whole = await follower.follow()
        assert whole == (await whole_overview(node))
        node.view.told.apart(1, "n1", "n3", 7)
        kind, changed = await follower.event()
        assert kind == "change"
        assert [(pair["partition"], pair["a"], pair["b"], pair["apart"]) for pair in changed["pairs"]] == [
            (1, "n1", "n3", 7)
        ]
        assert changed["verdict"]["text"].startswith("7 keys apart")
        assert changed["counts"]["apart"] == 1
        assert not changed.keys() & {"nodes", "log", "hints", "leaves", "convergence"}
        node.view.told.owes("n1", "n2", 5)
        kind, changed = await follower.event()
        assert set(changed) == {"at_ms", "verdict", "estimate", "hints", "nodes"}
        assert [row["id"] for row in changed["nodes"]] == ["n2"]
        assert len(set(follower.ids)) == 3

    play(story)


async def whole_overview(node: HttpNode) -> Any:
    async with await RawClient.connect(node.port) as client:
        return (await client.ask("GET", "/antientropy")).json()


def test_who_comes_later_is_told_what_the_others_know() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        one = Follower(client)
        await one.follow()
        node.view.told.apart(0, "n1", "n2", 2)
        await one.event()
        async with await RawClient.connect(node.port) as other:
            two = Follower(other)
            assert (await two.follow())["counts"]["keys_apart"] == 2
            node.view.told.apart(1, "n1", "n2", 3)
            assert (await one.event()) == (await two.event())

    play(story)


def test_nobody_is_asked_unless_somebody_follows() -> None:
    async def main() -> None:
        async with http_node() as node:
            async with await RawClient.connect(node.port) as client:
                await Follower(client).follow()

                async def looked() -> bool:
                    return node.view.looks > 3

                await eventually_async(looked)

            async def over() -> bool:
                return not len(node.tasks)

            await eventually_async(over)
            looks = node.view.looks
            async with await RawClient.connect(node.port) as client:
                assert (await client.ask("GET", "/health/live")).status == 200
            assert node.view.looks == looks
            async with await RawClient.connect(node.port) as client:
                await Follower(client).follow()

    asyncio.run(main())


def test_two_who_come_at_once_share_one_loop() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        async with await RawClient.connect(node.port) as other:
            one, two = Follower(client), Follower(other)
            assert await asyncio.gather(one.follow(), two.follow())
            node.view.told.apart(0, "n1", "n2", 2)
            assert await one.event() == await two.event()

    play(story)


def test_it_beats_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.04)

    async def story(node: HttpNode, client: RawClient) -> None:
        follower = Follower(client)
        await follower.follow()
        kind, data = await follower.any()
        assert (kind, list(data)) == ("beat", ["at_ms"])

    play(story)


def test_a_pair_that_goes_takes_the_whole_overview() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        follower = Follower(client)
        await follower.follow()
        node.view.told = type(node.view.told)(partitions=1)
        kind, data = await follower.event()
        assert (kind, data["partitions"], data["counts"]["total"]) == ("overview", 1, 3)

    play(story)


def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STREAMS_MAX", 2)

    async def story(node: HttpNode, client: RawClient) -> None:
        async with await RawClient.connect(node.port) as other:
            await Follower(other).follow()
            async with await RawClient.connect(node.port) as third:
                await Follower(third).follow()
                answer = await client.ask("GET", "/events")
                assert (answer.status, answer.kind, answer.fields["retry-after"]) == (503, "overloaded", "1")

            async def room() -> bool:
                return (await client.ask("HEAD", "/events")).status == 200

            await eventually_async(room)

    play(story)


def test_who_does_not_keep_up_is_dropped_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUEUE_BYTES_MAX", 200_000)

    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.told = type(node.view.told)(partitions=512)
        follower = Follower(client)
        await follower.follow()
        async with await RawClient.connect(node.port) as slow:
            await slow.send(request_bytes("GET", "/events"))
            await slow.head()

            async def dropped() -> bool:
                node.view.told.now_ms += 1
                node.view.told.pairs(lambda survey, pair: type(pair)(*later(pair)))
                await follower.event()
                return node.stats.streams_dropped == 1

            await eventually_async(dropped)
        node.view.told.apart(0, "n1", "n2", 1)
        assert (await follower.event())[0] == "change"

    play(story)


def later(pair: Any) -> list[Any]:
    return [pair.partition, pair.n, pair.peer, pair.state, pair.apart, pair.compared_ms + 1, pair.tried_ms, pair.why]


def test_a_cluster_that_cannot_be_told_of() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.error = NotFormed("never heard of n2")
        assert (await client.ask("GET", "/events")).kind == "not-formed"
        node.view.error = None
        with structlog.testing.capture_logs() as logged:
            await client.send(request_bytes("GET", "/events"))
            await client.head()
            assert b"event: overview" in await client.chunk()
            node.view.error = NotFormed("never heard of n2")
            assert await client.chunk() == b""
        assert [event["event"] for event in logged] == ["events ended"]
        node.view.error = None
        await Follower(client).follow()

    play(story)


def test_it_ends_when_the_server_drains() -> None:
    async def main() -> None:
        async with http_node() as node, await RawClient.connect(node.port) as client:
            await Follower(client).follow()
            await node.server.stop(5.0)
            while await client.chunk():
                pass
            assert await client.ended() == b""

    asyncio.run(main())


@pytest.mark.parametrize(("target", "status"), [("/events?x=1", 400), ("/events/", 404), ("/events/x", 404)])
def test_bad_requests(target: str, status: int) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("GET", target)).status == status
        assert (await client.ask("POST", "/events")).status == 405
        assert (await client.ask("GET", "/events", b"x")).status == 400

    play(story)
