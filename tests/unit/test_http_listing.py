"""GET /kv/{bucket}: three forms of one listing, cursors that go on, ends that tell, and what is refused."""

import asyncio
import io
import json
from typing import Any
from urllib.parse import unquote_to_bytes

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.coordinator.results import Stretch
from dynkv.core.bucket import KEY_BYTES_MAX, BucketSettings
from dynkv.core.errors import BadParameter, NotFormed, QuorumUnmet
from dynkv.http import listing as listing_module
from dynkv.http.cursor import make_cursor, parse_cursor
from dynkv.http.key_forms import escaped
from dynkv.http.parsing import TARGET_BYTES_MAX
from tests.support import eventually_async
from tests.unit.http_node import HttpNode, http_node, play
from tests.unit.http_raw import RawClient, ask, request_bytes

KEYS = sorted([b"a", b"b/c", b"caf\xc3\xa9", b"\x00\xff", b'"', b"\\", b"%41", b"..", b"~.-_"])


async def fill(client: RawClient) -> None:
    for key in KEYS:
        path = "".join(f"%{byte:02x}" for byte in key)
        assert (await client.ask("PUT", f"/kv/b/{path}", b"v")).status == 204


async def whole(client: RawClient, target: str, accept: str = "") -> tuple[str, bytes]:
    """(content type, body) of a streamed 200."""
    await client.send(request_bytes("GET", target, None, {"Accept": accept} if accept else {}))
    head = await client.head()
    assert head.status == 200
    assert "content-length" not in head.fields
    body = b""
    while chunk := await client.chunk():
        body += chunk
    return head.fields["content-type"], body


async def listed(client: RawClient, target: str) -> Any:
    form, body = await whole(client, target)
    assert form == "application/json"
    return json.loads(body)


def test_three_forms_say_the_same() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await fill(client)
        end = {"count": len(KEYS), "complete": True, "missing": [], "cursor": None}
        for accept in ("", "*/*", "text/html", "application/json"):
            form, body = await whole(client, "/kv/b", accept)
            assert form == "application/json"
            told = json.loads(body)
            assert [unquote_to_bytes(key) for key in told.pop("keys")] == KEYS
            assert told == {"bucket": "b", **end}
        form, body = await whole(client, "/kv/b", "application/x-ndjson")
        assert form == "application/x-ndjson"
        *lines, last = [json.loads(line) for line in body.splitlines()]
        assert [unquote_to_bytes(line["key"]) for line in lines] == KEYS
        assert last == end
        form, body = await whole(client, "/kv/b", "application/cbor-seq")
        assert form == "application/cbor-seq"
        stream = io.BytesIO(body)
        items = []
        while stream.tell() < len(body):
            items.append(cbor2.load(stream))
        assert items == [*KEYS, end]

    play(story)


def test_no_keys_are_an_empty_list_that_says_so() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        end = {"count": 0, "complete": True, "missing": [], "cursor": None}
        assert await listed(client, "/kv/b") == {"bucket": "b", "keys": [], **end}
        _, body = await whole(client, "/kv/b", "application/x-ndjson")
        assert json.loads(body)["count"] == 0
        assert (await client.ask("HEAD", "/kv/b")).status == 200

    play(story)


def test_prefix_limit_and_cursor() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await fill(client)
        assert (await listed(client, "/kv/b?prefix=b%2f"))["keys"] == ["b%2Fc"]
        assert (await listed(client, "/kv/b?prefix=b/c"))["keys"] == ["b%2Fc"]
        assert (await listed(client, "/kv/b?prefix=%00%FF"))["keys"] == ["%00%FF"]
        keys: list[bytes] = []
        target, parts = "/kv/b?limit=4", 0
        while target:
            part = await listed(client, target)
            assert part["count"] == len(part["keys"]) <= 4
            keys += map(unquote_to_bytes, part["keys"])
            target = f"/kv/b?limit=4&cursor={part['cursor']}" if part["cursor"] else ""
            parts += 1
        assert keys == KEYS
        assert parts == 3

    play(story)


def test_levels_reach_the_coordinator() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.settings["b"] = BucketSettings(3, 1, 2, "lww")
        await listed(client, "/kv/b")
        await listed(client, "/kv/b?r=all&timeout=250&limit=1000000")
        (first, all_of_it, no_limit), (second, _, limit) = node.coordinator.scans
        assert (first.levels.r, first.levels.timeout_ms, first.conflict, all_of_it, no_limit) == (
            1,
            5000,
            "lww",
            None,
            None,
        )
        assert (second.levels.r, second.levels.timeout_ms, limit) == (3, 250, 1_000_000)

    play(story)


UNMET = QuorumUnmet("1 of 2", outcome=None, needed={"r": 2}, got={"r": 1}, replicas={"n2": "timed out"})


def test_what_is_missing_is_told_at_the_end_and_can_be_asked_for() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await fill(client)
        node.coordinator.unmet = UNMET
        told = await listed(client, "/kv/b")
        assert told["keys"]
        assert told["complete"] is False
        assert told["missing"] == [{"partition": 7, "why": "1 of 2"}]
        node.coordinator.unmet = None
        assert (await listed(client, f"/kv/b?cursor={told['cursor']}"))["keys"] == []
        (stretch,) = node.coordinator.scans[-1][1] or ()
        assert stretch == Stretch(7, 7, KEYS[-1])

    play(story)


def test_nothing_listed_and_something_missing_is_no_empty_list() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.unmet = UNMET
        for target in ("/kv/b", f"/kv/b?cursor={make_cursor('b', b'', (Stretch(1, 5, b''),))}"):
            answer = await client.ask("GET", target)
            assert (answer.status, answer.kind) == (503, "quorum-unmet")
            told = answer.json()
            assert (told["needed"], told["got"], told["replicas"]) == ({"r": 2}, {"r": 1}, {"n2": "timed out"})
            assert "outcome" not in told
            assert answer.fields["retry-after"]
        node.coordinator.scan_error = NotFormed("never heard of n2")
        assert (await client.ask("GET", "/kv/b")).kind == "not-formed"

    play(story)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/kv/b?limit=0", "limit"),
        ("/kv/b?limit=1000001", "limit"),
        ("/kv/b?limit=-1", "limit"),
        ("/kv/b?limit=1.5", "limit"),
        ("/kv/b?limit=", "limit"),
        ("/kv/b?limit=%C2%B2", "limit"),
        ("/kv/b?limit=999999999999", "limit"),
        ("/kv/b?limit=1&limit=1", "limit"),
        ("/kv/b?r=4", "r"),
        ("/kv/b?r=0", "r"),
        ("/kv/b?timeout=0", "timeout"),
        ("/kv/b?timeout=60001", "timeout"),
        ("/kv/b?w=1", "w"),
        ("/kv/b?sloppy=true", "sloppy"),
        ("/kv/b?nope=1", "nope"),
        ("/kv/b?explain=true", "explain"),
        ("/kv/b?prefix=%zz", "query"),
        (f"/kv/b?prefix={'x' * (KEY_BYTES_MAX + 1)}", "prefix"),
        ("/kv/b?cursor=", "cursor"),
        ("/kv/b?cursor=x", "cursor"),
        ("/kv/b?cursor=%FF", "cursor"),
        (f"/kv/b?cursor={'A' * 4000}", "cursor"),
        (f"/kv/b?cursor={make_cursor('c', b'', (Stretch(1, 5, b''),))}", "cursor"),
        (f"/kv/b?prefix=x&cursor={make_cursor('b', b'', (Stretch(1, 5, b''),))}", "cursor"),
        (f"/kv/b?cursor={make_cursor('b', b'', (Stretch(5, 1, b''),))}", "cursor"),
        (f"/kv/b?cursor={make_cursor('b', b'', (Stretch(1, 5, b''), Stretch(5, 6, b'')))}", "cursor"),
    ],
)
def test_bad_parameters_are_named(target: str, field: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        bad = await client.ask("GET", target)
        assert (bad.status, bad.kind) == (400, "bad-parameter")
        assert bad.json()["field"] == field
        assert field in bad.json()["detail"]
        assert field == "query" or bad.json()["limit"]
        assert node.coordinator.scans == []

    play(story)


@pytest.mark.parametrize("bucket", ["", ".b", "b%20", "%FF", "%zz", "x" * 129])
def test_bad_buckets(bucket: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for query in ("", "?limit=1"):
            bad = await client.ask("GET", f"/kv/{bucket}{query}")
            assert (bad.status, bad.kind, bad.json()["field"]) == (400, "bad-key", "bucket")

    play(story)


def test_a_slash_in_a_parameter_makes_no_key() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await fill(client)
        assert (await listed(client, "/kv/b?prefix=b/"))["count"] == 1
        assert (await client.ask("GET", "/kv/b/a?r=1")).body == b"v"
        assert (await client.ask("GET", "http://host/kv/b/a")).body == b"v"
        assert (await listed(client, "http://host/kv/b?limit=1"))["count"] == 1
        for method, body in (("PUT", b"v"), ("DELETE", None)):
            assert (await client.ask(method, "/kv/b?prefix=b/", body)).status == 405

    play(story)


def test_a_listing_takes_no_body() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await ask(node.port, "GET", "/kv/b", b"body")).status == 400

    play(story)


def test_listings_are_bounded_and_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "LISTINGS_MAX", 2)

    async def main() -> None:
        async with http_node() as node:
            node.coordinator.gate = asyncio.Event()
            clients = [await RawClient.connect(node.port) for _ in range(2)]
            for client in clients:
                await client.send(request_bytes("GET", "/kv/b"))

            async def both_in() -> bool:
                return len(node.coordinator.scans) == 2

            await eventually_async(both_in)
            refused = await ask(node.port, "GET", "/kv/b")
            assert (refused.status, refused.kind) == (503, "overloaded")
            clients[0].reset()
            node.coordinator.gate.set()
            assert (await clients[1].head()).status == 200
            assert json.loads(await clients[1].chunk())["complete"]
            for _ in range(3):
                assert (await ask(node.port, "HEAD", "/kv/b")).status == 200
            for client in clients:
                async with client:
                    pass

    asyncio.run(main())


# --- parts ------------------------------------------------------------------------------------------------------------

PREFIXES = st.binary(max_size=5)
STRETCHES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.none() | st.binary(max_size=9)), min_size=1)


def stretches_of(prefix: bytes, parts: list[tuple[int, int, bytes | None]]) -> tuple[Stretch, ...]:
    found, first = [], 0
    for gap, length, tail in parts:
        first += gap
        found.append(Stretch(first, first + length, b"" if tail is None or not prefix + tail else prefix + tail))
        first += length + 1
    return tuple(found)


@given(st.sampled_from(["b", "bucket"]), PREFIXES, STRETCHES, st.data())
def test_cursors_say_what_was_put_in_and_nothing_else_passes(
    bucket: str, prefix: bytes, parts: list[tuple[int, int, bytes | None]], data: st.DataObject
) -> None:
    stretches = stretches_of(prefix, parts)
    cursor = make_cursor(bucket, prefix, stretches)
    assert cursor is not None
    assert parse_cursor(bucket, prefix, cursor) == stretches
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(cursor[place].__ne__))
    for changed in (cursor[:place] + other + cursor[place + 1 :], cursor[:place], cursor + other):
        with pytest.raises(BadParameter):
            parse_cursor(bucket, prefix, changed)
    with pytest.raises(BadParameter):
        parse_cursor("other", prefix, cursor)


def test_the_longest_cursor_fits_a_request() -> None:
    for prefix in (b"", b"\x00" * 2000, b"\xff" * KEY_BYTES_MAX):
        key = prefix + b"\xff" * (KEY_BYTES_MAX - len(prefix))
        # What `Scan` lets grow to, then one more that failed, and where it stopped.
        cursor = make_cursor(
            "b" * 128, prefix, [Stretch(0, 0, key[: len(prefix) + 2048]), Stretch(2, 2, key), Stretch(4, 4, key)]
        )
        assert cursor is not None
        target = f"/kv/{'b' * 128}?prefix={'%00' * len(prefix)}&limit=1000000&r=quorum&timeout=60000&cursor={cursor}"
        assert len(f"GET {target} HTTP/1.1") <= TARGET_BYTES_MAX


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=1))
def test_escaped_keys_are_json_and_paths_and_come_back(keys: list[bytes]) -> None:
    for key, text in zip(keys, escaped(keys), strict=True):
        assert json.loads(b'"%b"' % text) == text.decode("ascii")
        assert unquote_to_bytes(text.decode("ascii")) == key
        assert not set(text) & set(b'/?#"\\')
