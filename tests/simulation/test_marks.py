"""A snapshot of a running node, put back after what was deleted since has been forgotten by all."""

import pytest

from tests.simulation.asking import KEY, asking

# Until a mark is made and heard of; until a tombstone is forgotten by all; until a node that comes back has been told.
MARKED_S, FORGOTTEN_S, TOLD_S = 15.0, 90.0, 30.0


@pytest.mark.parametrize("marks", [True, False])
def test_it_brings_back_nothing_that_was_deleted(marks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without marks it would, which shows that this test can fail."""
    if not marks:
        monkeypatch.setattr("dynkv.marks.EVERY_S_MIN", 1e6)
    with asking() as one:
        run, world, cluster = one.run, one.world, one.cluster

        def held() -> set[str]:
            return {name for name in cluster.names if cluster.on_disk(name, KEY, synced=False) is not None}

        for host in cluster.all_hosts():
            host.start()
        run._pass(5.0)
        assert one.ask("n1", "PUT", 1).status == 204
        host = cluster.hosts["n3"]
        snapshot = host.files.snapshot()
        run._pass(MARKED_S)
        assert one.ask("n1", "DELETE", 2).status == 204
        run._until(lambda: not held(), world.now + FORGOTTEN_S, "forgotten")
        host.kill()
        host.files.restore(snapshot)
        assert held() == {"n3"}
        host.start()
        run._pass(TOLD_S)
        assert held() == (set() if marks else set(cluster.names))
        assert one.ask("n1", "GET").status == (404 if marks else 200)
