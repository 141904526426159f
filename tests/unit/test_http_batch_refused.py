"""Batches, and operations of batches, that are refused: which member, which limit, and that nothing has changed."""

import asyncio
import json
from typing import Any

import cbor2
import pytest
import structlog
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.http import batch as batch_module
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import Answer, RawClient, ask
from tests.unit.test_http_batch import CBOR, JSON, batch, op

DEEP = "[" * 100_000 + "]" * 100_000


async def refused(client: RawClient, body: Any, query: str = "", fields: dict[str, str] = JSON) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.ask("POST", f"/batch{query}", data, fields)
    assert 400 <= answer.status < 500
    assert answer.fields["dynkv-outcome"] == "not_applied"
    assert answer.json()["outcome"] == "not_applied"
    return answer


@pytest.mark.parametrize(
    ("body", "status", "kind", "field"),
    [
        (b"", 400, "bad-parameter", "body"),
        (b"{", 400, "bad-parameter", "body"),
        (b"\xff", 400, "bad-parameter", "body"),
        (b'{"operations": [\xff]}', 400, "bad-parameter", "body"),
        (b"{}{}", 400, "bad-parameter", "body"),
        (DEEP.encode(), 400, "bad-parameter", "body"),
        (b'{"operations": [' + b"9" * 100_000 + b"]}", 400, "bad-parameter", "body"),
        ([], 400, "bad-parameter", "body"),
        ("operations", 400, "bad-parameter", "body"),
        (None, 400, "bad-parameter", "body"),
        (7, 400, "bad-parameter", "body"),
        ({"operations": [op("get", "\ud800")]}, 400, "bad-parameter", "body"),
        ({}, 400, "bad-parameter", "operations"),
        ({"operations": None}, 400, "bad-parameter", "operations"),
        ({"operations": {}}, 400, "bad-parameter", "operations"),
        ({"operations": [], "more": 1}, 400, "bad-parameter", "more"),
        ({"operations": [op("put")] * 1001}, 413, "too-large", "operations"),
    ],
)
def test_the_whole_is_refused_before_anything_is_done(body: Any, status: int, kind: str, field: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await refused(client, body)
        assert (answer.status, answer.kind, answer.json()["field"]) == (status, kind, field)
        assert answer.json()["limit"]
        assert len(answer.body) < 1500
        assert node.coordinator.entered == 0

    play(story)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00",
        b"\xa1",
        b"\xff",
        b"\x81" * 100_000,
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\x7f" * 8,
        b"\xa2\x6aoperations\x80\x6aoperations\x80",
        b"\xa1\x6aoperations\x81\xc2\x41\xff",
        b"\xa1\x6aoperations\x81\xd8\x23\x63(a+",
        b"\xa1\x6aoperations\x81\xd8\x1c\x81\xd8\x1d\x00",
        b"\xa1\x6aoperations\x81\xa1\x80\x00",
        b"\xd9\xd9\xf7\xa1\x6aoperations\x80",
        cbor2.dumps({"operations": b"x"}),
        cbor2.dumps({b"operations": []}),
        cbor2.dumps([]),
        2 * cbor2.dumps({"operations": [{"op": "put", "bucket": "b", "key": "k", "value": "v"}]}),
    ],
)
def test_cbor_that_is_none_or_says_more_than_it_may(body: bytes) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await refused(client, body, fields=CBOR)
        assert (answer.status, answer.kind) == (400, "bad-parameter")
        assert answer.json()["field"]

    play(story)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?r=0", "r"),
        ("?r=256", "r"),
        ("?w=x", "w"),
        ("?r=1&pr=2", "pr"),
        ("?timeout=0", "timeout"),
        ("?timeout=60001", "timeout"),
        ("?sloppy=1", "sloppy"),
        ("?explain=true", "explain"),
        ("?brief=1", "brief"),
        ("?brief=true&brief=true", "brief"),
        ("?nope=1", "nope"),
        ("?r=1&r=1", "r"),
    ],
)
def test_bad_parameters_are_named(query: str, field: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await refused(client, {"operations": [op("put")]}, query)
        assert (answer.status, answer.kind, answer.json()["field"]) == (400, "bad-parameter", field)
        assert node.coordinator.entered == 0

    play(story)


@pytest.mark.parametrize(
    "said", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "json"]
)
def test_only_what_a_form_in_a_browser_cannot_send(said: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        body = {"operations": [op("put")]}
        every: list[dict[str, str]] = [{"Content-Type": said}, *([] if said else [{}])]
        for fields in every:
            answer = await refused(client, body, fields=fields)
            assert (answer.status, answer.kind) == (415, "unsupported-media-type")
            assert answer.json()["field"] == "Content-Type"
        answer = await refused(client, body, fields={**JSON, "Content-Encoding": "gzip"})
        assert (answer.status, answer.kind) == (415, "unsupported-encoding")
        assert node.coordinator.entered == 0

    play(story)


def test_no_promise_of_a_session_is_made_that_is_not_kept() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await refused(client, {"operations": [op("put")]}, fields={**JSON, "Dynkv-Session": "new"})
        assert (answer.status, answer.json()["field"]) == (400, "Dynkv-Session")
        listing = await client.ask("GET", "/kv/b", None, {"Dynkv-Session": "new"})
        assert (listing.status, listing.json()["field"]) == (400, "Dynkv-Session")
        assert node.coordinator.entered == 0

    play(story)


def test_a_body_over_its_limit_and_other_methods_and_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "BODY_BYTES_MAX", 1000)

    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await ask(node.port, "POST", "/batch", b" " * 1001, JSON)
        assert (answer.status, answer.kind, answer.json()["field"]) == (413, "too-large", "batch")
        for method in ("GET", "PUT", "DELETE"):
            answer = await ask(node.port, method, "/batch", b"" if method == "PUT" else None)
            assert (answer.status, answer.fields["allow"]) == (405, "POST")
        for path in ("/batch/", "/batch/x"):
            assert (await client.ask("POST", path, b"{}", JSON)).status == 404

    play(story)


LONG = "k" * 4097
TOO_LONG = op("put", value={"text": "x" * 2000})
BAD: list[tuple[Any, str]] = [
    (None, ""),
    (7, ""),
    ("get", ""),
    ([], ""),
    ({}, ".op"),
    ({"op": "post"}, ".op"),
    ({"op": ["get"]}, ".op"),
    ({"op": "GET"}, ".op"),
    ({"op": "get"}, ".bucket"),
    ({"op": "get", "bucket": "b"}, ".key"),
    (op("get", bucket=7), ".bucket"),
    (op("get", bucket="."), ".bucket"),
    (op("get", bucket="x" * 129), ".bucket"),
    (op("get", 7), ".key"),
    (op("get", ["k"]), ".key"),
    (op("get", ""), ".key"),
    (op("get", LONG), ".key"),
    (op("get", "%zz"), ".key"),
    (op("get", "%"), ".key"),
    (op("get", value={"text": "v"}), ".value"),
    (op("get", context="x"), ".context"),
    (op("get", idempotency_key="x"), ".idempotency_key"),
    (op("get", nope=1), ".nope"),
    (op("delete", value={"text": "v"}), ".value"),
    (op("delete", content_type="x"), ".content_type"),
    (op("get", r=0), ".r"),
    (op("get", r=4), ".r"),
    (op("get", r=-1), ".r"),
    (op("get", r=1.5), ".r"),
    (op("get", r=True), ".r"),
    (op("get", r="most"), ".r"),
    (op("get", r=10**30), ".r"),
    (op("get", r=1, pr=2), ".pr"),
    (op("put", pw=9), ".pw"),
    (op("put", w=[2]), ".w"),
    (op("get", timeout=0), ".timeout"),
    (op("get", timeout="100"), ".timeout"),
    (op("get", timeout=60_001), ".timeout"),
    (op("get", sloppy="true"), ".sloppy"),
    (op("get", sloppy=1), ".sloppy"),
    (op("put", value=None), ".value"),
    (op("put", value="v"), ".value"),
    (op("put", value={}), ".value"),
    (op("put", value={"text": "v", "base64": ""}), ".value"),
    (op("put", value={"bytes": "v"}), ".value"),
    (op("put", value={"text": 7}), ".value.text"),
    (op("put", value={"base64": "v"}), ".value.base64"),
    (op("put", value={"base64": "dg"}), ".value.base64"),
    (op("put", value={"base64": "d g=="}), ".value.base64"),
    (op("put", value={"base64": "é"}), ".value.base64"),
    (TOO_LONG, ".value"),
    (op("put", content_type="text/é"), ".content_type"),
    (op("put", content_type=7), ".content_type"),
    (op("put", content_type="x" * 256), ".content_type"),
    (op("put", context="x"), ".context"),
    (op("put", context=""), ".context"),
    (op("put", context=7), ".context"),
    (op("put", idempotency_key=""), ".idempotency_key"),
    (op("put", idempotency_key="x" * 65), ".idempotency_key"),
    (op("put", idempotency_key="a b"), ".idempotency_key"),
    (op("put", idempotency_key=7), ".idempotency_key"),
]


@pytest.mark.parametrize(("bad", "field"), BAD)
def test_a_bad_operation_is_its_own_result(bad: Any, field: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        before, result, after = await batch(client, op("put", "a"), bad, op("put", "z"))
        assert (before["status"], after["status"]) == (204, 204)
        problem = result["problem"]
        assert result["status"] == problem["status"] == (413 if bad == TOO_LONG else 400)
        assert problem["field"] == f"operations[1]{field}"
        assert problem["detail"].startswith(problem["field"] + ": ")
        assert problem["limit"] or field == ".key"
        assert len(node.coordinator.writes) == 2
        writes = isinstance(bad, dict) and bad.get("op") in ("put", "delete")
        assert (result.get("outcome") == "not_applied") == writes

    play(story, value_bytes_max=1000)


def test_a_context_of_another_key_is_none() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        (other,) = await batch(client, op("put", "other"))
        (result,) = await batch(client, op("put", context=other["context"]))
        assert result["problem"]["type"] == "urn:dynkv:problem:bad-context"
        assert len(node.coordinator.writes) == 1

    play(story)


@pytest.mark.parametrize(
    ("member", "value"),
    [("key", 7), ("key", b""), ("key", b"k" * 4097), ("value", 7), ("value", {"text": "v"}), ("value", None)],
)
def test_cbor_operations_are_checked_the_same(member: str, value: Any) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        good = {"op": "put", "bucket": "b", "key": b"k", "value": b"v"}
        result, _ = await batch(client, {**good, member: value}, good, fields=CBOR)
        assert result["problem"]["field"] == f"operations[0].{member}"
        (result,) = await batch(client, {**good, b"key": b"k"}, fields=CBOR)
        assert result["status"] == 400

    play(story)


# --- whatever comes ---------------------------------------------------------------------------------------------------

LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["k", "b", "1"]),
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
MEMBERS = st.sampled_from(
    [
        "op",
        "bucket",
        "key",
        "value",
        "context",
        "content_type",
        "idempotency_key",
        "r",
        "pr",
        "w",
        "pw",
        "timeout",
        "sloppy",
        "x",
    ]
)
LIKELY = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["get", "put", "delete"]),
        "bucket": st.just("b"),
        "key": st.sampled_from(["k", "l", "%41"]),
    },
    optional={
        "value": st.sampled_from([{"text": "v"}, {"base64": "dg=="}]) | ANYTHING,
        "r": st.integers(0, 4),
        "timeout": st.integers(0, 90_000),
        "sloppy": st.booleans(),
        "idempotency_key": st.text(max_size=3),
    },
)
SPOILT = st.builds(lambda good, more: {**good, **more}, LIKELY, st.dictionaries(MEMBERS, ANYTHING, max_size=2))
BODIES = st.one_of(
    st.binary(max_size=50),
    ANYTHING,
    st.fixed_dictionaries({"operations": st.lists(LIKELY | SPOILT | ANYTHING, max_size=6)}),
)


def test_any_body() -> None:
    async def main(body: Any, form: str) -> None:
        if isinstance(body, bytes):
            data = body
        else:
            data = cbor2.dumps(body) if form == "application/cbor" else json.dumps(body).encode()
        async with http_node() as node:
            answer = await ask(node.port, "POST", "/batch", data, {"Content-Type": form})
            assert node.stats.errors == 0
            assert node.stats.requests == 0
        if answer.status == 200:
            told = cbor2.loads(answer.body) if form == "application/cbor" else answer.json()
            results = told["results"]
            assert len(results) == len(body["operations"])
            assert all(one["status"] in (200, 204, 300, 400, 404) for one in results)
            assert all(("problem" in one) == (one["status"] >= 400) for one in results)
        else:
            assert answer.kind == "bad-parameter"
            assert answer.json()["field"]

    @settings(max_examples=300, deadline=None)
    @given(BODIES, st.sampled_from(["application/json", "application/cbor"]))
    def fuzz(body: Any, form: str) -> None:
        with structlog.testing.capture_logs() as events:
            runner.run(main(body, form))
        assert events == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        fuzz()
