"""Sessions across real nodes that are killed and paused, each request of a session to another node."""

import asyncio
import random
import signal
import subprocess
from typing import Any

from dynkv import AsyncClient
from dynkv.chaos.rules import Set
from tests.cluster.healing import metric
from tests.cluster.http_client import Http
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.views import wait_no_hints, wait_state
from tests.cluster.visitors import BUCKET, KEYS, Visitors
from tests.support import eventually, eventually_async
from tests.unit.session_told import TellTale, Told

# Between nodes, each way: a replica is behind for long enough to be met by the next request.
DELAY_MS, JITTER_MS = 10, 20


def test_no_guarantee_is_broken_while_nodes_are_killed_and_paused(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(proxied=True).start()
    assert cluster.network is not None
    cluster.network.obey(Set("all", delay_ms=DELAY_MS, jitter_ms=JITTER_MS))
    n1, n2, n3 = cluster.nodes
    with Visitors(cluster.nodes) as visitors:
        visitors.run(400)
        n2.kill()
        visitors.run(400)
        n2.start()
        n2.wait_ready()
        visitors.run(200)
        n3.signal(signal.SIGSTOP)
        for node in (n1, n2):
            wait_state(node, n3, up=False)
        visitors.run(400)
        n3.signal(signal.SIGCONT)
        visitors.run(200)
        n1.kill()
        visitors.run(200)
        n1.start()
        n1.wait_ready()
        visitors.run(200)
        counts = visitors.counts
        assert not visitors.violations
    print(counts)
    assert visitors.violations == []
    assert counts["written"] > 500, counts
    assert visitors.refused == [], "what a quorum holds is found, whoever is away"
    assert sum(metric(node, "dynkv_session_searches_total") for node in cluster.nodes) > 0
    wait_no_hints(cluster)
    for key in KEYS:
        shown = [node.http.get(BUCKET, key, r=3).values() for node in cluster.nodes]
        assert shown[0] == shown[1] == shown[2]
        visitors.told[key].check(key, shown[0])


def test_through_the_client_nothing_fails_while_a_node_dies(cluster: Cluster) -> None:
    """Eight sessions of the client, which routes each key to a primary of its own and tries again elsewhere."""
    told = {key: Told() for key in KEYS}
    dots: dict[bytes, str] = {}
    count = 0

    async def visit(client: AsyncClient, name: str, stop: asyncio.Event) -> None:
        nonlocal count
        chance, tale = random.Random(name), TellTale()
        async with client.session() as session:
            while not stop.is_set():
                key = chance.choice(KEYS)
                entry = await session.get(BUCKET, key, resolve="keep")
                for sibling in entry.siblings:  # a write that was tried twice has two dots
                    if sibling.dot and dots.get(sibling.data, sibling.dot) != sibling.dot:
                        told[key].repeats(sibling.data)
                known = tale.is_shown(told[key], key, [sibling.data for sibling in entry.siblings])
                value = f"{name}/{count}".encode()
                seen, context = (known, entry.context) if chance.random() < 0.6 else (frozenset[bytes](), None)
                told[key].writes(value, seen | tale.wrote.get(key, frozenset()), tale.seen[key])
                receipt = await session.put(BUCKET, key, value, context, content_type="text/plain")
                dots[value] = receipt.dot
                tale.has_written(key, value)
                count += 1

    async def main() -> None:
        stop = asyncio.Event()
        goal = 0

        async def reached() -> bool:
            return count >= goal or any(task.done() for task in visits)

        async def more(writes: int) -> None:
            nonlocal goal
            goal = count + writes
            await eventually_async(reached, 30.0, f"{goal} writes")

        async with AsyncClient([node.address for node in cluster.nodes]) as client:
            visits = [asyncio.ensure_future(visit(client, f"s{i}", stop)) for i in range(8)]
            await more(300)
            await asyncio.to_thread(cluster.nodes[1].kill)
            await more(300)
            cluster.nodes[1].start()
            await more(300)
            stop.set()
            await asyncio.gather(*visits)

    asyncio.run(main())
    assert count >= 900


def test_a_lone_node_says_what_it_cannot_keep_and_waits_if_asked(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    n3.kill()
    written = n1.http.request("PUT", f"/kv/{BUCKET}/k", b"mine", {"Dynkv-Session": "new"})
    assert written.status == 204
    session = {"Dynkv-Session": written.headers["dynkv-session"]}
    n1.kill()
    n2.kill()
    n3.start()
    n3.wait_ready()
    behind = n3.http.request("GET", f"/kv/{BUCKET}/k", None, session, {"r": 1, "timeout": 1000})
    assert behind.status == 503
    problem = behind.json()
    assert problem["type"] == "urn:dynkv:problem:session-behind"
    assert problem["guarantee"] == "read-your-writes"
    assert {"n1", "n2"} <= problem["replicas"].keys()
    assert "dynkv-session" not in behind.headers
    refused = n3.http.request("PUT", f"/kv/{BUCKET}/k", b"next", session, {"w": 1, "timeout": 1000})
    assert (refused.status, refused.headers["dynkv-outcome"]) == (503, "not_applied")
    without = n3.http.request("GET", f"/kv/{BUCKET}/k", None, {}, {"r": 1})
    assert without.status == 404, "who is in no session is told what this replica knows"
    n2.start()
    waited = n3.http.request("GET", f"/kv/{BUCKET}/k", None, session, {"r": 1, "session_wait": 8000, "timeout": 9000})
    assert (waited.status, waited.body) == (200, b"mine")


def test_the_token_goes_to_another_process(cluster: Cluster, make_cluster: ClusterMaker) -> None:
    """curl writes, curl reads elsewhere, and another cluster knows no such session."""
    n1, n2, n3 = cluster.nodes
    written = _curl(n1, "-X", "PUT", "-d", "by curl", "-H", "Dynkv-Session: new")
    token = _field(written, "dynkv-session")
    for node in (n2, n3):
        read = _curl(node, "-H", f"Dynkv-Session: {token}", query="?r=1")
        assert read.endswith("\r\n\r\nby curl"), read
        assert _field(read, "dynkv-session")
    assert _curl(n2, "-H", f"Dynkv-Session: {token[:-2]}").startswith("HTTP/1.1 400")
    foreign = make_cluster(1, options=("--n=1", "--r=1", "--w=1"))
    foreign.nodes[0].environment = {"DYNKV_SECRET": "another secret of the cluster tests"}
    foreign.start()
    assert foreign.nodes[0].http.request("GET", "/kv/b/k", None, {"Dynkv-Session": token}).status == 400


def test_receipts(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    n3.kill()
    eventually(lambda: n1.get("/nodes")["nodes"][2]["state"] != "up", what="n1 knows that n3 is down")
    written = n1.http.request("PUT", f"/kv/{BUCKET}/k", b"v")
    dot = written.headers["dynkv-dot"]
    for node in (n1, n2):
        now = _receipt(node.http, dot)
        assert (sorted(now["have"]), now["lack"], list(now["unknown"])) == (["n1", "n2"], [], ["n3"])
        assert not now["replicated"]
    assert _receipt(n2.http, dot, wait_for=2, wait=1000)["replicated"]
    assert not _receipt(n2.http, dot, wait=200)["replicated"]
    n3.start()
    everywhere = _receipt(n2.http, dot, wait=8000)
    assert everywhere["replicated"]
    assert sorted(everywhere["have"]) == ["n1", "n2", "n3"]
    n3.wait_ready()
    assert _receipt(n3.http, dot)["replicated"]


def _receipt(client: Http, dot: str, **query: object) -> Any:
    reply = client.request("GET", f"/kv/{BUCKET}/k", query={"receipt": dot, **query})
    assert reply.status == 200, reply
    return reply.json()


def _curl(node: Node, *options: str, query: str = "") -> str:
    command = ["curl", "-s", "-i", "--max-time", "5", *options, f"http://{node.address}/kv/{BUCKET}/k{query}"]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode()


def _field(answer: str, name: str) -> str:
    head = answer.partition("\r\n\r\n")[0]
    return next(line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith(f"{name}:"))
