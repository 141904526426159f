"""What a client makes of what it is told: by a node over a store in memory, and by things that are no nodes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from dynkv.client import AsyncClient, ClientError, CodecError, ConflictError, NotDynkv, keep
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import StoreWriteFailed
from tests.unit.client_fakes import FakeCluster, Said, client_of, fake_cluster
from tests.unit.http_node import HttpNode, http_node

Story = Callable[[HttpNode, AsyncClient], Awaitable[None]]


def play(story: Story, **settings: Any) -> None:
    """Against the server that nodes have."""

    async def main() -> None:
        async with http_node() as node, AsyncClient(f"127.0.0.1:{node.port}", route=False, **settings) as client:
            await story(node, client)

    asyncio.run(main())


def test_write_read_overwrite_delete_write_again() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        missing = await client.get("b", "k", default="nothing")
        assert (missing.found, missing.deleted, missing.value, missing.context) == (False, False, "nothing", "")
        receipt = await client.put("b", "k", "one")
        assert (receipt.dot, receipt.siblings, receipt.outcome) == ("00000000000000a1-1", 1, "applied")
        entry = await client.get("b", "k")
        assert (entry.value, entry.values, entry.content_type) == ("one", ["one"], "text/plain; charset=utf-8")
        assert (entry.context, entry.etag) == (receipt.context, receipt.etag)
        assert entry.time == datetime(2027, 1, 15, 8, tzinfo=UTC)
        assert not entry.resolved
        assert (await client.put("b", "k", "two", entry.context)).siblings == 1
        assert await client.exists("b", "k")
        assert (await client.delete("b", "k")).siblings == 0
        assert not await client.exists("b", "k")
        gone = await client.get("b", "k")
        assert (gone.found, gone.deleted, gone.value) == (False, True, None)
        assert (await client.put("b", "k", "back", gone.context)).siblings == 1
        assert (await client.get("b", "k")).tombstones == 0

    play(story)


def test_a_conflict_is_an_error_with_everything_in_it_unless_it_is_resolved_or_kept() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        await client.put("b", "k", {"a": 1})
        second = await client.put("b", "k", "text")
        assert second.siblings == 2
        with pytest.raises(ConflictError) as met:
            await client.get("b", "k")
        error = met.value
        assert error.values == [{"a": 1}, "text"]
        assert [sibling.dot for sibling in error.siblings] == ["00000000000000a1-1", "00000000000000a1-2"]
        assert {sibling.who for sibling in error.siblings} == {"00000000000000a1"}
        assert [sibling.content_type for sibling in error.siblings] == ["application/json", "text/plain; charset=utf-8"]
        assert [sibling.data for sibling in error.siblings] == [b'{"a":1}', b"text"]
        assert error.siblings[0].time < error.siblings[1].time
        assert error.outcome is None
        assert not error.retry_helps
        assert "resolve" in error.help
        kept = await client.get("b", "k", resolve=keep)
        assert kept.values == error.values
        assert kept.context == error.context
        with pytest.raises(ConflictError):
            _ = kept.value
        assert await client.exists("b", "k")
        assert (await client.get("b", "k", resolve="latest")).value == "text"
        assert (await client.put("b", "k", "both", error.context)).siblings == 1

    play(story)


def test_a_resolved_value_is_written_back_only_when_asked() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        for value in ([1, 2], [2, 3]):
            await client.put("b", "k", value)
        entry = await client.get("b", "k", resolve="union")
        assert (entry.value, entry.resolved) == ([1, 2, 3], True)
        assert len(node.coordinator.writes) == 2
        entry = await client.get("b", "k", resolve="union", write_back=True)
        assert entry.value == [1, 2, 3]
        assert len(node.coordinator.writes) == 3
        after = await client.get("b", "k")
        assert (after.value, after.content_type, after.resolved) == ([1, 2, 3], "application/json", False)
        assert (after.context, after.etag) == (entry.context, entry.etag)
        await client.get("b", "k", resolve="union", write_back=True)
        assert len(node.coordinator.writes) == 3

    play(story)


def test_a_resolver_is_the_calls_or_the_buckets_or_the_clients() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        for bucket in ("b", "c"):
            for value in (2, 1):
                await client.put(bucket, "k", value)
        assert (await client.get("c", "k")).value == 1
        assert (await client.get("b", "k")).value == 2
        assert (await client.get("b", "k", resolve=lambda siblings: len(siblings))).value == 2

    play(story, resolve="latest", resolvers={"b": "maximum"})


def test_a_resolver_that_fails_makes_a_conflict_with_its_error_as_the_cause() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        for value in ("x", 1):
            await client.put("b", "k", value)
        with pytest.raises(ConflictError, match="ZeroDivisionError") as met:
            await client.get("b", "k", resolve=lambda siblings: 1 // 0)
        assert isinstance(met.value.__cause__, ZeroDivisionError)
        with pytest.raises(ConflictError, match="not supported"):
            await client.get("b", "k", resolve="maximum")
        with pytest.raises(ValueError, match="no resolver is called"):
            await client.get("b", "k", resolve="newest")

    play(story)


def test_a_hidden_tombstone_is_told_and_covered() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        seen = await client.put("b", "k", 1)
        await client.put("b", "k", 2)
        await client.delete("b", "k", seen.context)
        entry = await client.get("b", "k")
        assert (entry.value, entry.tombstones) == (2, 1)
        await client.put("b", "k", 3, entry.context)
        assert (await client.get("b", "k")).tombstones == 0

    play(story)


def test_values_come_back_as_they_were_and_what_is_not_of_its_type_is_said() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        for value in (b"\x00\xff", "caf\u00e9", "", b"", 0, None, [1, "x", None], {"a": {"b": 1.5}}, True):
            await client.put("v", "k", value, (await client.get("v", "k")).context)
            entry = await client.get("v", "k")
            assert entry.value == value
            assert type(entry.value) is type(value)
            assert entry.found
        await client.put("v", "bad", b"{", content_type="application/json")
        with pytest.raises(CodecError) as undecodable:
            await client.get("v", "bad")
        assert undecodable.value.data == b"{"
        assert (await client.get("v", "bad", raw=True)).value == b"{"
        await client.put("v", "set", {1, 2}, content_type="application/cbor")
        assert (await client.get("v", "set")).value == {1, 2}
        with pytest.raises(CodecError, match="application/cbor"):
            await client.put("v", "k", {1, 2})

    play(story)


def test_in_a_bucket_of_the_latest_there_are_no_conflicts() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        node.view.settings["l"] = BucketSettings(conflict="lww")
        assert (await client.put("l", "k", 1)).siblings == 1
        assert (await client.put("l", "k", 2)).siblings == 1
        assert (await client.get("l", "k")).value == 2

    play(story)


def test_a_context_too_long_for_a_header_is_asked_for() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        await client.put("b", "k", 1)
        record = node.coordinator.records["b", b"k"]
        (own,) = record.vector
        others = tuple((2**62 + i, 1) for i in range(400))
        node.coordinator.records["b", b"k"] = type(record)(tuple(sorted((own, *others))), record.siblings)
        entry = await client.get("b", "k")
        assert entry.value == 1
        assert len(entry.context) > 4096
        assert (await client.put("b", "k", 2, entry.context)).siblings == 1
        assert (await client.get("b", "k")).value == 2

    play(story)


def test_an_error_of_the_nodes_disk_is_ambiguous() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        node.coordinator.error = StoreWriteFailed("the disk is gone")
        with pytest.raises(ClientError, match="disk") as failed:
            await client.put("b", "k", 1, timeout=0.1)
        assert failed.value.outcome == "ambiguous"
        assert failed.value.retry_helps

    play(story)


# --- things that are no nodes -----------------------------------------------------------------------------------------

_SIBLINGS = {"Dynkv-Siblings": "2", "Content-Type": "application/cbor"}


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"<html>log in</html>", {"Content-Type": "text/html"}),
        Said(404, b"<html>not here</html>", {"Content-Type": "text/html"}),
        Said(404, b'{"type": "urn:dynkv:problem:no-route"}', {"Content-Type": "application/problem+json"}),
        Said(300, b"\xa1\x67context\x61c", _SIBLINGS),
        Said(300, b"\xff\xff", _SIBLINGS),
        Said(300, b"", _SIBLINGS),
        Said(300, b"[]", _SIBLINGS | {"Content-Type": "application/json"}),
        Said(300, cbor2.dumps({"context": "", "siblings": [1]}), _SIBLINGS),
        Said(300, cbor2.dumps({"context": "", "siblings": [{"value": "text"}]}), _SIBLINGS),
        Said(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Said(207, b""),
        Said(200, b"x" * 2000, {"Dynkv-Siblings": "1"}),
    ],
)
def test_what_no_node_says_is_not_taken_for_an_answer(said: Said) -> None:
    async def main() -> None:
        async with fake_cluster(1) as cluster, client_of(cluster, answer_bytes_max=1000) as client:
            cluster.rule = lambda asked: said
            with pytest.raises(NotDynkv):
                await client.get("b", "k")

    asyncio.run(main())


def test_an_unreadable_answer_to_a_write_leaves_it_ambiguous() -> None:
    async def main() -> None:
        async with fake_cluster(1) as cluster, client_of(cluster, answer_bytes_max=1000) as client:
            for said in (Said(200, b"ok"), Said(200, b"x" * 2000)):
                cluster.rule = lambda asked, said=said: said  # type: ignore[misc]  # the default binds it, which mypy cannot infer
                with pytest.raises(NotDynkv) as failed:
                    await client.put("b", "k", b"v")
                assert failed.value.outcome == "ambiguous"

    asyncio.run(main())


def test_a_proxys_error_without_a_problem_is_repeated_elsewhere_and_leaves_a_write_ambiguous() -> None:
    async def main() -> None:
        async with fake_cluster(3) as cluster, client_of(cluster) as client:
            await _proxied(cluster, client)

    async def _proxied(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")
        cluster.rule = lambda asked: Said(502, b"<html>") if asked.node == "n1" else None
        assert (await client.put("b", key, b"v")).siblings == 1
        cluster.rule = lambda asked: Said(502, b"<html>")
        with pytest.raises(ClientError, match="status 502") as failed:
            await client.put("b", key, b"v", timeout=0.1)
        assert failed.value.outcome == "ambiguous"

    asyncio.run(main())
