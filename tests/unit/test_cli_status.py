"""`dynkv status`: a cluster as its nodes tell it, one of them silent."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from dynkv.cli import cluster_view
from dynkv.cli.exit_codes import Exit
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Asked, Said, Stub

METRICS = (
    b'# HELP x y\ndynkv_reads_total %d.0\ndynkv_writes_total 7.0\ndynkv_resident_memory_bytes 5.24288e+07\nx{a="b"} 1\n'
)


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def telling(
    name: str, nodes: Callable[[], list[dict[str, Any]]], owed: dict[str, Any], ready: Said
) -> Callable[[Asked], Said]:
    """A node that answers what `dynkv status` asks."""
    scrapes = iter(range(0, 10_000, 100))

    def answer(asked: Asked) -> Said:
        if asked.path == "/metrics":
            return Said(200, METRICS % next(scrapes))
        if asked.path == "/health/ready":
            return ready
        value = {"/nodes": {"node": name, "nodes": nodes()}, "/hints": {"node": name, "targets": owed, "paid": 3}}
        return Said(200, json.dumps(value[asked.path]).encode())

    return answer


def row(name: str, http: str | None, state: str) -> dict[str, Any]:
    return {"id": name, "http": http, "peer": "p", "state": state}


def test_a_silent_node_is_seen_through_the_others(dynkv: Terminal) -> None:
    owed = {"n3": {"count": 4, "bytes": 400, "oldest_age_s": 9.5}}
    targets: dict[str, str] = {}

    def seen_by(name: str) -> Callable[[], list[dict[str, Any]]]:
        states = {"n1": "up", "n2": "up", "n3": "suspected"} | {name: "self"}
        return lambda: [row(node, targets[node], state) for node, state in states.items()]

    with ExitStack() as stack:
        n1 = stack.enter_context(Stub(telling("n1", seen_by("n1"), owed, Said(200))))
        n2 = stack.enter_context(Stub(telling("n2", seen_by("n2"), owed, Said(200))))
        n3 = stack.enter_context(Stub(lambda asked: Said(0)))
        targets |= {"n1": n1.target, "n2": n2.target, "n3": n3.target}
        view = cluster_view.look(n1.url, 0.05)
        text = dynkv("status", "--url", n1.url, "--interval", "0.05")
    assert not view["healthy"]
    assert view["asked"] == "n1"
    one, two, three = view["nodes"]
    assert (one["state"], one["suspected_by"], one["hints_owed"]["count"]) == ("up", [], 0)
    assert one["load"]["reads_per_s"] > 0
    assert (one["load"]["writes_per_s"], one["load"]["memory_bytes"]) == (0, 50 * 2**20)
    assert two["state"] == "up"
    assert (three["state"], three["suspected_by"], three["load"]) == ("no answer", ["n1", "n2"], None)
    assert three["hints_owed"] == {"count": 8, "bytes": 800, "oldest_age_s": 9.5}
    assert text.code == Exit.NO
    assert "n1, n2" in text.out.decode()


def test_a_healthy_cluster(dynkv: Terminal) -> None:
    target: list[str] = []
    with Stub(telling("n1", lambda: [row("n1", target[0], "self")], {}, Said(200))) as stub:
        target.append(stub.target)
        done = dynkv("status", "--url", stub.url, "--interval", "0.05", "-o", "json")
    assert done.code == Exit.OK
    assert json.loads(done.out)["healthy"]


def test_a_node_that_is_not_ready_says_why(dynkv: Terminal) -> None:
    reasons = Said(503, json.dumps({"ready": False, "reasons": ["the disk is full"]}).encode())
    target: list[str] = []
    with Stub(telling("n1", lambda: [row("n1", target[0], "self"), row("n2", None, "unheard")], {}, reasons)) as stub:
        target.append(stub.target)
        done = dynkv("status", "--url", stub.url, "--interval", "0.05")
    assert done.code == Exit.NO
    assert "n1 is not ready: the disk is full" in done.out.decode()
    assert "n2 does not answer; n1 sees it as unheard" in done.out.decode()


def test_what_is_not_dynkv_is_told(dynkv: Terminal) -> None:
    for said in (Said(200, b"<html>"), Said(404, b"{}"), Said(200, b"[]")):
        with Stub(lambda asked, said=said: said) as stub:  # type: ignore[misc]  # a lambda's default has no type
            assert dynkv("status", "--url", stub.url).code == Exit.UNREACHABLE
