"""Many keys at once: each operation has a result of its own, and is done once, whatever becomes of its request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import cbor2
import pytest

from dynkv.client import (
    AsyncClient,
    BadContext,
    BadRequest,
    BatchError,
    CodecError,
    ConflictError,
    Entry,
    NotDynkv,
    Overloaded,
    Put,
    QuorumUnmet,
    Receipt,
    TooLarge,
    TooManySiblings,
    Unauthorized,
)
from dynkv.client import batch as batches
from tests.unit.client_fakes import (
    HANG_UP,
    LONG_PAUSES,
    Asked,
    FakeCluster,
    LongestRandom,
    Said,
    cbor,
    client_of,
    fake_cluster,
    problem,
)
from tests.unit.http_node import HttpNode, http_node


def on_node(story: Callable[[HttpNode, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    """Against the server that nodes have."""

    async def main() -> None:
        async with http_node() as node, AsyncClient(f"127.0.0.1:{node.port}", route=False, **settings) as client:
            await story(node, client)

    asyncio.run(main())


def on_fakes(story: Callable[[FakeCluster, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


def test_without_receipts_what_was_applied_is_none_and_errors_are_errors() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        assert await client.put_many("b", {"a": 1, "b": 2}, receipts=False) == [None, None]
        assert [entry.value for entry in await client.get_many("b", ["a", "b"])] == [1, 2]
        items = [("a", 1), Put("b", 2, context="of no key"), ("c", object())]
        with pytest.raises(BatchError) as failed:
            await client.put_many("b", items, receipts=False)
        assert [type(result) for result in failed.value.results] == [type(None), BadContext, CodecError]
        told = await client.put_many("b", items, receipts=False, return_errors=True)
        assert [type(result) for result in told] == [type(None), BadContext, CodecError]

    on_node(story)


def test_values_and_what_is_not_there_in_the_order_asked_for() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        receipts = await client.put_many("b", {"a": 1, "b": "two", "c": b"\x00"})
        assert [(receipt.key, receipt.siblings) for receipt in receipts] == [("a", 1), ("b", 1), ("c", 1)]
        assert len({receipt.write_id for receipt in receipts}) == 3
        entries = await client.get_many("b", ["c", "none", b"a", "b"], default="-")
        assert [entry.value for entry in entries] == [b"\x00", "-", 1, "two"]
        assert [entry.key for entry in entries] == ["c", "none", "a", "b"]
        assert [entry.found for entry in entries] == [True, False, True, True]
        single = await client.get("b", "a")
        assert (
            (entries[2].context, entries[2].etag) == (single.context, single.etag) == (receipts[0].context, single.etag)
        )
        assert entries[2].siblings[0].dot == receipts[0].dot
        await client.delete("b", "a")
        (gone,) = await client.get_many("b", ["a"])
        assert gone.deleted
        (again,) = await client.put_many("b", [Put("a", "back", gone.context, "text/html")])
        assert again.siblings == 1
        assert (await client.get("b", "a")).content_type == "text/html"

    on_node(story)


def test_more_than_one_request_takes() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        items = ((f"k{i}", i) for i in range(2300))
        receipts = await client.put_many("b", items)
        assert [receipt.key for receipt in receipts] == [f"k{i}" for i in range(2300)]
        assert [entry.value for entry in await client.get_many("b", (f"k{i}" for i in range(2300)))] == list(
            range(2300)
        )
        assert await client.put_many("b", {}) == await client.get_many("b", []) == []

    on_node(story)


def test_requests_are_bounded_in_bytes() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        sizes: list[int] = []

        def rule(asked: Asked) -> Said | None:
            operations = cbor2.loads(asked.body)["operations"]
            sizes.append(len(asked.body))
            return cbor({"results": [{"status": 204, "sibling_count": 1, "outcome": "applied"} for _ in operations]})

        cluster.rule = rule
        assert len(await client.put_many("b", {f"k{i}": bytes(1_000_000) for i in range(20)})) == 20
        assert len(sizes) == 3
        assert max(sizes) < batches.BYTES_MAX + 10_000

    on_fakes(story)


def test_one_that_fails_is_no_matter_for_the_others() -> None:
    async def story(node: HttpNode, client: AsyncClient) -> None:
        await client.put_many("b", [("two", 1), ("two", 2), ("one", 1)])
        with pytest.raises(BatchError) as failed:
            await client.get_many("b", ["one", "two", "", "none"])
        error = failed.value
        assert error.results[0].value == 1
        assert set(error.failed) == {1, 2}
        assert isinstance(error.failed[1], ConflictError)
        assert sorted(error.failed[1].values) == [1, 2]
        assert isinstance(error.failed[2], BadRequest)
        assert not error.results[3].found
        results = await client.get_many("b", ["one", "two"], resolve="maximum")
        assert [entry.value for entry in results] == [1, 2]
        written = await client.put_many("b", [("x", {1}), ("y", 1), ("z", 2, "not a context")], return_errors=True)
        assert [type(result).__name__ for result in written] == ["CodecError", "Receipt", "BadContext"]
        assert isinstance(written[0], CodecError)
        assert written[2].outcome == "not_applied"
        assert isinstance(written[1], Receipt)

    on_node(story)


def test_what_could_not_be_done_now_is_done_by_another_node_under_its_own_id_and_nothing_else_is() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        asked_for: list[dict[str, str]] = []

        def rule(asked: Asked) -> Said | str | None:
            operations = cbor2.loads(asked.body)["operations"]
            asked_for.append({one["key"].decode(): one["idempotency_key"] for one in operations})
            if len(asked_for) == 1:
                return HANG_UP
            return cbor({"results": [_result(one["key"], len(asked_for)) for one in operations]})

        def _result(key: bytes, round_number: int) -> dict[str, Any]:
            if round_number == 2 and key != b"a":
                outcome = "ambiguous" if key == b"b" else "not_applied"
                return {"status": 503, "outcome": outcome, "problem": {"type": "urn:dynkv:problem:quorum-unmet"}}
            return {"status": 204, "sibling_count": 1, "dot": "a1-1", "outcome": "applied"}

        cluster.rule = rule
        receipts = await client.put_many("b", {"a": 1, "b": 2, "c": 3})
        assert [receipt.key for receipt in receipts] == ["a", "b", "c"]
        assert [set(names) for names in asked_for] == [{"a", "b", "c"}, {"a", "b", "c"}, {"b", "c"}]
        assert {receipt.key: receipt.write_id for receipt in receipts} == asked_for[0] == asked_for[1]
        assert asked_for[2].items() <= asked_for[0].items()
        nodes = [asked.node for asked in cluster.asked if asked.path == "/batch"]
        assert len(set(nodes)) == 3

    on_fakes(story)


def test_at_the_deadline_each_operation_knows_what_became_of_it() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        def rule(asked: Asked) -> Said:
            told = {"needed": {"w": 2}, "got": {"w": 1}, "replicas": {"n1": "ok"}, "detail": "too few"}
            fates = {b"a": "applied", b"b": "ambiguous", b"c": "not_applied"}
            results = [
                {"status": 204, "sibling_count": 1}
                if fates[one["key"]] == "applied"
                else {
                    "status": 503,
                    "outcome": fates[one["key"]],
                    "problem": {"type": "urn:dynkv:problem:quorum-unmet", **told},
                }
                for one in cbor2.loads(asked.body)["operations"]
            ]
            return cbor({"results": results})

        cluster.rule = rule
        a, b, c = await client.put_many("b", {"a": 1, "b": 2, "c": 3}, timeout=1.0, return_errors=True)
        assert isinstance(a, Receipt)
        for error, outcome in ((b, "ambiguous"), (c, "not_applied")):
            assert isinstance(error, QuorumUnmet)
            assert (error.outcome, error.retry_helps, error.got) == (outcome, True, {"w": 1})
            assert error.write_id
        assert b.write_id != c.write_id

    on_fakes(story, random=LongestRandom(), **LONG_PAUSES)


def test_a_request_that_got_no_answer_leaves_all_its_writes_in_doubt_for_good() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        count = [0]

        def rule(asked: Asked) -> Said | str:
            count[0] += 1
            if count[0] == 1:
                return HANG_UP
            refusal = {
                "status": 409,
                "outcome": "not_applied",
                "problem": {"type": "urn:dynkv:problem:too-many-siblings"},
            }
            return cbor({"results": [refusal for _ in cbor2.loads(asked.body)["operations"]]})

        cluster.rule = rule
        (error,) = await client.put_many("b", {"a": 1}, return_errors=True)
        assert isinstance(error, TooManySiblings)
        assert error.outcome == "ambiguous"

    on_fakes(story)


def test_a_refused_request_is_each_operations_error() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: problem("unauthorized", 401)
        with pytest.raises(BatchError) as failed:
            await client.put_many("b", {"a": 1, "b": 2})
        assert [type(error) for error in failed.value.results] == [Unauthorized, Unauthorized]
        assert {error.outcome for error in failed.value.results} == {"not_applied"}
        assert len(cluster.asked) == 1
        cluster.rule = lambda asked: problem("overloaded", 503, {"Retry-After": "30"}, outcome="not_applied")
        (error,) = await client.get_many("b", ["a"], return_errors=True)
        assert isinstance(error, Overloaded)
        assert error.outcome is None

    on_fakes(story)


def test_values_for_which_an_answer_has_no_room_are_got_by_the_next() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        rounds: list[int] = []

        def rule(asked: Asked) -> Said:
            operations = cbor2.loads(asked.body)["operations"]
            rounds.append(len(operations))
            full = {"status": 413, "problem": {"type": "urn:dynkv:problem:too-large", "detail": "no room"}}
            return cbor({"results": [_found(one["key"]) if i < 2 else full for i, one in enumerate(operations)]})

        cluster.rule = rule
        entries = await client.get_many("b", [f"k{i}" for i in range(5)])
        assert [entry.value for entry in entries] == [b"k0", b"k1", b"k2", b"k3", b"k4"]
        assert rounds == [5, 3, 1]
        cluster.rule = lambda asked: cbor(
            {"results": [{"status": 413, "problem": {"type": "urn:dynkv:problem:too-large"}}]}
        )
        (error,) = await client.get_many("b", ["k"], return_errors=True)
        assert isinstance(error, TooLarge)

    on_fakes(story)


def _found(key: bytes) -> dict[str, Any]:
    sibling = {"dot": "a1-1", "time": "2027-01-15T08:00:00.000Z", "content_type": "x/y", "value": key}
    return {"status": 200, "context": "c", "etag": "e", "siblings": [sibling]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        cbor2.dumps([]),
        cbor2.dumps({"results": []}),
        cbor2.dumps({"results": [1]}),
        cbor2.dumps({"results": [{"status": "200"}]}),
        cbor2.dumps({"results": [{"status": 200, "siblings": [{}]}]}),
        cbor2.dumps({"results": [{"status": 200, "siblings": 3}]}),
    ],
)
def test_what_no_node_answers(body: bytes) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: Said(200, body)
        (read,) = await client.get_many("b", ["a"], return_errors=True)
        (written,) = await client.put_many("b", {"a": 1}, return_errors=True)
        assert isinstance(read, NotDynkv)
        assert isinstance(written, NotDynkv)

    on_fakes(story)


def test_levels_and_resolvers_go_with_a_batch() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        two = [_found(b"1")["siblings"][0] | {"dot": f"a{i}-1", "value": b"%d" % i} for i in (1, 2)]
        cluster.rule = lambda asked: cbor({"results": [{"status": 300, "context": "c", "etag": "e", "siblings": two}]})
        (entry,) = await client.get_many("b", ["a"], r="all", pr=1, sloppy=False)
        assert isinstance(entry, Entry)
        assert (entry.value, entry.resolved) == (b"2", True)
        query = cluster.asked[-1].query
        assert {name: query[name] for name in ("r", "pr", "sloppy")} == {"r": "all", "pr": "1", "sloppy": "false"}
        (kept,) = await client.get_many("b", ["a"], resolve="keep")
        assert kept.values == [b"1", b"2"]

    on_fakes(story, resolvers={"b": "latest"})
