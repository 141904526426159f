"""Real nodes forget deleted keys: on every disk, once nobody is away; and nothing that returns brings one back."""

import shutil

from tests.cluster.healing import OPTIONS, metric, wait_healed
from tests.cluster.load import BUCKET
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.stores import copies
from tests.cluster.views import wait_no_hints
from tests.support import eventually

KEYS = 60
REAPED_S = 40.0
# A quiet time longer than anything under way in these tests takes.
REAPING = (*OPTIONS, "--set=tombstones.grace_s=0", "--set=tombstones.quiet_s=2")


def write_all(node: Node) -> None:
    for i in range(KEYS):
        assert node.http.put(BUCKET, f"k{i}", b"v", w=3).ok
    assert node.http.put(BUCKET, "kept", b"kept", w=3).ok


def delete_all(node: Node) -> None:
    for i in range(KEYS):
        assert node.http.delete(BUCKET, f"k{i}", node.http.get(BUCKET, f"k{i}").context).ok


def reaped(cluster: Cluster) -> float:
    return sum(metric(node, "dynkv_tombstones_reaped_total") for node in cluster.nodes if node.process is not None)


def wait_reaped(cluster: Cluster) -> None:
    eventually(lambda: reaped(cluster) == KEYS, REAPED_S, "all deleted keys are forgotten")


def waiting(cluster: Cluster) -> dict[str, int]:
    found: dict[str, int] = cluster.nodes[0].get("/antientropy")["tombstones"]["waiting"]
    return found


def on_disk(cluster: Cluster) -> dict[str, set[bytes]]:
    """The keys that each node's disk holds; all are stopped for it."""
    cluster.stop()
    return {name: {key for _, key in held} for name, held in copies(cluster).items()}


def test_they_stay_while_a_member_is_away_and_go_when_it_is_back(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=REAPING).start()
    n1, n2, n3 = cluster.nodes
    write_all(n1)
    n3.kill()
    delete_all(n1)
    eventually(lambda: "member away" in str(waiting(cluster)), what="it is said why they stay")
    for node in (n1, n2):
        found = node.get(f"/kv/{BUCKET}/k0?replicas=true")
        assert found["tombstone"] in ("n3 is down", "n3 is suspected")
        states = {replica["node"]: replica["state"] for replica in found["replicas"]}
        assert states == {"n1": "same", "n2": "same", "n3": "unreachable"}
    assert reaped(cluster) == 0
    n3.start()
    n3.wait_ready()
    wait_no_hints(cluster)
    wait_reaped(cluster)
    for node in (n1, n2, n3):
        assert node.http.get(BUCKET, "k0").status == 404
    assert on_disk(cluster) == {node.name: {b"kept"} for node in cluster.nodes}


def test_an_old_data_directory_that_is_put_back_brings_nothing_back(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=REAPING).start()
    n1, _, n3 = cluster.nodes
    write_all(n1)
    assert n3.stop() == 0
    shutil.copytree(n3.data, n3.data.with_name("old"))
    n3.start()
    n3.wait_ready()
    delete_all(n1)
    wait_no_hints(cluster)
    wait_reaped(cluster)
    assert n3.stop() == 0
    shutil.rmtree(n3.data)
    n3.data.with_name("old").rename(n3.data)
    n3.start()
    n3.wait_ready()
    wait_healed(cluster)
    for i in range(KEYS):
        assert n3.http.get(BUCKET, f"k{i}", r=3).status == 404
    assert on_disk(cluster) == {node.name: {b"kept"} for node in cluster.nodes}
