"""`?replicas=true` over HTTP: what is said of whom, and what makes no sense beside it."""

import json

import pytest

from dynkv.core import record as records
from dynkv.core.errors import NotFormed
from dynkv.core.plan import Plan
from dynkv.core.whereabouts import Told, compare
from tests.unit.http_node import ACTOR, TIME, HttpNode, play
from tests.unit.http_raw import RawClient

PLAN = Plan(3, ("n1", "n2"), ("n3",))
DELETED = records.put(None, (), ACTOR, TIME, None, "", b"w")
BOTH = records.put(DELETED, (), 0xB2, TIME, b"secret", "text/plain", b"x")


def test_it_is_described_without_its_values() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        held = {"n1": Told(records.encode(BOTH)), "n2": Told(records.encode(DELETED), "", "it is being refilled")}
        node.view.whereabouts = compare(PLAN, held | {"n3": Told(None, "unreachable", "timed out")})
        said = await client.ask("GET", "/kv/b/a%2F%FF?replicas=true&timeout=250")
        assert said.status == 200
        assert said.fields["content-type"] == "application/json"
        assert b"secret" not in said.body
        told = json.loads(said.body)
        replicas = told.pop("replicas")
        assert told == {
            "bucket": "b",
            "key": "a%2F%FF",
            "partition": 3,
            "primaries": ["n1", "n2"],
            "digest": records.digest(records.encode(BOTH)).hex(),
            "tombstone": None,
        }
        assert node.view.asked_where == [("b", b"a/\xff", 0.25)]
        assert node.coordinator.entered == 0
        deletion = {
            "dot": "00000000000000a1-1",
            "time": "2027-01-15T08:00:00.000Z",
            "deleted": True,
            "content_type": "application/octet-stream",
            "bytes": None,
        }
        assert replicas[1] == {
            "node": "n2",
            "role": "primary",
            "state": "behind",
            "digest": records.digest(records.encode(DELETED)).hex(),
            "vector": [["00000000000000a1", 1]],
            "siblings": [deletion],
            "why": "it is being refilled",
        }
        assert [(one["node"], one["role"], one["state"]) for one in replicas] == [
            ("n1", "primary", "same"),
            ("n2", "primary", "behind"),
            ("n3", "fallback", "unreachable"),
        ]
        assert replicas[0]["siblings"][1]["bytes"] == 6
        assert (replicas[2]["digest"], replicas[2]["vector"], replicas[2]["siblings"]) == (None, [], [])

    play(story)


def test_a_key_that_nobody_holds_and_one_whose_tombstone_stays() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        told = json.loads((await client.ask("GET", "/kv/b/k?replicas=true")).body)
        assert told["digest"] is None
        assert [one["state"] for one in told["replicas"]] == ["absent"]
        assert node.view.asked_where == [("b", b"k", 5.0)]
        node.view.whereabouts = node.view.whereabouts._replace(tombstone="grace: 3 h left")
        told = json.loads((await client.ask("GET", "/kv/b/k?replicas=true")).body)
        assert told["tombstone"] == "grace: 3 h left"
        head = await client.ask("HEAD", "/kv/b/k?replicas=true")
        assert (head.status, head.body) == (200, b"")

    play(story)


@pytest.mark.parametrize(
    "query",
    [
        "replicas=true&r=2",
        "replicas=true&pr=1",
        "replicas=true&w=1",
        "replicas=true&sloppy=false",
        "replicas=true&explain=true",
        "replicas=1",
        "replicas",
        "replicas=true&replicas=true",
        "replicas=true&timeout=0",
        "replicas=true&unknown=1",
        "replicass=true",
    ],
)
def test_what_makes_no_sense_beside_it_is_refused(query: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        said = await client.ask("GET", f"/kv/b/k?{query}")
        assert (said.status, said.kind) == (400, "bad-parameter")
        assert not node.view.asked_where
        assert not node.coordinator.entered

    play(story)


def test_false_is_an_ordinary_read_and_writes_do_not_know_it() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("PUT", "/kv/b/k", b"v")
        assert (await client.ask("GET", "/kv/b/k?replicas=false&r=1")).body == b"v"
        assert node.coordinator.levels[-1].r == 1
        assert (await client.ask("GET", "/kv/b/k?replicas=false")).body == b"v"
        for method in ("PUT", "DELETE"):
            assert (await client.ask(method, "/kv/b/k?replicas=true")).status == 400
        assert not node.view.asked_where

    play(story)


def test_a_node_that_cannot_say_says_so() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.error = NotFormed("the cluster is not formed yet")
        said = await client.ask("GET", "/kv/b/k?replicas=true")
        assert (said.status, said.kind) == (503, "not-formed")
        assert "retry-after" in said.fields

    play(story)
