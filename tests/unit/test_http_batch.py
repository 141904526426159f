"""POST /batch: a result for each operation, in order, whatever becomes of the others."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import cbor2
import pytest
import structlog

from dynkv.coordinator.results import ReadResult, Trace, WriteResult
from dynkv.core.bucket import BucketSettings, Conflict
from dynkv.core.errors import DynkvError, QuorumUnmet, StoreReadOnly, TooManySiblings, WriteIdReused
from dynkv.core.levels import Levels
from dynkv.core.session import Demand
from dynkv.core.write import Write
from dynkv.http import batch as batch_module
from dynkv.http import batch_work
from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import Answer, RawClient, ask, request_bytes

JSON = {"Content-Type": "application/json"}
CBOR = {"Content-Type": "application/cbor"}


async def batch(
    client: RawClient, *operations: Any, query: str = "", fields: Mapping[str, str] = JSON
) -> list[dict[str, Any]]:
    """The results of these operations, sent and answered in the form that `fields` say."""
    form = fields["Content-Type"]
    dumps: Any = cbor2.dumps if form == "application/cbor" else lambda value: json.dumps(value).encode()
    answer = await client.ask("POST", f"/batch{query}", dumps({"operations": operations}), fields)
    assert answer.status == 200, answer
    assert answer.fields["content-type"] == form
    told = cbor2.loads(answer.body) if form == "application/cbor" else answer.json()
    results: list[dict[str, Any]] = told.pop("results")
    assert told == {}
    assert len(results) == len(operations)
    return results


def op(kind: str, key: Any = "k", **more: Any) -> dict[str, Any]:
    if kind == "put":
        more.setdefault("value", {"text": "v"})
    return {"op": kind, "bucket": "b", "key": key, **more}


def test_each_operation_has_its_result_in_order() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        first = await batch(client, op("put", "a"), op("put", "b%2Fc"), op("get", "nothing"), op("put", "caf%C3%A9"))
        assert [one["status"] for one in first] == [204, 204, 404, 204]
        assert first[2]["problem"]["type"] == "urn:dynkv:problem:not-found"
        put = first[0]
        assert (put["outcome"], put["sibling_count"]) == ("applied", 1)
        assert put["dot"].endswith("-1")
        assert put["idempotency_key"]
        single = await client.ask("GET", "/kv/b/a")
        assert (single.body, single.fields["content-type"]) == (b"v", "text/plain; charset=utf-8")
        assert single.fields["dynkv-context"] == put["context"]
        assert single.fields["etag"] == f'"{put["etag"]}"'
        assert (await client.ask("GET", "/kv/b/b/c")).status == 200
        assert (await client.ask("GET", "/kv/b/caf%c3%a9")).status == 200
        (got,) = await batch(client, op("get", "a"))
        assert (got["context"], got["etag"]) == (put["context"], put["etag"])
        (sibling,) = got["siblings"]
        assert sibling["value"] == {"text": "v"}
        assert sibling["dot"] == put["dot"]
        assert sibling["time"].endswith("Z")
        assert await batch(client) == []

    play(story)


def test_values_of_both_forms() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        raw = bytes(range(256))
        text = base64.b64encode(raw).decode()
        await batch(
            client,
            op("put", "bytes", value={"base64": text}),
            op("put", "json", value={"text": "[1]"}, content_type="application/json"),
            op("put", "no text", value={"base64": text}, content_type="text/plain"),
            op("put", "empty", value={"base64": ""}),
        )
        await batch(client, op("put", b"\xff/", value=raw), op("put", "té", value="tê"), fields=CBOR)
        assert [(write.key, write.value, write.content_type) for write in node.coordinator.writes] == [
            (b"bytes", raw, "application/octet-stream"),
            (b"json", b"[1]", "application/json"),
            (b"no text", raw, "text/plain"),
            (b"empty", b"", "application/octet-stream"),
            (b"\xff/", raw, "application/octet-stream"),
            ("té".encode(), "tê".encode(), "text/plain; charset=utf-8"),
        ]
        keys = ("bytes", "json", "no text", "empty", "%FF%2F", "t%C3%A9")
        found = [one["siblings"][0]["value"] for one in await batch(client, *(op("get", key) for key in keys))]
        same, none = {"base64": text}, {"base64": ""}
        assert found == [same, {"text": "[1]"}, same, none, same, {"text": "tê"}]
        found = [
            one["siblings"][0]["value"]
            for one in await batch(client, op("get", b"\xff/"), op("get", "té"), fields=CBOR)
        ]
        assert found == [raw, "tê".encode()]

    play(story)


def test_the_answer_has_the_form_that_is_asked_for() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        body = json.dumps({"operations": [op("get")]}).encode()
        for accept, form in (
            ("application/cbor", "application/cbor"),
            ("application/json", "application/json"),
            ("*/*", "application/json"),
            ("text/html", "application/json"),
        ):
            answer = await client.ask("POST", "/batch", body, {**JSON, "Accept": accept})
            assert (answer.status, answer.fields["content-type"]) == (200, form)
        answer = await client.ask("POST", "/batch", body, {"Content-Type": "application/JSON; charset=utf-8"})
        assert answer.status == 200

    play(story)


def test_contexts_siblings_and_deletes() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        first, _ = await batch(client, op("put", value={"text": "1"}), op("put", value={"text": "2"}))
        (got,) = await batch(client, op("get"))
        assert got["status"] == 300
        assert [one["value"]["text"] for one in got["siblings"]] == ["1", "2"]
        (again,) = await batch(client, op("put", value={"text": "3"}, context=first["context"]))
        assert again["sibling_count"] == 2
        (got,) = await batch(client, op("get"))
        (gone,) = await batch(client, op("delete", context=got["context"]))
        assert (gone["status"], gone["sibling_count"]) == (204, 0)
        (got,) = await batch(client, op("get"))
        assert (got["status"], got["problem"]["type"]) == (404, "urn:dynkv:problem:deleted")
        (back,) = await batch(client, op("put", context=got["context"]))
        assert back["sibling_count"] == 1
        # Without a context a delete deletes what is there.
        assert (await batch(client, op("delete")))[0]["status"] == 204
        assert (await batch(client, op("get")))[0]["status"] == 404
        # A tombstone beside a value is said.
        await batch(client, op("delete", "k2"))
        await batch(client, op("put", "k2"))
        (got,) = await batch(client, op("get", "k2"))
        assert (got["status"], got["tombstones"]) == (200, 1)

    play(story)


def test_an_lww_bucket_shows_its_latest() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.settings["b"] = BucketSettings(conflict="lww")
        await batch(client, op("put", value={"text": "1"}), op("put", value={"text": "2"}), op("delete", "k2"))
        (got,) = await batch(client, op("get"))
        assert [one["value"]["text"] for one in got["siblings"]] == ["2"]
        assert len(node.coordinator.levels) == 4, "a blind delete of an lww bucket looks for nothing first"

    play(story)


def test_levels_of_the_query_and_of_each_operation() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.settings["two"] = BucketSettings(2, 1, 1)
        await batch(
            client,
            op("get"),
            op("get", r="all", timeout=250),
            op("put", w="one", pw=1, sloppy=True),
            op("put", r=None, w="2"),
            {**op("get"), "bucket": "two"},
            query="?r=1&w=quorum&sloppy=false&timeout=900",
        )
        seen = {(at.n, at.r, at.w, at.pw, at.sloppy) for at in node.coordinator.levels}
        assert seen == {
            (3, 1, 2, 0, False),
            (3, 3, 2, 0, False),
            (3, 1, 1, 1, True),
            (2, 1, 2, 0, False),
        }
        assert all(800 < at.timeout_ms <= 900 for at in node.coordinator.levels if at.r != 3)
        assert {at.timeout_ms for at in node.coordinator.levels if at.r == 3} == {250}

    play(story)


def test_write_ids_are_given_or_made_and_always_told() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        results = await batch(client, op("put", "a", idempotency_key="mine"), op("put", "b"), op("delete", "c"))
        ids = [one["idempotency_key"] for one in results]
        assert ids[0] == "mine"
        assert len(set(ids)) == 3
        assert {write.write_id.decode() for write in node.coordinator.writes} == set(ids)

    play(story)


# --- one of many ------------------------------------------------------------------------------------------------------


class Failing:
    """The coordinator of a node, which fails for some keys."""

    def __init__(self, node: HttpNode, errors: dict[bytes, Exception]) -> None:
        self._get, self._put = node.coordinator.get, node.coordinator.put
        self._errors = errors
        node.coordinator.get = self.get  # type: ignore[method-assign]  # the seam of these tests
        node.coordinator.put = self.put  # type: ignore[method-assign]  # the same

    async def get(
        self, bucket: str, key: bytes, levels: Levels, trace: Trace | None = None, demand: Demand | None = None
    ) -> ReadResult:
        if key in self._errors:
            raise self._errors[key]
        return await self._get(bucket, key, levels, trace, demand)

    async def put(self, write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
        if write.key in self._errors:
            raise self._errors[write.key]
        return await self._put(write, levels, conflict, trace)


def unmet(outcome: str | None) -> QuorumUnmet:
    return QuorumUnmet("1 of 2", outcome=outcome, needed={"w": 2}, got={"w": 1}, replicas={"n2": "timed out"})


def test_what_fails_is_one_result_and_the_others_stand() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        errors: dict[bytes, DynkvError] = {
            b"unmet": unmet("ambiguous"),
            b"full": TooManySiblings("siblings", "has 100", "at most 100"),
            b"reused": WriteIdReused("Idempotency-Key", "was used", "a fresh one"),
            b"disk": StoreReadOnly("no space"),
        }
        Failing(node, {**errors, b"read": unmet(None)})
        results = await batch(
            client,
            op("put", "a"),
            *(op("put", key.decode(), idempotency_key=f"id-{key.decode()}") for key in errors),
            op("get", "read"),
            op("delete", "read"),
            op("put", "z"),
        )
        assert [one["status"] for one in results] == [204, 503, 409, 422, 503, 503, 503, 204]
        outcomes = [one.get("outcome") for one in results]
        assert outcomes == ["applied", "ambiguous", *["not_applied"] * 3, None, "not_applied", "applied"]
        assert [one["idempotency_key"] for one in results[1:5]] == [f"id-{key.decode()}" for key in errors]
        unmet_told = results[1]["problem"]
        assert unmet_told["type"] == "urn:dynkv:problem:quorum-unmet"
        assert (unmet_told["needed"], unmet_told["replicas"]) == ({"w": 2}, {"n2": "timed out"})
        assert unmet_told["help"]
        assert results[2]["problem"]["field"] == "operations[2].siblings"
        assert results[3]["problem"]["field"] == "operations[3].idempotency_key"
        assert "outcome" not in results[5]["problem"]
        assert results[6]["idempotency_key"]

    play(story)


def test_what_nobody_foresaw_is_one_result_too_and_logged() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        Failing(node, {b"bad": ZeroDivisionError("inside")})
        with structlog.testing.capture_logs() as events:
            one, two, three = await batch(client, op("put", "bad"), op("get", "bad"), op("put", "a"))
        assert (one["status"], one["outcome"], two["status"], three["status"]) == (500, "ambiguous", 500, 204)
        assert "inside" not in json.dumps([one, two])
        assert [event["event"] for event in events] == ["request failed unexpectedly"]
        assert node.stats.errors == 2

    play(story)


def test_the_deadline_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "AT_ONCE", 1)

    async def story(node: HttpNode, client: RawClient) -> None:
        late = asyncio.Event()
        put = node.coordinator.put

        async def slow(write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
            asyncio.get_running_loop().call_later(levels.timeout_ms / 1000, late.set)
            await late.wait()
            return await put(write, levels, conflict, trace)

        node.coordinator.put = slow  # type: ignore[method-assign]  # the seam of this test
        results = await batch(client, op("put", "a"), op("put", "b"), op("get", "c"), query="?timeout=50")
        assert [one["status"] for one in results] == [204, 503, 503]
        assert results[1]["outcome"] == "not_applied"
        assert "deadline" in results[2]["problem"]["detail"]
        assert [write.key for write in node.coordinator.writes] == [b"a"]

    play(story)


def test_values_of_one_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_work, "VALUES_BYTES_MAX", 250)
    monkeypatch.setattr(batch_module, "AT_ONCE", 1)

    async def story(node: HttpNode, client: RawClient) -> None:
        for key in ("a", "b", "c"):
            await client.ask("PUT", f"/kv/b/{key}", bytes(100))
        await client.ask("PUT", "/kv/b/small", bytes(50))
        results = await batch(client, *(op("get", key) for key in ("a", "b", "c", "small")))
        assert [one["status"] for one in results] == [200, 200, 413, 200]
        assert results[2]["problem"]["field"] == "operations[2].value"
        assert results[2]["problem"]["limit"]

    play(story)


# --- overload ---------------------------------------------------------------------------------------------------------


def test_a_batch_counts_as_the_work_that_it_is() -> None:
    async def main() -> None:
        async with http_node(requests_max=3) as node, await RawClient.connect(node.port) as client:
            node.coordinator.gate = asyncio.Event()
            body = json.dumps({"operations": [op("put", str(number)) for number in range(6)]}).encode()
            await client.send(request_bytes("POST", "/batch", body, JSON))

            async def entered() -> bool:
                return node.coordinator.entered == 6

            await eventually_async(entered)
            assert node.stats.requests == 2
            refused = await ask(node.port, "POST", "/batch", body, JSON)
            assert (refused.status, refused.kind) == (503, "overloaded")
            assert refused.fields["dynkv-outcome"] == "not_applied"
            assert node.stats.overloaded == 1
            node.coordinator.gate.set()
            assert (await client.answer()).status == 200
            assert node.stats.requests == 0
            # One larger than all that is admitted goes by, in parts.
            many = json.dumps({"operations": [op("put", str(number)) for number in range(100)]}).encode()
            answer = await client.ask("POST", "/batch", many, JSON)
            assert [one["status"] for one in answer.json()["results"]] == [204] * 100
            assert node.stats.requests == 0

    asyncio.run(main())


def test_no_more_at_once_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "AT_ONCE", 5)

    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.gate = asyncio.Event()
        body = json.dumps({"operations": [op("get", str(number)) for number in range(100)]}).encode()
        await client.send(request_bytes("POST", "/batch", body, JSON))

        async def entered() -> bool:
            return node.coordinator.entered == 5 and node.stats.requests == 2

        await eventually_async(entered)
        node.coordinator.gate.set()
        assert len((await client.answer()).json()["results"]) == 100

    play(story)


def test_operations_are_counted_by_kind_and_status() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await batch(client, op("put"))
        await batch(client, op("get"), op("get", "none"), op("delete"), op("nonsense"))
        rows = {row.method: row.counts for row in node.stats.routes if row.route == "operation"}
        assert rows == {"GET": [0, 1, 0, 1, 0], "PUT": [0, 1, 0, 0, 0], "DELETE": [0, 1, 0, 0, 0]}

    play(story)


def test_a_body_that_comes_slowly_is_held_against_the_budget_and_given_back() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        body = json.dumps({"operations": [op("put")]}).encode()
        head = request_bytes("POST", "/batch", body, JSON).removesuffix(body)
        await client.send(head)
        for byte in body:
            await client.send(bytes((byte,)))
        assert (await client.answer()).status == 200
        assert node.server.budget.held == 0
        big: Answer = await ask(node.port, "POST", "/batch", b" " * 3000, JSON)
        assert (big.status, big.kind) == (503, "overloaded")

    play(story, body_bytes_max=2000)
