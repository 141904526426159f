"""Cut networks: each side does what its quorums allow, says so, and both agree once the cut is healed."""

from tests.cluster.load import BUCKET
from tests.cluster.processes import ClusterMaker, Node
from tests.cluster.views import states, wait_no_hints, wait_state


def put(node: Node, key: str, value: bytes, context: str | None = None, **levels: object) -> None:
    reply = node.http.put(BUCKET, key, value, context, None, **levels)
    assert reply.ok, f"{node.name} {key}: {reply}"


def test_two_against_one(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(proxied=True).start()
    n1, n2, n3 = cluster.nodes
    assert cluster.network is not None
    put(n1, "shared", b"before")
    context = n1.http.get(BUCKET, "shared").context
    cluster.network.cut("n3")
    wait_state(n1, n3, up=False)
    wait_state(n3, n1, up=False)
    wait_state(n3, n2, up=False)

    # The larger side serves at the default levels.
    put(n1, "shared", b"larger side", context)
    assert n2.http.get(BUCKET, "shared").values() == [b"larger side"]

    # The lone node refuses what two would have to agree on, and says who is missing and what became of the write.
    refused = n3.http.put(BUCKET, "lone", b"never", timeout=1000)
    assert refused.status == 503, refused
    problem = refused.json()
    assert (problem["outcome"], problem["needed"]["w"]) == ("not_applied", 2)
    assert problem["got"]["w"] < 2
    unread = n3.http.get(BUCKET, "shared", timeout=1000)
    assert unread.status == 503
    assert (unread.json()["needed"]["r"], unread.json()["got"]["r"]) == (2, 1)

    # It serves what one can answer: an older value, and a write that becomes a sibling of the other side's.
    assert n3.http.get(BUCKET, "shared", r=1).values() == [b"before"]
    put(n3, "shared", b"lone side", context, w=1)

    cluster.network.heal()
    wait_state(n1, n3, up=True)
    wait_state(n2, n3, up=True)
    wait_state(n3, n1, up=True)
    wait_no_hints(cluster)
    for node in cluster.nodes:
        assert node.http.get(BUCKET, "shared", r=3).values() == [b"larger side", b"lone side"]
        assert node.http.get(BUCKET, "lone", r=3).status == 404


def test_a_bridge_converges_and_nobody_flaps(make_cluster: ClusterMaker) -> None:
    """n1 and n3 do not reach each other, both reach n2; cut and healed link by link in another order."""
    cluster = make_cluster(proxied=True).start()
    n1, _, n3 = cluster.nodes
    assert cluster.network is not None
    cluster.network.cut("n1:n3", "n3:n1")
    wait_state(n1, n3, up=False)
    wait_state(n3, n1, up=False)
    for i in range(30):
        put(cluster.nodes[i % 3], f"bridge{i}", f"v{i}".encode())
    assert (states(n1)["n3"] == "up", states(n3)["n1"] == "up") == (False, False)
    assert (states(n1)["n2"], states(n3)["n2"]) == ("up", "up")
    cluster.network.cut("n1:n2")
    cluster.network.heal("n3:n1")
    cluster.network.heal("n1:n3")
    cluster.network.heal("n1:n2")
    for node in cluster.nodes:
        for other in cluster.nodes:
            if other is not node:
                wait_state(node, other, up=True)
    wait_no_hints(cluster)
    for node in cluster.nodes:
        for i in range(30):
            assert node.http.get(BUCKET, f"bridge{i}", r=1).values() == [f"v{i}".encode()]
