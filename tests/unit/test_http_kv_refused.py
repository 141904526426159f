"""Key requests that are refused, or fail: what the answer says, and that nothing has changed."""

import pytest

from dynkv.core.errors import Overloaded, QuorumUnmet, StoreReadOnly, StoreWriteFailed, TooManySiblings
from tests.unit.http_node import SECRET, HttpNode, play
from tests.unit.http_raw import RawClient, ask


def test_contexts_damaged_of_another_key_or_forged_change_nothing() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        good = (await client.ask("PUT", "/kv/b/k", b"v")).fields["dynkv-context"]
        other = (await client.ask("PUT", "/kv/b/other", b"v")).fields["dynkv-context"]
        elsewhere = (await client.ask("PUT", "/kv/b2/k", b"v")).fields["dynkv-context"]
        writes = len(node.coordinator.writes)
        damaged = good[:-2] + ("AA" if good[-2:] != "AA" else "BB")
        for token in (other, elsewhere, damaged, good[:-1], good + "A", "x", "!", "é", "A" * 5000):
            for method, body in (("PUT", b"new"), ("DELETE", None)):
                bad = await client.ask(method, "/kv/b/k", body, {"Dynkv-Context": token})
                assert (bad.status, bad.kind) == (400, "bad-context"), token
                assert bad.json()["outcome"] == "not_applied"
                assert bad.json()["field"] == "Dynkv-Context"
        assert len(node.coordinator.writes) == writes
        assert (await client.ask("GET", "/kv/b/k")).body == b"v"
        assert SECRET not in bad.body

    play(story)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("r=0", "r"),
        ("r=4", "r"),
        ("r=x", "r"),
        ("r=", "r"),
        ("w=-1", "w"),
        ("w=1.5", "w"),
        ("pr=9", "pr"),
        ("r=1&pr=2", "pr"),
        ("pw=none", "pw"),
        ("timeout=0", "timeout"),
        ("timeout=1e3", "timeout"),
        ("timeout=999999", "timeout"),
        ("sloppy=maybe", "sloppy"),
        ("explain=1", "explain"),
        ("nope=1", "nope"),
        ("r=1&r=2", "r"),
        ("R=1", "R"),
        ("r", "r"),
    ],
)
def test_bad_parameters_are_named(query: str, field: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for method, body in (("GET", None), ("PUT", b"v"), ("DELETE", None)):
            bad = await client.ask(method, f"/kv/b/k?{query}", body)
            assert (bad.status, bad.kind) == (400, "bad-parameter")
            assert bad.json()["field"] == field
            assert field in bad.json()["detail"]
            assert bad.json()["limit"]
        assert node.coordinator.entered == 0

    play(story)


def test_levels_reach_the_coordinator() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("GET", "/kv/b/k?r=one&pr=1&timeout=250&sloppy=false")
        await client.ask("PUT", "/kv/b/k?w=all&pw=quorum", b"")
        read, write = node.coordinator.levels
        assert (read.r, read.pr, read.timeout_ms, read.sloppy) == (1, 1, 250, False)
        assert (write.w, write.pw, write.sloppy) == (3, 2, True)
        assert node.coordinator.writes[0].value == b""

    play(story)


@pytest.mark.parametrize(
    "fields",
    [
        {"Idempotency-Key": "x" * 65},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "a b"},
        {"Idempotency-Key": "é"},
        {"Content-Type": "x" * 256},
        {"Content-Type": "text/é"},
        {"If-Match": "*"},
        {"If-None-Match": "*"},
    ],
)
def test_bad_fields_are_named(fields: dict[str, str]) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        bad = await client.ask("PUT", "/kv/b/k", b"v", fields)
        assert (bad.status, bad.kind, bad.json()["field"]) == (400, "bad-parameter", next(iter(fields)))
        assert node.coordinator.writes == []

    play(story)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("name", ["Idempotency-Key", "Dynkv-Context"])
def test_a_field_that_may_be_there_once_is_refused_twice(name: str, method: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        fields = f"Host: h\r\n{name}: one\r\n{name.lower()}: two\r\nContent-Length: 0\r\n"
        await client.send(f"{method} /kv/b/k HTTP/1.1\r\n{fields}\r\n".encode())
        bad = await client.answer()
        assert (bad.status, bad.kind, bad.json()["field"]) == (400, "bad-parameter", name)
        assert bad.json()["limit"] == "at most once"
        assert node.coordinator.writes == []

    play(story)


def test_write_ids_are_the_clients_or_ours() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("PUT", "/kv/b/k", b"v", {"Idempotency-Key": "x" * 64})
        for _ in range(2):
            await client.ask("PUT", "/kv/b/k", b"v")
        ids = [write.write_id for write in node.coordinator.writes]
        assert ids[0] == b"x" * 64
        assert len(set(ids)) == 3
        assert all(16 < len(one) <= 64 for one in ids[1:])

    play(story)


def test_an_unmet_quorum_says_all_that_is_known() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        unmet = QuorumUnmet(
            "1 of 2", outcome="ambiguous", needed={"w": 2}, got={"w": 1}, replicas={"n1": "ok", "n2": "timed out"}
        )
        node.coordinator.error = unmet
        answer = await client.ask("PUT", "/kv/b/k", b"v", {"Idempotency-Key": "mine"})
        assert (answer.status, answer.kind) == (503, "quorum-unmet")
        assert answer.fields["retry-after"] == "1"
        assert answer.fields["dynkv-outcome"] == "ambiguous"
        told = answer.json()
        assert told["outcome"] == "ambiguous"
        assert told["idempotency_key"] == "mine"
        assert (told["needed"], told["got"]) == ({"w": 2}, {"w": 1})
        assert told["replicas"] == {"n1": "ok", "n2": "timed out"}
        unmet.outcome = None
        read = await client.ask("GET", "/kv/b/k?explain=true")
        assert (read.status, read.kind) == (503, "quorum-unmet")
        assert "outcome" not in read.json()
        assert "dynkv-outcome" not in read.fields
        assert read.json()["events"] == [{"at_ms": 1.0, "node": "n1", "what": "asked"}]

    play(story)


@pytest.mark.parametrize(
    ("error", "status", "kind", "outcome"),
    [
        (TooManySiblings("key", "has 100 siblings", "100"), 409, "too-many-siblings", "not_applied"),
        (Overloaded("full", outcome="not_applied"), 503, "overloaded", "not_applied"),
        (StoreReadOnly("no space"), 503, "disk", "not_applied"),
        (StoreWriteFailed("EIO"), 503, "disk", "ambiguous"),
    ],
)
def test_errors_of_writes_have_an_outcome(error: Exception, status: int, kind: str, outcome: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.error = error
        answer = await client.ask("PUT", "/kv/b/k", b"v")
        assert (answer.status, answer.kind, answer.json()["outcome"]) == (status, kind, outcome)
        assert answer.fields["dynkv-outcome"] == outcome
        # The connection outlives every one of these.
        node.coordinator.error = None
        assert (await client.ask("PUT", "/kv/b/k", b"v")).status == 204

    play(story)


def test_get_and_delete_take_no_body() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for method in ("GET", "HEAD", "DELETE"):
            assert (await ask(node.port, method, "/kv/b/k", b"body")).status == 400
            assert (await client.ask(method, "/kv/b/k", b"")).status in (204, 404)

    play(story)
