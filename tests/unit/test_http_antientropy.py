"""/antientropy: the cluster as JSON, one partition, one node, and having replicas compared now."""

import msgspec
import pytest

from dynkv.core.errors import NotFormed
from dynkv.core.overview_rows import Overview
from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import RawClient
from tests.unit.surveys import Told


def test_the_whole_cluster() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("GET", "/antientropy")
        assert answer.status == 200
        assert msgspec.json.decode(answer.body, type=Overview) == node.view.told.overview()
        assert answer.json()["verdict"]["text"] == "All replicas agree as of 58 s ago"
        assert (await client.ask("HEAD", "/antientropy")).body == b""

    play(story)


def test_one_partition() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.told = Told(5, 8)
        a, b = sorted(node.view.told.facts.preference[3][:2])
        node.view.told.apart(3, a, b, 2, [5, 900])
        found = (await client.ask("GET", "/antientropy?partition=3")).json()
        assert found["partition"] == 3
        assert found["preference"] == list(node.view.told.facts.preference[3])
        assert found["primaries"] == found["preference"][:3]
        assert [pair["partition"] for pair in found["pairs"]] == [3] * 3
        assert [(row["leaves"], row["total"]) for row in found["leaves"]] == [([5, 900], 2)]
        assert {row["partition"] for row in found["log"]} == {3}

    play(story)


def test_one_node_with_names_and_reasons() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.told.unknown("n1", "trees of n3 are being rebuilt", lambda a, b: b == "n3")
        looks = node.view.looks
        found = (await client.ask("GET", "/antientropy?scope=node")).json()
        assert node.view.looks == looks, "nobody is asked"
        assert (found["node"], found["load"]["reads_per_s"]) == ("n1", 410.5)
        assert "whys" not in found
        assert {(pair["peer"], pair["state"], pair["why"]) for pair in found["pairs"]} == {
            ("n3", "unknown", "trees of n3 are being rebuilt"),
            ("n2", "in_step", ""),
        }

    play(story)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("/antientropy/run", (None, None)),
        ("/antientropy/run?partition=1", (1, None)),
        ("/antientropy/run?node=n2", (None, "n2")),
        ("/antientropy/run?node=n2&partition=0", (0, "n2")),
    ],
)
def test_compare_now(target: str, what: object) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("POST", target, b"", {"Sec-Fetch-Site": "same-origin"})
        assert (answer.status, answer.json()) == (200, {"n1": 2, "n2": 1, "n3": None})
        assert (await client.ask("POST", target)).status == 200
        assert node.view.runs == [what] * 2

    play(story)


@pytest.mark.parametrize(
    ("method", "target", "status", "says"),
    [
        ("GET", "/antientropy?partition=2", 400, "0..1"),
        ("GET", "/antientropy?partition=-1", 400, "0..1"),
        ("GET", "/antientropy?partition=", 400, "0..1"),
        ("GET", "/antientropy?partition=%D9%A1", 400, "0..1"),
        ("GET", "/antientropy?partition=1&partition=1", 400, "once"),
        ("GET", "/antientropy?scope=cluster", 400, "node"),
        ("GET", "/antientropy?scope=node&partition=1", 400, "either"),
        ("GET", "/antientropy?node=n1", 400, "partition, scope"),
        ("GET", "/antientropy/", 404, ""),
        ("GET", "/antientropy/run", 405, ""),
        ("PUT", "/antientropy", 405, ""),
        ("POST", "/antientropy", 405, ""),
        ("POST", "/antientropy/run?node=n9", 400, "n1, n2, n3"),
        ("POST", "/antientropy/run?partition=2", 400, "0..1"),
        ("POST", "/antientropy/run?scope=node", 400, "partition, node"),
    ],
)
def test_what_is_refused(method: str, target: str, status: int, says: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask(method, target)
        assert (answer.status, answer.json().get("limit", "")) == (status, says)
        assert answer.kind
        assert not node.view.runs

    play(story)


def test_a_page_of_another_site_may_not_ask_for_it() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for site in ("cross-site", "same-site", "x"):
            answer = await client.ask("POST", "/antientropy/run", b"", {"Sec-Fetch-Site": site})
            assert (answer.status, answer.kind) == (400, "bad-parameter")
        assert (await client.ask("POST", "/antientropy/run", b"x")).status == 400
        assert not node.view.runs

    play(story)


def test_a_cluster_that_is_not_formed() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.error = NotFormed("never heard of n2")
        answer = await client.ask("GET", "/antientropy")
        assert (answer.status, answer.kind) == (503, "not-formed")

    play(story)
