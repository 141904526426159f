"""What keeps replicas equal, for the nodes of a cluster in memory: what `upkeep` wires, stepped by hand.

m = menders(c)                     # for all nodes; their trees are built
await m["n1"].compare("n2")        # all that n1 begins with n2, now
await m["n1"].scrub_all()          # one cycle
"""

from collections.abc import Callable
from itertools import islice

from antientropy import Budget, HashTree
from antientropy.schedule import Pair
from dynkv.core import record as records
from dynkv.core.survey import PairState
from dynkv.core.write import Write
from dynkv.peer.messages import Compare, ListKeys, TreeLeaves
from dynkv.repair.answers import ExchangeAnswers
from dynkv.repair.damaged import DamagedRecords
from dynkv.repair.exchange import Comparer
from dynkv.repair.journal import Journal, Standing
from dynkv.repair.listing import Lister
from dynkv.repair.pairing import Pairing
from dynkv.repair.reconcile import Rate, Reconciler
from dynkv.repair.refill import Refill
from dynkv.repair.scrub import Scrub
from dynkv.repair.strays import Strays
from dynkv.storage.envelope import unpack
from dynkv.storage.keys import parse_record_key, record_key, record_range
from dynkv.worker import IDLE
from ring.tokens import token
from tests.unit.cluster_in_memory import BUCKET, PARTITIONS, Cluster, Node

FAST = 1e12


class Mender:
    """Of one node. `said`: every `complete` that was to be remembered."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self.cluster = cluster
        self.node = node
        self.said: list[bool] = []
        self.journal = Journal(node.clock, node.convergence)
        self.pairing = Pairing(node.name, node.membership, PARTITIONS)
        self.refill = Refill(node.identity, PARTITIONS, self.pairing.needs, self.said.append, node.clock)
        lister = Lister(node.store, node.trees, lambda bucket: node.membership.bucket(bucket).n, node.clock)
        answers = ExchangeAnswers(node.identity, node.trees, lister, self.pairing.holds, node.tasks, node.clock)
        node.inbound.serve(Compare, answers.compare)
        node.inbound.serve(TreeLeaves, answers.leaves)
        node.inbound.serve(ListKeys, answers.keys)
        self.comparer = Comparer(
            trees=node.trees,
            pairing=self.pairing,
            refill=self.refill,
            lister=lister,
            reconciler=Reconciler(
                node.replica, node.wire, node.clock, node.convergence, Rate(Budget(FAST, FAST), Budget(FAST, FAST))
            ),
            transport=node.wire,
            clock=node.clock,
            journal=self.journal,
            cycle_s=3600.0,
            budget=Budget(FAST, FAST),
        )
        self.strays = Strays(node.replica, node.hints, node.membership, self.journal, self.pairing.holds)
        self.scrub = Scrub(
            node.store,
            node.trees,
            self.refill,
            node.clock,
            self.journal,
            doubtful=self.comparer.doubtful,
            rate=Budget(FAST, FAST),
            cycle_s=3600.0,
            on_record=self.strays.look,
            on_tombstone=lambda partition, bucket, key: None,
            on_damage=node.replica.doubt_copy,
        )
        self.damaged = DamagedRecords(node.replica, node.trees, node.wire, self.journal, self._others)

    def _others(self, bucket: str, key: bytes) -> tuple[str, ...]:
        membership = self.node.membership
        primaries = membership.plan(bucket, key, membership.bucket(bucket).n).primaries
        return tuple(name for name in primaries if name != self.node.name)

    async def build(self, between: Callable[[], None] = lambda: None) -> None:
        """Build the trees that are not known."""
        while self.node.trees.unknown() is not None:
            await self.scrub.step()
            between()

    async def scrub_all(self, between: Callable[[], None] = lambda: None) -> None:
        """One cycle of the scrub; `between` its steps."""
        await self.build(between)
        cycle = self.scrub.cycle + 1
        self.scrub.start_cycle()
        while self.scrub.cycle < cycle or self.scrub.fraction() < 1:
            await self.scrub.step()
            between()

    async def compare(self, peer: str) -> None:
        """Make all comparisons with `peer` that this node begins."""
        self.comparer.hurry(peer)
        while await self.comparer.step(peer) is not IDLE:
            pass

    def standing(self, key: bytes, peer: str, n: int = 3) -> Standing:
        """Of the pair that `key` is in."""
        return self.journal.standings[Pair(self.node.replica.partition(BUCKET, key), n, peer)]

    def states(self) -> set[PairState]:
        return {standing.state for standing in self.journal.standings.values()}

    def moved(self) -> tuple[int, int]:
        """Keys pulled and pushed."""
        return self.journal.moved.keys_pulled, self.journal.moved.keys_pushed

    def check_trees(self) -> None:
        """Hold that every tree that is believed is that of the records."""
        trees, n_of = self.node.trees, self.node.membership.bucket
        for partition in range(PARTITIONS):
            for n in self.pairing.ns():
                tree, fresh = trees.tree(partition, n), HashTree(1)
                assert isinstance(tree, HashTree), tree
                for stored_key, value in self.node.store.scan(*record_range(partition), limit=10_000):
                    _, bucket, key = parse_record_key(stored_key)
                    if n_of(bucket).n == n:
                        fresh.update(token(bucket, key), None, unpack(value).digest)
                assert tree.dump() == fresh.dump(), f"{self.node.name}: partition {partition}, n={n}"


async def menders(cluster: Cluster) -> dict[str, Mender]:
    """For all nodes. Their trees are built."""
    made = {name: Mender(cluster, node) for name, node in cluster.nodes.items()}
    for mender in made.values():
        await mender.build()
    return made


async def cycle(made: dict[str, Mender]) -> None:
    """Everybody compares everything, once."""
    for name, mender in made.items():
        for peer in made:
            if peer != name:
                await mender.compare(peer)


def plant(cluster: Cluster, name: str, key: bytes, value: bytes, bucket: str = BUCKET) -> bytes:
    """A write at one node of which the others hear nothing; the record."""
    replica = cluster.nodes[name].replica
    copy = replica.read(replica.partition(bucket, key), bucket, key)
    context = () if copy is None else records.decode(copy.record).vector
    return replica.coordinate(Write(bucket, key, context, value, "", value), "siblings", ()).record


def alter(cluster: Cluster, name: str, key: bytes, bucket: str = BUCKET) -> None:
    """Flip a bit of the record on the disk of a node, of which it keeps nothing in memory."""
    node = cluster.nodes[name]
    stored_key = record_key(node.replica.partition(bucket, key), bucket, key)
    value = node.store.get(stored_key)
    assert value is not None
    node.store.write([(stored_key, value[:-1] + bytes((value[-1] ^ 1,)))])
    node.replica._cache.forget(stored_key)


def remove(cluster: Cluster, name: str, key: bytes) -> None:
    """Take the record off the disk of a node behind its back."""
    node = cluster.nodes[name]
    stored_key = record_key(node.replica.partition(BUCKET, key), BUCKET, key)
    node.store.write([(stored_key, None)])
    node.replica._cache.forget(stored_key)


def keys_of(cluster: Cluster, partition: int, count: int) -> list[bytes]:
    """Some keys of one partition."""
    keys = (b"k%d" % number for number in range(100_000))
    return list(islice((key for key in keys if cluster.plan(key).partition == partition), count))
