"""Batches at real nodes while others die and stand still: what was acknowledged is everywhere in the end."""

import http.client
import json
import signal
import threading
from collections.abc import Iterator, Sequence

from tests.cluster.http_client import Http
from tests.cluster.processes import Cluster, Node
from tests.cluster.views import wait_no_hints
from tests.support import eventually

BUCKET = "b"
JSON = {"Content-Type": "application/json"}
PER_BATCH = 100


class Batches:
    """Threads that put new keys, a batch after the other, each at its node, until the block is left."""

    def __init__(self, nodes: Sequence[Node], name: str) -> None:
        self.acknowledged: list[str] = []  # keys; a key's value is its name
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(node, f"{name}-{node.name}-{number}"), daemon=True)
            for node in nodes
            for number in range(2)
        ]

    def __enter__(self) -> "Batches":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def until(self, more: int) -> None:
        goal = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) >= goal, 60, f"{goal} acknowledged writes")

    def _work(self, node: Node, name: str) -> None:
        client = Http(node.address, 30)
        count = 0
        while not self._stop.is_set():
            keys = [f"{name}-{count + number}" for number in range(PER_BATCH)]
            count += PER_BATCH
            operations = [{"op": "put", "bucket": BUCKET, "key": key, "value": {"text": key}} for key in keys]
            try:
                reply = client.request("POST", "/batch", json.dumps({"operations": operations}).encode(), JSON)
            except (OSError, http.client.HTTPException):
                self._stop.wait(0.1)  # its node is dead; whatever became of these, nobody was told
                continue
            assert reply.ok, reply
            for key, result in zip(keys, reply.json()["results"], strict=True):
                (self.acknowledged if result["status"] == 204 else self.refused).append(key)
        client.close()


def missing(node: Node, keys: Sequence[str], level: str) -> Iterator[str]:
    """Those of these keys that the node does not show as they were written."""
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        operations = [{"op": "get", "bucket": BUCKET, "key": key} for key in some]
        body = json.dumps({"operations": operations}).encode()
        reply = node.http.request("POST", f"/batch?r={level}&timeout=20000", body, JSON)
        assert reply.ok, reply
        for key, result in zip(some, reply.json()["results"], strict=True):
            shown = [sibling["value"] for sibling in result.get("siblings", ())]
            if shown != [{"text": key}]:
                yield f"{key} at {node.name}: {result}"


def nothing_missing(cluster: Cluster, keys: Sequence[str], level: str) -> bool:
    lost = [line for node in cluster.nodes for line in missing(node, keys, level)]
    assert not lost, lost[:5]
    return True


def test_what_a_batch_acknowledged_outlives_any_one_node_and_all_at_once(cluster: Cluster) -> None:
    one, two, three = cluster.nodes
    with Batches((one, two), "first") as batches:
        batches.until(500)
        three.kill()
        batches.until(1000)
        three.start()
        three.wait_ready()
        batches.until(500)
        three.signal(signal.SIGSTOP)
        batches.until(1000)
        three.signal(signal.SIGCONT)
        batches.until(500)
    assert batches.refused == [], "two of three were there all the time"
    wait_no_hints(cluster)
    assert nothing_missing(cluster, batches.acknowledged, "1")

    with Batches((one, two), "second") as batches:
        batches.until(500)
        cluster.kill()
    cluster.start()
    # w=2 acknowledged and r=2 asks: at once, through any node, although no third replica may know of it yet.
    assert nothing_missing(cluster, batches.acknowledged, "2")
