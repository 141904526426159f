"""Listings of real nodes: whole while members die and stand still, through any node, in memory that does not grow."""

import http.client
import json
import re
import signal
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tests.cluster.processes import Cluster, Node
from tests.support import eventually

BUCKET = "b"
BATCH = {"Content-Type": "application/json"}
MEMORY_MB_MAX = 40


def batch(node: Node, operations: Sequence[dict[str, object]]) -> None:
    """All of them, or the test fails."""
    reply = node.http.request("POST", "/batch?timeout=30000", json.dumps({"operations": operations}).encode(), BATCH)
    assert reply.ok, reply
    bad = [one for one in reply.json()["results"] if one["status"] != 204]
    assert not bad, bad[:3]


def fill(node: Node, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        batch(node, [{"op": "put", "bucket": BUCKET, "key": key, "value": {"text": "v"}} for key in some])


def listed(node: Node, query: str = "") -> tuple[list[str], dict[str, object]]:
    """Keys, and what the end says."""
    reply = node.http.request("GET", f"/kv/{BUCKET}{query}")
    assert reply.ok, reply
    told = reply.json()
    return told.pop("keys"), told


def lines(node: Node) -> Generator[bytes]:
    """The lines of a listing as they come."""
    with closing(http.client.HTTPConnection(node.address, timeout=30)) as connection:
        connection.request("GET", f"/kv/{BUCKET}", headers={"Accept": "application/x-ndjson"})
        with closing(connection.getresponse()) as response:
            assert response.status == 200
            yield from response


def memory_mb(node: Node) -> int:
    assert node.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{node.process.pid}/status").read_text())
    assert found
    return int(found[1]) // 1024


def test_every_key_once_whoever_dies_or_stands_still(cluster: Cluster) -> None:
    one, two, three = cluster.nodes
    keys = [f"k{number:05}" for number in range(6_000)]
    fill(one, keys)
    batch(two, [{"op": "delete", "bucket": BUCKET, "key": key} for key in keys[:500]])
    del keys[:500]
    whole = {"bucket": BUCKET, "count": len(keys), "complete": True, "missing": [], "cursor": None}
    for node in cluster.nodes:
        found, told = listed(node)
        assert sorted(found) == keys
        assert told == whole

    # One dies in the middle of a listing, and stays away; one stands still in the middle of another.
    for strike in (signal.SIGKILL, signal.SIGSTOP):
        stream = lines(one)
        head = [next(stream) for _ in range(100)]
        three.signal(strike)
        *rest, end = stream
        assert sorted(json.loads(line)["key"] for line in (*head, *rest)) == keys
        assert json.loads(end)["complete"] is True
        three.end()
        three.start()
        three.wait_ready()

    # A cursor goes on at another node, and at one that was not there when it was given.
    found, told = listed(one, "?limit=2000")
    cursor = told["cursor"]
    two.kill()
    more, told = listed(three, f"?limit=2000&cursor={cursor}")
    two.start()
    two.wait_ready()
    last, told = listed(two, f"?cursor={told['cursor']}")
    assert told["cursor"] is None
    assert sorted(found + more + last) == keys

    # Too few are left: no empty list, and an answer soon.
    two.kill()
    three.kill()
    eventually(lambda: one.http.request("GET", f"/kv/{BUCKET}?timeout=1000").status == 503, what="nothing is listed")
    problem = one.http.request("GET", f"/kv/{BUCKET}").json()
    assert problem["type"] == "urn:dynkv:problem:quorum-unmet"
    assert problem["replicas"] == {"n2": "unreachable", "n3": "unreachable"}
    assert len(listed(one, "?r=1")[0]) >= len(keys), "one that missed a delete may say more, and not less"


def test_a_listing_larger_than_its_memory(cluster: Cluster) -> None:
    """45 MB of keys, 135 MB of JSON: neither the node that lists nor those it asks hold more than a part of it."""
    node = cluster.nodes[0]
    tail = "%FF" * 1_500
    keys = [f"{number:06}{tail}" for number in range(30_000)]
    fill(node, keys)
    before = [memory_mb(one) for one in cluster.nodes]
    most = list(before)
    count = 0
    line = b""
    for line in lines(node):  # noqa: B007 - the last one is looked at below
        count += 1
        if count % 1_000 == 0:
            most = [max(pair) for pair in zip(most, map(memory_mb, cluster.nodes), strict=True)]
    assert count == len(keys) + 1
    end = json.loads(line)
    assert (end["count"], end["complete"]) == (len(keys), True)
    assert all(most[n] - before[n] <= MEMORY_MB_MAX for n in range(3)), (before, most)
    with closing(lines(node)) as again:
        assert unquote_to_bytes(json.loads(next(again))["key"]).endswith(b"\xff" * 1_500)
