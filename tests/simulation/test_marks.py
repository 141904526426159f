"""A snapshot of a running node, put back after what was deleted since has been forgotten by all."""

import pytest

from dynkv.sim.client import Answer, HttpClient
from dynkv.sim.journal import Journal
from dynkv.sim.options import Options
from dynkv.sim.run import Run
from dynkv.sim.workload import BUCKET
from dynkv.sim.world import World

KEY = "k"
# Until a mark is made and heard of; until a tombstone is forgotten by all; until a node that comes back has been told.
MARKED_S, FORGOTTEN_S, TOLD_S = 15.0, 90.0, 30.0


@pytest.mark.parametrize("marks", [True, False])
def test_it_brings_back_nothing_that_was_deleted(marks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without marks it would, which shows that this test can fail."""
    if not marks:
        monkeypatch.setattr("dynkv.marks.EVERY_S_MIN", 1e6)
    world = World()
    run = Run(Options(1, nodes=3), world, Journal(world, keep=True))
    try:
        cluster = run.cluster
        client = HttpClient(cluster.net, cluster.clients, cluster.http)

        def ask(method: str, number: int = 0) -> Answer:
            """`number`: of a write, by which the watcher of a run knows it."""
            target, fields = f"/kv/{BUCKET}/{KEY}", {"Idempotency-Key": f"w{number}"} if number else {}
            body = b"%d" % number if method == "PUT" else b""
            work = client.ask("n1", method, target, fields, body, timeout_s=5.0)
            asking = cluster.clients_loop.create_task(work, name=method)
            run._until(asking.done, world.now + 10.0, "answered")
            return asking.result()

        def held() -> set[str]:
            return {name for name in cluster.names if cluster.on_disk(name, KEY, synced=False) is not None}

        for host in cluster.all_hosts():
            host.start()
        run._pass(5.0)
        assert ask("PUT", 1).status == 204
        host = cluster.hosts["n3"]
        snapshot = host.files.snapshot()
        run._pass(MARKED_S)
        assert ask("DELETE", 2).status == 204
        run._until(lambda: not held(), world.now + FORGOTTEN_S, "forgotten")
        host.kill()
        host.files.restore(snapshot)
        assert held() == {"n3"}
        host.start()
        run._pass(TOLD_S)
        assert held() == (set() if marks else set(cluster.names))
        assert ask("GET").status == (404 if marks else 200)
    finally:
        run.end()
