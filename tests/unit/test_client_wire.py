"""What a call says to a node: bytes of keys, levels, time, token."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv.client import AsyncClient, BadRequest
from tests.unit.client_fakes import FakeCluster, client_of, fake_cluster


def play(story: Callable[[FakeCluster, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


def test_a_node_is_told_how_long_we_wait_and_what_was_asked_for() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        await client.get("b", "k", r="all", pr=1, sloppy=False, timeout=1)
        await client.put("b", "k", b"v", w=2, pw="quorum")
        read, write = cluster.requests()
        assert dict(read.query) == {"r": "all", "pr": "1", "sloppy": "false", "timeout": read.query["timeout"]}
        assert 800 <= int(read.query["timeout"]) < 1000
        assert dict(write.query) == {"w": "2", "pw": "quorum", "timeout": write.query["timeout"]}
        assert 2000 <= int(write.query["timeout"]) < 2500

    play(story)


def test_the_token_goes_with_every_request_also_those_for_the_ring() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        await client.get("b", "k")
        await client.refresh()
        assert len(cluster.asked) > 2
        assert {asked.headers.get("Authorization") for asked in cluster.asked} == {"Bearer secret"}

    play(story, token="secret")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b", "/kv/b/a%2Fb"),
        (b"\xff\x00%", "/kv/b/%FF%00%25"),
        ("..", "/kv/b/%2E%2E"),
        ("caf\u00e9 \u2603", "/kv/b/caf%C3%A9%20%E2%98%83"),
        ("?x=1#y", "/kv/b/%3Fx%3D1%23y"),
        ("\udcff", "/kv/b/%FF"),
    ],
)
def test_a_key_arrives_as_the_bytes_that_it_is(key: str | bytes, path: str) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        await client.put("b", key, b"v")
        assert cluster.requests()[0].path == path
        assert (await client.get("b", key)).value == b"v"

    play(story)


@pytest.mark.parametrize(("bucket", "key"), [("b", ""), ("b", b"x" * 4097), ("-b", "k"), ("a/b", "k"), ("b", "\ud800")])
def test_a_key_that_cannot_be_one_is_refused_before_anybody_is_asked(bucket: str, key: str | bytes) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        with pytest.raises(BadRequest):
            await client.put(bucket, key, b"v")
        assert cluster.asked == []

    play(story)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        with pytest.raises(ValueError, match="timeout"):
            await client.get("b", "k", timeout=timeout)

    play(story)
