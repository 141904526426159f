"""Who has a write: receipts that are followed until enough replicas do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv.client import AsyncClient, BadRequest, Client, NotDynkv, NotReplicated, Receipt, Replicated, Unreachable
from tests.unit.client_fakes import HANG, HANG_UP, Asked, FakeCluster, Said, client_of, fake_cluster
from tests.unit.http_node import http_node
from tests.unit.http_stub import Asked as StubAsked
from tests.unit.http_stub import Said as StubSaid
from tests.unit.http_stub import Stub


def play(story: Callable[[FakeCluster, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


def told(have: list[str], *, replicated: bool) -> Said:
    story = {"have": have, "lack": ["n2"], "unknown": {"n3": "unreachable"}, "replicated": replicated}
    return Said(200, json.dumps(story).encode(), {"Content-Type": "application/json"})


def is_inquiry(asked: Asked) -> bool:
    return "receipt" in asked.query


def test_over_the_server_that_nodes_have() -> None:
    async def main() -> None:
        async with http_node() as node, AsyncClient(f"127.0.0.1:{node.port}", route=False) as client:
            receipt = await client.put("b", "k/\u00e9", 1)
            found = await receipt.replicated(2)
            assert found == Replicated(["n1", "n2"], [], {"n3": "unreachable"})
            assert (await receipt.replicated()).have == ["n1", "n2", "n3"]
            (other,) = await client.put_many("b", {"m": 1})
            assert "n1" in (await other.replicated("quorum")).have
            with pytest.raises(BadRequest, match="wait_for"):
                await receipt.replicated(4)

    asyncio.run(main())


def test_what_is_asked_for() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = await client.put("b", "k", 1)
        cluster.rule = lambda asked: told(["n1"], replicated=True)
        await receipt.replicated(1, timeout=2)
        asked = cluster.requests()[-1]
        assert (asked.path, asked.query["receipt"], asked.query["wait_for"]) == ("/kv/b/k", receipt.dot, "1")
        assert 1000 < int(asked.query["wait"]) < 1500  # so that the node answers before we go
        assert "timeout" not in asked.query

    play(story)


def test_it_is_asked_again_until_enough_have_it_also_if_a_node_goes_away() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = await client.put("b", "k", 1)
        answers: list[Said | str] = [told([], replicated=False), HANG_UP, told(["n1"], replicated=False)]
        cluster.rule = lambda asked: answers.pop(0) if answers else told(["n1", "n2"], replicated=True)
        assert (await receipt.replicated(2)).have == ["n1", "n2"]
        assert len(cluster.requests("GET")) == 4

    play(story)


def test_time_runs_out() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = await client.put("b", "k", 1)
        cluster.rule = lambda asked: told(["n1"], replicated=False)
        with pytest.raises(NotReplicated, match="only 1 replicas have the write, not 3") as failed:
            await receipt.replicated(3, timeout=0.1)
        assert (failed.value.have, failed.value.lack) == (["n1"], ["n2"])
        assert failed.value.unknown == {"n3": "unreachable"}
        assert failed.value.retry_helps
        cluster.rule = lambda asked: HANG
        with pytest.raises(Unreachable):
            await receipt.replicated(3, timeout=0.1)

    play(story)


def test_what_was_heard_last_is_told_if_nobody_answers_any_more() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = await client.put("b", "k", 1)
        answers: list[Said | str] = [told(["n1"], replicated=False)]
        cluster.rule = lambda asked: answers.pop(0) if answers else HANG
        with pytest.raises(NotReplicated) as failed:
            await receipt.replicated(3, timeout=1)
        assert failed.value.have == ["n1"]

    play(story, attempt_s=0.3)


def test_a_write_without_a_dot_cannot_be_followed() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = Receipt("b", "k", "", "", "", 1, "w", follow=client.replicated)
        with pytest.raises(NotReplicated, match="overwritten"):
            await receipt.replicated(1)
        with pytest.raises(ValueError, match="not given by a client"):
            Receipt("b", "k", "a1-1", "", "", 1, "w").replicated()

    play(story)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"replicated": true, "have": 1, "lack": [], "unknown": {}}'])
def test_what_no_node_says(body: bytes) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        receipt = await client.put("b", "k", 1)
        cluster.rule = lambda asked: Said(200, body)
        with pytest.raises(NotDynkv):
            await receipt.replicated(1)

    play(story)


def test_a_receipt_of_the_blocking_client_blocks() -> None:
    def answer(asked: StubAsked) -> StubSaid:
        if "receipt=" in asked.path:
            story = {"have": ["n1"], "lack": [], "unknown": {}, "replicated": True}
            return StubSaid(200, json.dumps(story).encode(), (("Content-Type", "application/json"),))
        return StubSaid(204, b"", (("Dynkv-Siblings", "1"), ("Dynkv-Dot", "00000000000000a1-1")))

    with Stub(answer) as stub, Client(stub.url, route=False) as client:
        receipt = client.put("b", "k", 1)
        assert receipt.replicated(1) == Replicated(["n1"], [], {})
        assert client.replicated(receipt, 1).have == ["n1"]
