"""The other routes, and what all routes have in common."""

import pytest
import structlog

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import NotFormed
from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import RawClient, request_bytes


def test_buckets() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        defaults = {"bucket": "b", "n": 3, "r": 2, "w": 2, "conflict": "siblings"}
        assert (await client.ask("GET", "/buckets/b")).json() == defaults
        put = await client.ask("PUT", "/buckets/b", b'{"w": 3, "conflict": "lww"}')
        assert (put.status, put.json()) == (200, defaults | {"w": 3, "conflict": "lww"})
        assert node.view.settings == {"b": BucketSettings(w=3, conflict="lww")}
        assert (await client.ask("GET", "/buckets/%62")).json()["w"] == 3

    play(story)


@pytest.mark.parametrize(
    ("target", "body", "status", "kind"),
    [
        ("/buckets/b", b"{", 400, "bad-parameter"),
        ("/buckets/b", b"\xff", 400, "bad-parameter"),
        ("/buckets/b", b"[3,2,2]", 400, "bad-parameter"),
        ("/buckets/b", b'{"n": "3"}', 400, "bad-parameter"),
        ("/buckets/b", b'{"ttl": 3}', 400, "bad-parameter"),
        ("/buckets/b", b'{"conflict": "crdt"}', 400, "bad-parameter"),
        ("/buckets/b", b'{"r": 4}', 400, "bad-parameter"),
        ("/buckets/b", b'{"n": 4}', 400, "bad-parameter"),
        ("/buckets/b", b" " * 5000, 413, "too-large"),
        ("/buckets/b?n=3", b"{}", 400, "bad-parameter"),
        ("/buckets/-b", b"{}", 400, "bad-key"),
        ("/buckets/b/c", b"{}", 404, "no-route"),
        ("/buckets", b"{}", 404, "no-route"),
    ],
)
def test_bad_buckets(target: str, body: bytes, status: int, kind: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("PUT", target, body)
        assert (answer.status, answer.kind) == (status, kind)
        assert node.view.settings == {}

    play(story)


def test_facts_of_the_cluster() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("GET", "/nodes")).json() == node.view.nodes()
        assert (await client.ask("GET", "/hints")).json() == node.view.hints()
        assert (await client.ask("GET", "/ring")).json() == node.view.ring()
        located = await client.ask("GET", "/ring?bucket=b&key=%FF%2F")
        place = {"token": "0", "partition": 0, "primaries": ["n1"], "preference": ["n1"]}
        assert located.json() == {"bucket": "b", "key": "ff2f", **place}
        for target in ("/ring?bucket=b", "/ring?key=k", "/nodes?x=1", "/ring?bucket=-&key=k", "/ring?bucket=b&key="):
            assert (await client.ask("GET", target)).status == 400
        metrics = await client.ask("GET", "/metrics")
        assert metrics.fields["content-type"].startswith("text/plain; version=0.0.4")
        assert metrics.body == node.view.metrics()

    play(story)


def test_health() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("GET", "/health/live")).json() == {"status": "live", "node": "n1"}
        assert (await client.ask("GET", "/health/ready")).json()["reasons"] == []
        node.view.reasons = ["the disk is full"]
        answer = await client.ask("GET", "/health/ready")
        assert (answer.status, answer.json()["reasons"]) == (503, ["the disk is full"])
        assert answer.fields["retry-after"] == "1"
        assert (await client.ask("GET", "/health/live")).status == 200
        assert (await client.ask("HEAD", "/health/live")).body == b""

    play(story)


def test_the_index_names_every_route() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        index = await client.ask("GET", "/")
        assert index.fields["content-type"] == "text/html; charset=utf-8"
        for route in ("/kv/", "/buckets/", "/nodes", "/ring", "/hints", "/metrics", "/health/live", "/health/ready"):
            assert route.encode() in index.body
        for link in ("/buckets/default", "/nodes", "/ring", "/hints", "/metrics", "/health/live", "/health/ready"):
            assert f'href="{link}"'.encode() in index.body
            assert (await client.ask("GET", link)).status == 200

    play(story)


@pytest.mark.parametrize(
    "target", ["/nope", "/nodes/x", "//", "/health", "/health/x", "/kv", "/metrics/", "/ring/", "/index"]
)
def test_no_such_route(target: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("GET", target)
        assert (answer.status, answer.kind) in ((404, "no-route"), (400, "bad-key"))

    play(story)


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("POST", "/kv/b/k", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/kv/b/k", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/kv/b/k", "DELETE, GET, HEAD, PUT"),
        ("DELETE", "/buckets/b", "GET, HEAD, PUT"),
        ("PUT", "/nodes", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_other_methods(method: str, target: str, allow: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask(method, target, b"")
        assert (answer.status, answer.kind, answer.fields["allow"]) == (405, "method-not-allowed", allow)

    play(story)


def test_connect_and_upgrades_lead_nowhere() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.send(b"CONNECT host:80 HTTP/1.1\r\nHost: host:80\r\n\r\n")
        assert (await client.answer()).status in (400, 404, 405)
        assert await client.ended() == b""
        for upgrade in ("websocket", "h2c"):
            async with await RawClient.connect(node.port) as other:
                fields = {"Connection": "Upgrade", "Upgrade": upgrade}
                await other.send(request_bytes("GET", "/health/live", None, fields) + b"\x81\x00")
                answer = await other.answer()
                assert (answer.status, answer.fields["connection"]) == (200, "close")
                assert await other.ended() == b""

    play(story)


def test_whole_urls_and_old_clients() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("PUT", "http://test/kv/b/k", b"v")).status == 204
        assert (await client.ask("GET", "http://test/kv/b/k")).body == b"v"
        await client.send(b"GET /kv/b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.answer()).fields["connection"] == "keep-alive"
        await client.send(b"GET /kv/b/k HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert (answer.body, answer.fields["connection"]) == (b"v", "close")
        assert await client.ended() == b""

    play(story)


def test_a_token_is_asked_for_where_one_is_set() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for target in ("/kv/b/k", "/nodes", "/metrics", "/", "/nope"):
            none = await client.ask("GET", target)
            assert (none.status, none.kind) == (401, "unauthorized")
            assert none.fields["www-authenticate"] == "Bearer"
            for wrong in ("Bearer wrong", "Bearer sésame", "Bearer sesame2"):
                answer = await client.ask("GET", target, None, {"Authorization": wrong})
                assert (answer.status, answer.kind) == (403, "forbidden")
            assert (await client.ask("GET", target, None, {"Authorization": "Basic c2VzYW1l"})).status == 401
        right = {"Authorization": "Bearer sesame"}
        assert (await client.ask("PUT", "/kv/b/k", b"v", right)).status == 204
        assert (await client.ask("GET", "/health/ready")).status == 200

    play(story, client_token=b"sesame")


def test_a_trace_is_passed_on_if_it_is_one() -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    async def story(node: HttpNode, client: RawClient) -> None:
        for target in ("/kv/b/k", "/health/live"):
            assert (await client.ask("GET", target, None, {"traceparent": good})).fields["traceparent"] == good
            for bad in ("x", good.upper(), f"{good}-more", good.replace("00-4", "ff-4"), f"00-{'0' * 32}-{good[36:]}"):
                assert "traceparent" not in (await client.ask("GET", target, None, {"traceparent": bad})).fields
        # Constant answers are shared between requests and must not remember one.
        assert "traceparent" not in (await client.ask("GET", "/kv/b/k")).fields

    play(story)


def test_an_unexpected_error_is_answered_and_logged_once() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.error = ZeroDivisionError("inside")
        with structlog.testing.capture_logs() as events:
            for _ in range(5):
                answer = await client.ask("PUT", "/kv/b/k", b"v")
                assert (answer.status, answer.kind, answer.json()["outcome"]) == (500, "internal", "ambiguous")
                assert b"inside" not in answer.body
        assert [event["event"] for event in events] == ["request failed unexpectedly"]
        assert node.stats.errors == 5
        node.coordinator.error = None
        assert (await client.ask("GET", "/kv/b/k")).status == 404

    play(story)


def test_a_cluster_that_is_not_formed_says_so() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.error = NotFormed("never heard of n2")
        answer = await client.ask("GET", "/kv/b/k")
        assert (answer.status, answer.kind, answer.fields["retry-after"]) == (503, "not-formed", "1")

    play(story)


def test_counts_by_route_are_bounded() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        rows = len(node.stats.routes)
        for n in range(50):
            await client.ask("GET", f"/kv/b{n}/k{n}")
            await client.ask("GET", f"/r{n}")
            await client.ask("PROPFIND", "/kv/b/k")
        assert len(node.stats.routes) == rows
        found = {(row.route, row.method): row for row in node.stats.routes}
        assert found["kv", "GET"].counts == [0, 0, 0, 50, 0]
        assert found["kv", "GET"].latency.count() == 50
        assert found["kv", "other"].counts == [0, 0, 0, 50, 0]
        assert found["unknown", "other"].counts == [0, 0, 0, 50, 0]

    play(story)
