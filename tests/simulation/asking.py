"""A simulated cluster in a test's own hands: no faults but those that it makes, and requests one by one."""

from collections.abc import Iterator
from contextlib import contextmanager

from dynkv.sim.client import Answer, HttpClient
from dynkv.sim.journal import Journal
from dynkv.sim.options import Options
from dynkv.sim.run import Run
from dynkv.sim.workload import BUCKET
from dynkv.sim.world import World

KEY = "k"


class Asking:
    """Three nodes, not started, and what a client of theirs is answered about one key."""

    def __init__(self) -> None:
        self.world = World()
        self.run = Run(Options(1, nodes=3), self.world, Journal(self.world, keep=True))
        self.cluster = self.run.cluster
        self._client = HttpClient(self.cluster.net, self.cluster.clients, self.cluster.http)

    def ask(self, node: str, method: str, number: int = 0, query: str = "") -> Answer:
        """`number`: of a write, by which the watcher of a run knows it; it is the value too."""
        fields = {"Idempotency-Key": f"w{number}"} if number else {}
        body = b"%d" % number if method == "PUT" else b""
        work = self._client.ask(node, method, f"/kv/{BUCKET}/{KEY}{query}", fields, body, timeout_s=5.0)
        asking = self.cluster.clients_loop.create_task(work, name=method)
        self.run._until(asking.done, self.world.now + 10.0, "answered")
        return asking.result()


@contextmanager
def asking() -> Iterator[Asking]:
    """One, gone afterwards."""
    one = Asking()
    try:
        yield one
    finally:
        one.run.end()
