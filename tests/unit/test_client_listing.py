"""The keys of a bucket, a page at a time: each once, whatever breaks between."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv.client import AsyncClient, BadRequest, IncompleteListing, NotDynkv, QuorumUnmet
from dynkv.client.keys import text_of
from tests.unit.client_fakes import HANG_UP, Asked, FakeCluster, LaterClock, Said, client_of, fake_cluster, problem
from tests.unit.http_node import http_node


class Listed:
    """A rule that lists `keys`; a cursor is the place to go on from. `missing`: told at each of the next that many
    ends instead of an end."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.missing = 0
        self.fates: list[Said | str] = []

    def __call__(self, asked: Asked) -> Said | str | None:
        if asked.path != "/kv/b":
            return None
        if self.fates:
            return self.fates.pop()
        start, limit = int(asked.query.get("cursor", 0)), int(asked.query["limit"])
        page = self.keys[start : start + limit]
        cursor = None if start + limit >= len(self.keys) else str(start + limit)
        missing = []
        if cursor is None and self.missing:
            self.missing -= 1
            cursor, missing = str(start + len(page)), [{"partition": 7, "why": "n2 is down"}]
        return lines(page, {"count": len(page), "complete": not missing, "missing": missing, "cursor": cursor})


def lines(keys: list[str], told: dict[str, Any]) -> Said:
    text = "".join(f"{json.dumps(line)}\n" for line in [*({"key": key} for key in keys), told])
    return Said(200, text.encode(), {"Content-Type": "application/x-ndjson"})


def play(story: Callable[[FakeCluster, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


async def listed(client: AsyncClient, *args: Any, **how: Any) -> list[str]:
    return [key async for key in client.keys("b", *args, **how)]


KEYS = [f"k{i}" for i in range(2500)]


def test_all_keys_by_pages() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = Listed(KEYS)
        assert await listed(client) == KEYS
        assert [asked.query["limit"] for asked in cluster.asked] == ["1000"] * 3
        assert await listed(client, limit=1200) == KEYS[:1200]
        assert [asked.query["limit"] for asked in cluster.asked[3:]] == ["1000", "200"]
        cluster.rule = Listed([])
        assert await listed(client) == []

    play(story)


def test_a_listing_goes_on_where_another_stopped() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = Listed(KEYS)
        listing = client.keys("b")
        pages = listing.pages()
        assert await anext(pages) == KEYS[:1000]
        assert await anext(pages) == KEYS[1000:2000]
        cursor = listing.cursor
        await pages.aclose()
        assert await listed(client, cursor=cursor) == KEYS[1000:]  # the second page was not known to be done with
        whole = client.keys("b")
        assert [key async for key in whole] == KEYS
        assert whole.cursor is None

    play(story)


def test_a_page_that_breaks_is_asked_for_again_and_no_key_comes_twice() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        rule = Listed(KEYS)
        rule.fates = [HANG_UP, problem("overloaded", 503)]
        cluster.rule = rule
        assert await listed(client) == KEYS

    play(story)


def test_what_is_missing_is_asked_for_until_it_is_back() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        rule = Listed(KEYS[:10])
        rule.missing = 3
        cluster.rule = rule
        assert await listed(client) == KEYS[:10]
        assert len(cluster.asked) == 4

    play(story)


def test_what_stays_missing_is_an_error_with_the_way_to_go_on() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        rule = Listed(KEYS[:10])
        rule.missing = 10**6
        cluster.rule = rule
        pages = client.keys("b", timeout=0.2).pages()
        assert await anext(pages) == KEYS[:10]
        with pytest.raises(IncompleteListing, match="n2 is down") as failed:
            await anext(pages)
        assert failed.value.missing == {7: "n2 is down"}
        assert failed.value.retry_helps
        rule.missing = 0
        assert await listed(client, cursor=failed.value.cursor) == []

    play(story)


def test_who_takes_long_over_a_page_does_not_run_out_of_time() -> None:
    clock = LaterClock()

    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = Listed(KEYS)
        got = []
        async for page in client.keys("b", timeout=1.0).pages():
            got += page
            clock.later_s += 60
        assert got == KEYS

    play(story, clock=clock)


def test_nothing_at_all_can_be_listed() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: problem("quorum-unmet", 503, replicas={"n1": "down"})
        with pytest.raises(QuorumUnmet) as failed:
            await listed(client, timeout=0.1)
        assert failed.value.replicas == {"n1": "down"}

    play(story)


@pytest.mark.parametrize("prefix", [b"\xff%+ &", "caf\u00e9/", "\udcff"])
def test_a_prefix_is_bytes(prefix: str | bytes) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: lines([], {"count": 0, "complete": True, "missing": [], "cursor": None})
        await listed(client, prefix, r="all")
        query = cluster.asked[0].query
        data = prefix if isinstance(prefix, bytes) else prefix.encode("utf-8", "surrogateescape")
        assert query["r"] == "all"
        assert query["prefix"].encode("utf-8", "surrogateescape") == data or query["prefix"] == data.decode(
            "utf-8", "replace"
        )

    play(story)


def test_keys_that_are_no_text_come_as_text_and_go_back_as_bytes() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = Listed(["caf%C3%A9", "%FF%00", "a%2Fb"])
        keys = await listed(client)
        assert keys == ["caf\u00e9", text_of(b"\xff\x00"), "a/b"]
        for key in keys:
            await client.put("b", key, b"v")
        assert [asked.path for asked in cluster.requests("PUT")] == ["/kv/b/caf%C3%A9", "/kv/b/%FF%00", "/kv/b/a%2Fb"]

    play(story)


_END = {"count": 1, "complete": True, "missing": [], "cursor": None}


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b""),
        Said(200, b"<html>"),
        Said(200, b'{"key":"a"}\n'),
        Said(200, b'{"key":"a"}\n{"count":1'),
        lines([], _END),
        lines(["a", "b"], _END),
        Said(200, json.dumps({"key": "a"}).encode() + b"\n" + json.dumps(_END).encode()),
        lines(["a"], _END | {"missing": [{}]}),
    ],
)
def test_what_is_cut_or_no_listing_is_not_taken_for_one(said: Said) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: said
        with pytest.raises(NotDynkv):
            await listed(client)

    play(story)


def test_what_cannot_be_listed_is_refused_at_once() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        with pytest.raises(BadRequest):
            client.keys("a/b")
        with pytest.raises(ValueError, match="limit"):
            client.keys("b", limit=0)
        with pytest.raises(ValueError, match="timeout"):
            client.keys("b", timeout=-1)

    play(story)


def test_over_the_server_that_nodes_have() -> None:
    async def main() -> None:
        async with http_node() as node, AsyncClient(f"127.0.0.1:{node.port}", route=False) as client:
            for key in ("a", "caf\u00e9", b"\xff", "gone"):
                await client.put("b", key, 1)
            await client.delete("b", "gone")
            assert [key async for key in client.keys("b")] == ["a", "caf\u00e9", "\udcff"]
            assert [key async for key in client.keys("b", "caf")] == ["caf\u00e9"]
            assert [key async for key in client.keys("b", limit=1)] == ["a"]

    asyncio.run(main())
