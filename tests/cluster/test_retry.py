"""A client that does not know whether its write happened asks again with the same write id: one value, always."""

import http.client
import signal

from tests.cluster.http_client import Http
from tests.cluster.load import BUCKET
from tests.cluster.processes import Cluster
from tests.cluster.views import wait_no_hints, wait_state


def test_a_coordinator_stops_in_mid_write_and_the_retry_elsewhere_makes_no_false_sibling(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    n1.signal(signal.SIGSTOP)
    for i in range(10):
        hasty = Http(n1.address, timeout_s=0.1)
        try:
            hasty.put(BUCKET, f"k{i}", b"value", write_id=f"write-{i}")
        except TimeoutError:
            pass  # as meant: the kernel took the request, and nobody answers
        finally:
            hasty.close_all()
        assert n2.http.put(BUCKET, f"k{i}", b"value", write_id=f"write-{i}").ok
    n1.signal(signal.SIGCONT)
    for node, other in ((n1, n2), (n1, n3), (n2, n1), (n3, n1)):
        wait_state(node, other, up=True)
    wait_no_hints(cluster)
    for node in cluster.nodes:
        for i in range(10):
            assert node.http.get(BUCKET, f"k{i}", r=3).values() == [b"value"]


def test_a_retry_after_a_lost_answer_is_one_write(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    headers = {"Content-Type": "text/plain"}
    for i, again in enumerate((n1, n2, n3)):
        connection = http.client.HTTPConnection(n1.address, timeout=5)
        connection.request("PUT", f"/kv/{BUCKET}/k{i}", b"value", headers | {"Idempotency-Key": f"id-{i}"})
        connection.close()
        assert again.http.put(BUCKET, f"k{i}", b"value", write_id=f"id-{i}").ok
        assert n3.http.get(BUCKET, f"k{i}", r=3).values() == [b"value"]


def test_a_late_retry_does_not_bring_an_overwritten_value_back(cluster: Cluster) -> None:
    for i, late in enumerate(cluster.nodes):
        key, n1 = f"k{i}", cluster.nodes[0]
        assert n1.http.put(BUCKET, key, b"old", write_id=f"late-{i}", w=3).ok
        context = n1.http.get(BUCKET, key).context
        assert n1.http.put(BUCKET, key, b"new", context, w=3).ok
        assert late.http.put(BUCKET, key, b"old", write_id=f"late-{i}").ok
        for node in cluster.nodes:
            assert node.http.get(BUCKET, key, r=3).values() == [b"new"]


def test_one_write_id_for_two_different_writes_is_refused(cluster: Cluster) -> None:
    n1, _, n3 = cluster.nodes
    assert n1.http.put(BUCKET, "k", b"one", write_id="same").ok
    refused = n1.http.put(BUCKET, "k", b"two", write_id="same")
    assert refused.status == 422, refused
    assert n3.http.get(BUCKET, "k").values() == [b"one"]
