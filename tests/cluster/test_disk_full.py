"""A disk without room, and a disk that does not sync: that node refuses, the cluster goes on, and no word is broken."""

import pytest

from tests.cluster.load import BUCKET, Load, check_history
from tests.cluster.processes import ClusterMaker, Node
from tests.cluster.small_disk import FORMS
from tests.cluster.sync_trap import SyncTrap
from tests.cluster.views import hints_at, wait_no_hints
from tests.support import eventually

HEALED_S = 30.0


def unwell(node: Node) -> bool:
    """Whether the node says that it should get no requests."""
    return not node.is_ready()


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_refuses_and_recovers_by_itself(make_cluster: ClusterMaker, form: str) -> None:
    cluster = make_cluster()
    n1, n2, n3 = cluster.nodes
    disk = FORMS[form](n1)
    try:
        cluster.start()
        assert n2.http.put(BUCKET, "before", b"value", w=3).ok
        with Load([n2, n3], pause_s=0.01) as load:
            load.run_until_acknowledged(50)
            disk.fill()
            eventually(lambda: unwell(n1), HEALED_S, "n1 meets its full disk")
            load.run_until_acknowledged(100)
            # It serves what it has, and takes nothing.
            assert n1.http.get(BUCKET, "before", r=1).values() == [b"value"]
            assert n2.http.put(BUCKET, "during", b"value", w=3, timeout=1000).status == 503
            eventually(lambda: hints_at(n2).get("n1", 0) + hints_at(n3).get("n1", 0) > 0, what="what n1 is owed")
            disk.free()
            eventually(n1.is_ready, HEALED_S, "n1 takes writes again")
            load.run_until_acknowledged(50)
        assert load.failures == []
        wait_no_hints(cluster)
        assert check_history(load.history, cluster.nodes, r=3) == []
        assert check_history(load.history, cluster.nodes, r=1) == []
        assert n1.stop() == 0
    finally:
        for node in cluster.nodes:
            node.end()
        disk.remove()


def test_a_sync_that_fails_is_told_as_what_it_is_and_never_retried_into_success(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    n1, n2, n3 = cluster.nodes
    trap = SyncTrap(cluster.folder / "trap")
    n1.environment |= trap.environment
    cluster.start()
    incarnation = n1.get("/nodes")["nodes"][0]["incarnation"]
    with Load([n2, n3], pause_s=0.01) as load:
        load.run_until_acknowledged(50)
        trap.close()
        eventually(lambda: "the disk fails from here on" in n1.log_text(), what="the trap is closed")
        eventually(lambda: unwell(n1), HEALED_S, "n1 meets its disk")
        assert "store is read-only" in n1.log_text()
        assert "Input/output error" in n1.log_text()
        load.run_until_acknowledged(100)
        # Whoever wants n1's word gets none, and it tries in vain to come back.
        for number in range(20):
            assert n2.http.put(BUCKET, f"all{number}", b"value", w=3, timeout=300).status == 503
            assert unwell(n1)
        found = n1.http.put(BUCKET, "through n1", b"value")
        assert found.ok or found.status == 503
    assert load.failures == []
    n1.kill()
    if found.ok:  # then two others have it
        assert n2.http.get(BUCKET, "through n1").values() == [b"value"]
    assert check_history(load.history, [n2, n3]) == []
    for name in trap.environment:
        del n1.environment[name]
    n1.start()
    n1.wait_ready()
    assert n1.get("/nodes")["nodes"][0]["incarnation"] != incarnation
    wait_no_hints(cluster)
    assert check_history(load.history, cluster.nodes, r=3) == []
    eventually(lambda: check_history(load.history, cluster.nodes, r=1) == [], HEALED_S, "all replicas know everything")
