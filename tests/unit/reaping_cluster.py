"""A cluster in memory whose nodes reap: with hardly a grace period, a short quiet time, and steps made by the test."""

from dynkv.core.record import Vector
from dynkv.peer.reaping_messages import Holding, Reap
from dynkv.repair.holdings import Holdings
from dynkv.repair.journal import Journal
from dynkv.repair.reap import Pace, Reaper
from tests.support import eventually_async
from tests.unit.cluster_in_memory import BUCKET, Cluster, Node

QUIET_S = 0.03


class ReapingCluster(Cluster):
    """Reapers are made with the nodes, and anew with a restarted one."""

    def __init__(self, size: int = 3, *, grace_s: float = 0.0, quiet_s: float = QUIET_S) -> None:
        super().__init__(size)
        self.pace = Pace(grace_s, quiet_s, 1e6)
        self.holdings: dict[str, Holdings] = {}
        self.reapers: dict[str, Reaper] = {}
        for node in self.nodes.values():
            self._equip(node)

    def _equip(self, node: Node) -> None:
        holdings = Holdings(node.store, node.replica, node.hints, node.membership)
        node.inbound.serve(Holding, holdings.serve_holding)
        node.inbound.serve(Reap, holdings.serve_reap)
        reaper = Reaper(
            node.name,
            replica=node.replica,
            membership=node.membership,
            holdings=holdings,
            transport=node.wire,
            clock=node.clock,
            journal=Journal(node.clock, node.convergence),
            pace=self.pace,
        )
        node.replica.on_tombstone = reaper.on_tombstone
        self.holdings[node.name] = holdings
        self.reapers[node.name] = reaper

    def restart(self, name: str, *, clean: bool = True) -> Node:
        node = super().restart(name, clean=clean)
        self._equip(node)
        return node

    def reaper(self, key: bytes) -> Reaper:
        """The one that looks after the key."""
        return self.reapers[self.plan(key).primaries[0]]

    def why(self, key: bytes) -> str:
        """Why its tombstone is still there, as its reaper says."""
        obstacle = self.reaper(key).why(BUCKET, key)
        return "" if obstacle is None else obstacle.text

    def record(self, name: str, key: bytes) -> bytes:
        """What the node holds."""
        copy = self.nodes[name].replica.read(self.plan(key).partition, BUCKET, key)
        assert copy is not None
        return copy.record

    async def delete(self, key: bytes, at: str = "") -> None:
        """Delete what a read sees, through the first primary unless told otherwise."""
        at = at or self.plan(key).primaries[0]
        await self.put(at, key, None, context=await self.context(at, key))

    async def context(self, at: str, key: bytes) -> Vector:
        seen = (await self.get(at, key)).record
        return () if seen is None else seen.vector

    async def make_equal(self, key: bytes) -> None:
        """What anti-entropy does: all primaries that can be reached get the merge of what they hold."""
        primaries = [name for name in self.plan(key).primaries if name not in self.away]
        for source in self.holders(key).intersection(primaries):
            for target in primaries:
                self.nodes[target].replica.apply(BUCKET, key, self.record(source, key))

    def look_again(self, key: bytes) -> None:
        """As if the reaper's rest were over, or the scrub had come upon it."""
        reaper = self.reaper(key)
        reaper.hurry()
        reaper.candidate(self.nodes["n1"].replica.partition(BUCKET, key), BUCKET, key)

    async def reap(self, key: bytes, *, until: str = "") -> None:
        """Step its reaper until the tombstone is gone everywhere, or is still there because of `until`."""

        async def settled() -> bool:
            if until and until in self.why(key):
                return True
            self.look_again(key)
            await self.reaper(key).step()
            return not until and not self.holders(key)

        await eventually_async(settled, what=f"{key!r} {until or 'reaped'}")
