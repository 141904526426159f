"""kill -9: of one node under load, of all in the middle of writes, and again and again."""

import json
import random

from tests.cluster.load import BUCKET, Load, check_history
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.views import hints_at, wait_no_hints
from tests.support import eventually

SETTLED_S = 30.0


def test_one_of_three_dies_under_load_and_nobody_is_refused(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    with Load(cluster.nodes) as load:
        load.run_until_acknowledged(300)
        n2.kill()
        load.run_until_acknowledged(600)
        eventually(lambda: hints_at(n1).get("n2", 0) + hints_at(n3).get("n2", 0) > 0, what="hints for n2")
        n2.start()
        n2.wait_ready()
        load.run_until_acknowledged(300)
    assert load.failures_of([n1, n3]) == []
    assert load.longest_gap([n1, n3]) < 0.25
    wait_no_hints(cluster)
    assert check_history(load.history, cluster.nodes) == []
    # Every replica has everything: hints brought what n2 missed, so not even r=1 shows less.
    assert check_history(load.history, cluster.nodes, r=3) == []
    assert check_history(load.history, cluster.nodes, r=1) == []


def test_all_three_die_in_the_middle_of_writes_and_nothing_acknowledged_is_lost(cluster: Cluster) -> None:
    with Load(cluster.nodes, writers=3) as load:
        load.run_until_acknowledged(500)
        cluster.kill()
    cluster.start()
    nodes = cluster.nodes
    # w=2 acknowledged and r=2 asks: at once, through any node, although no third replica may know of it yet.
    assert check_history(load.history, nodes) == []
    assert check_history(load.history, nodes, r=3) == []
    # Reading at r=3 has repaired what the third replica missed.
    eventually(lambda: check_history(load.history, nodes, r=1) == [], SETTLED_S, "all replicas know everything")


def test_many_restarts_leave_vectors_short_and_lose_nothing(cluster: Cluster) -> None:
    """Twenty restarts of a node, half of them unclean, with writes to the same keys in between."""
    chance = random.Random(3)
    n1, n2, n3 = cluster.nodes
    last: dict[str, bytes] = {}
    for round_number in range(20):
        for key in ("a", "b"):
            last[key] = f"{key}{round_number}".encode()
            _overwrite(n2 if round_number % 2 else n1, key, last[key])
        if chance.random() < 0.5:
            n2.kill()
        else:
            assert n2.stop() == 0
        for key in ("a", "b"):
            last[key] = f"{key}{round_number}, n2 away".encode()
            _overwrite(n3, key, last[key])
        n2.start()
        n2.wait_ready()
    wait_no_hints(cluster)
    for node in cluster.nodes:
        for key, value in last.items():
            reply = node.http.get(BUCKET, key, r=3)
            assert reply.values() == [value]
            # One entry for each actor that ever wrote: a node takes a new one at an unclean start only, and three
            # nodes with at most twenty unclean starts make a context far below its limit of 4096.
            assert reply.context is not None
            assert len(reply.context) < 1024


def _overwrite(node: Node, key: str, value: bytes) -> None:
    """Read, and write with the context of the read."""
    reply = eventually(lambda: _found(node, key), what=f"{key} can be read at {node.name}")
    written = node.http.put(BUCKET, key, value, json.loads(reply))
    assert written.ok, written


def _found(node: Node, key: str) -> str:
    reply = node.http.get(BUCKET, key)
    return json.dumps(reply.context) if reply.status in (200, 300, 404) else ""


def test_a_restart_of_both_sides_loses_no_hint(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster().start()
    n1, n2, n3 = cluster.nodes
    n3.kill()
    for i in range(50):
        assert n1.http.put(BUCKET, f"k{i}", f"v{i}".encode()).ok
    owed = eventually(lambda: hints_at(n1).get("n3", 0) + hints_at(n2).get("n3", 0), what="hints for n3")
    assert owed >= 50
    n1.kill()
    assert n2.stop() == 0
    for node in (n1, n2):
        node.start()
    for node in (n1, n2):
        node.wait_ready()
    assert hints_at(n1).get("n3", 0) + hints_at(n2).get("n3", 0) >= 50
    n3.start()
    n3.wait_ready()
    wait_no_hints(cluster)
    for i in range(50):
        assert n3.http.get(BUCKET, f"k{i}", r=1).values() == [f"v{i}".encode()]
