"""Typed values on real nodes under load, one of which dies in mid-write and comes back: every write counts once."""

import asyncio
import http.client
import itertools
import json
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dynkv import AsyncClient
from dynkv.core.types.lineage import RECENT
from tests.cluster.http_client import Http, Reply
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.test_client_kill import Workers, restarted
from tests.cluster.views import wait_no_hints, wait_state
from tests.support import eventually

COUNTERS = 2  # few, so that far more updates than a state can tell apart go by while a node is away
JSON = {"Content-Type": "application/json"}
PATIENCE_S = 60.0


class Crowd:
    """Clients that do each update until it is applied, under one write id, at one node after the other.

    `hasty` ones do not wait long for an answer before they repeat a write elsewhere.
    """

    def __init__(self, nodes: Sequence[Node], *, each: int = 2, hasty: int = 1) -> None:
        self.increments = [0] * COUNTERS
        self.elements: set[str] = set()
        self.repeated = 0
        self.faults: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._workers = [
            threading.Thread(
                target=self._work, args=(nodes[i:] + nodes[:i], f"{nodes[i].name}-{j}", 0.02 if j < hasty else 5.0)
            )
            for nodes in (list(nodes),)
            for i in range(len(nodes))
            for j in range(each)
        ]

    def __enter__(self) -> "Crowd":
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(PATIENCE_S)
            assert not worker.is_alive(), f"{worker.name} hangs"

    def run_for(self, more: int) -> None:
        """Let them do so many more increments."""
        goal = sum(self.increments) + more
        eventually(lambda: sum(self.increments) >= goal or self.faults, PATIENCE_S, f"{goal} increments")
        assert not self.faults

    def _work(self, nodes: Sequence[Node], name: str, timeout_s: float) -> None:
        clients = [Http(node.address, timeout_s) for node in nodes]
        try:
            for count in itertools.count():
                if self._stop.wait(0.001):
                    return
                counter = count % COUNTERS
                by = count % 3 + 1
                self._until_applied(clients, f"counter/b/c{counter}", {"increment": by}, f"{name}-c{count}")
                with self._lock:
                    self.increments[counter] += by
                if count % 5 == 0:
                    self._add_and_remove(clients, f"{name}-{count}")
        except Exception as error:
            self.faults.append(repr(error))
            raise
        finally:
            for client in clients:
                client.close_all()

    def _add_and_remove(self, clients: Sequence[Http], element: str) -> None:
        """Add two elements and remove one of them, seen at one node, through another."""
        said = {"add": [f"{element}-stays", f"{element}-goes"]}
        self._until_applied(clients, "set/b/s", said, f"{element}-a")
        seen = self._until(
            clients, lambda client: client.request("GET", "/types/set/b/s"), lambda reply: reply.status == 200
        )
        assert set(said["add"]) <= set(seen.json()["value"])
        elsewhere = [*clients[1:], clients[0]]
        self._until_applied(elsewhere, "set/b/s", {"remove": [f"{element}-goes"]}, f"{element}-r", seen.context)
        with self._lock:
            self.elements.add(f"{element}-stays")

    def _until_applied(
        self, clients: Sequence[Http], target: str, said: dict[str, Any], write_id: str, context: str | None = None
    ) -> None:
        attempts = itertools.count(1)
        fields = JSON | {"Idempotency-Key": write_id} | ({"Dynkv-Context": context} if context else {})

        def post(client: Http) -> Reply:
            attempt = next(attempts)
            self.repeated += attempt > 1
            said_fields = fields | {"Dynkv-Attempt": str(attempt)}
            return client.request("POST", f"/types/{target}", json.dumps(said).encode(), said_fields)

        def applied(reply: Reply) -> bool:
            assert reply.ok or reply.status == 503, reply
            return reply.ok

        self._until(clients, post, applied)

    def _until(self, clients: Sequence[Http], ask: Callable[[Http], Reply], good: Callable[[Reply], bool]) -> Reply:
        """Ask one after the other, round and round."""
        turn = itertools.cycle(clients)

        def asked() -> Reply | None:
            try:
                reply = ask(next(turn))
            except (OSError, http.client.HTTPException):
                return None
            return reply if good(reply) else None

        reply = eventually(asked, PATIENCE_S, "some node does it")
        assert reply is not None
        return reply


def shown(node: Node, target: str, **levels: object) -> Any:
    """The value, by a connection that is not older than the node's process."""
    client = Http(node.address)
    reply = client.request("GET", f"/types/{target}", query=levels)
    client.close_all()
    assert reply.ok, reply
    return reply.json()["value"]


def test_no_increment_is_lost_or_counted_twice_while_a_node_dies_and_comes_back(cluster: Cluster) -> None:
    n2 = cluster["n2"]
    with Crowd(cluster.nodes) as crowd:
        crowd.run_for(300)
        for _ in range(2):
            n2.kill()
            crowd.run_for(1200)
            n2.start()
            n2.wait_ready()
            crowd.run_for(300)
    assert crowd.faults == []
    assert crowd.repeated > 20, "nothing was repeated, so nothing was shown"
    wait_no_hints(cluster)

    def agree() -> bool:
        for node in cluster.nodes:
            for counter, total in enumerate(crowd.increments):
                assert shown(node, f"counter/b/c{counter}", r=1) == total, node.name
            assert set(shown(node, "set/b/s", r=1)) == crowd.elements, node.name
        return True

    # A read of all replicas shows it at once; one replica alone when it has heard of everything.
    for counter, total in enumerate(crowd.increments):
        assert shown(n2, f"counter/b/c{counter}", r=3) == total
    eventually(agree, PATIENCE_S, "each node shows it by itself")


# --- an increment that nobody else has heard of -----------------------------------------------------------------------

MANY = 2 * RECENT  # more than a state can tell apart, but for those that it has reason to


def increment(node: Node, by: int, write_id: str = "", attempt: int = 1, **levels: object) -> Reply:
    fields = JSON | {"Dynkv-Attempt": str(attempt)} | ({"Idempotency-Key": write_id} if write_id else {})
    return node.http.request("POST", "/types/counter/b/k", json.dumps({"increment": by}).encode(), fields, levels)


def left_alone_with_an_increment(make_cluster: ClusterMaker) -> Cluster:
    """n2 has it on its disk, cut off from all others; its client was told that it is open what became of it."""
    cluster = make_cluster(proxied=True).start()
    n2 = cluster["n2"]
    assert cluster.network is not None
    assert increment(n2, 1, w=3).ok
    cluster.network.cut("n2")
    alone = increment(n2, 1_000_000, "alone", timeout=500)
    assert (alone.status, alone.json()["outcome"]) == (503, "ambiguous")
    return cluster


def all_show(cluster: Cluster, total: int) -> None:
    assert cluster.network is not None
    cluster.network.heal()
    for node in cluster.nodes:
        for other in cluster.nodes:
            if other is not node:
                wait_state(node, other, up=True)
    wait_no_hints(cluster)
    assert [shown(node, "counter/b/k", r=3) for node in cluster.nodes] == [total] * 3


@pytest.mark.parametrize(("attempt", "counted"), [(2, 1), (1, 2)], ids=["said to be repeated", "not said"])
def test_an_increment_that_a_node_died_with_counts_once_if_its_repetition_says_what_it_is(
    make_cluster: ClusterMaker, attempt: int, counted: int
) -> None:
    """Not said, it is the window that the text of `core.types` leaves open: it shows what the rule is for."""
    cluster = left_alone_with_an_increment(make_cluster)
    n1, n2, _ = cluster.nodes
    n2.kill()
    assert increment(n1, 1_000_000, "alone", attempt).ok
    for _ in range(MANY):
        assert increment(n1, 1).ok
    assert cluster.network is not None
    cluster.network.heal()
    n2.start()
    n2.wait_ready()
    all_show(cluster, 1 + counted * 1_000_000 + MANY)


def test_an_increment_without_a_quorum_counts_once_although_its_coordinator_goes_on(make_cluster: ClusterMaker) -> None:
    cluster = left_alone_with_an_increment(make_cluster)
    n1, n2, _ = cluster.nodes
    assert increment(n1, 1_000_000, "alone", 2).ok
    for _ in range(MANY):
        assert increment(n2, 1, w=1).ok
    all_show(cluster, 1 + 1_000_000 + MANY)


# --- through the client -----------------------------------------------------------------------------------------------


def test_tasks_of_the_client_lose_no_increment_and_no_element_while_nodes_die_and_stand_still(cluster: Cluster) -> None:
    async def main() -> None:
        done: dict[str, int] = dict.fromkeys(("hot", "visits"), 0)
        kept: set[str] = set()
        async with AsyncClient([node.address for node in cluster.nodes], attempt_s=1.0, timeout_s=30.0) as client:
            hot, tags, user = client.counter("t", "hot"), client.set("t", "tags"), client.map("t", "user")

            async def work(task: int, count: int) -> None:
                await asyncio.gather(hot.increment(), hot.increment())
                done["hot"] += 2
                if count % 4 == 0:
                    await user.counter("visits").increment(2)
                    done["visits"] += 2
                if count % 8 == 0:
                    await tags.add(f"{task}-{count}", f"{task}-{count}-goes")
                    await tags.remove(f"{task}-{count}-goes")
                    kept.add(f"{task}-{count}")

            async with Workers(work) as workers:
                for victim in ("n1", "n3"):
                    await workers.more(300)
                    await asyncio.to_thread(cluster[victim].kill)
                    await workers.more(500)
                    await restarted(cluster[victim])
                cluster["n2"].signal(signal.SIGSTOP)
                await workers.more(500)
                cluster["n2"].signal(signal.SIGCONT)
                await workers.more(300)
            assert workers.failures == []
        await asyncio.to_thread(wait_no_hints, cluster)

        def agree() -> bool:
            for node in cluster.nodes:
                assert shown(node, "counter/t/hot", r=1) == done["hot"]
                assert set(shown(node, "set/t/tags", r=1)) == kept
                assert shown(node, "map/t/user", r=1) == {"visits": {"type": "counter", "value": done["visits"]}}
            return True

        assert shown(cluster["n1"], "counter/t/hot", r=3) == done["hot"]
        assert set(shown(cluster["n1"], "set/t/tags", r=3)) == kept
        assert shown(cluster["n1"], "map/t/user", r=3)["visits"]["value"] == done["visits"]
        await asyncio.to_thread(eventually, agree, PATIENCE_S, "each node shows it by itself")

    asyncio.run(main())
