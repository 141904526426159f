"""A snapshot of a running node, too young for a mark, put back: what it has forgotten hides nothing and comes back."""

import pytest

from dynkv.extents import Extents
from dynkv.peer.gossip_messages import Extent
from dynkv.sim.host import Host
from tests.simulation.asking import KEY, asking

# Until heartbeats were heard; until a node that comes back serves; until it is refilled.
HEARD_S, BACK_S, REFILLED_S = 2.0, 5.0, 60.0


@pytest.mark.parametrize("remembered", [True, False])
def test_it_hides_nothing_that_was_acknowledged(remembered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that n2 and n3 have is read through n1 at r = 2, while n2 is away, after n3 has come back with a snapshot
    that was made before it. If nobody remembered how far n3 went, the answer would be that there is nothing."""
    if not remembered:
        monkeypatch.setattr(Extents, "hear", _deaf)
    with asking() as one:
        run, world, cluster = one.run, one.world, one.cluster
        n1, n2, n3 = (cluster.hosts[name] for name in cluster.names)
        for host in (n1, n2, n3):
            host.start()
        run._pass(5.0)
        snapshot = n3.files.snapshot()
        for way in (("n1", "n2"), ("n2", "n1"), ("n1", "n3"), ("n3", "n1")):
            cluster.net.change(*way, cut=True)
        run._pass(HEARD_S)
        assert one.ask("n2", "PUT", 1, "?w=2").status == 204
        run._pass(HEARD_S)
        n3.kill()
        before = n3.node
        n3.files.restore(snapshot)
        n3.start()
        run._until(lambda: n3.node is not before and confirmed(n3), world.now + BACK_S, "told by n2")
        n2.kill()
        assert n3.node is not None
        assert n3.node.identity.complete is not remembered
        for way in (("n1", "n3"), ("n3", "n1")):
            cluster.net.clear(*way)
        run._pass(BACK_S)
        assert one.ask("n1", "GET", query="?r=2").status == (503 if remembered else 404)
        n2.start()
        for way in (("n1", "n2"), ("n2", "n1")):
            cluster.net.clear(*way)
        run._until(lambda: cluster.on_disk("n3", KEY) is not None, world.now + REFILLED_S, "back at n3")
        assert one.ask("n1", "GET", query="?r=2").status == 200
        run._until(lambda: n3.node is not None and n3.node.identity.complete, world.now + REFILLED_S, "complete")


def confirmed(host: Host) -> bool:
    return host.node is not None and hasattr(host.node, "identity") and host.node.identity.confirmed


def _deaf(self: Extents, node: str, extent: Extent) -> None:
    """Nothing is remembered."""
