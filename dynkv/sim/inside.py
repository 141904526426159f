"""A look into a running node, for checkers: the one place that knows its private parts. It changes nothing."""

from antientropy import HashTree
from dynkv.cache import OVERHEAD_BYTES
from dynkv.core.tombstones import KEYS_MAX
from dynkv.core.types.doubts import DOUBTS_MAX
from dynkv.hints import HintBook
from dynkv.identity import Identity
from dynkv.membership import _MEMBERS, Membership, _decode_map
from dynkv.node import Node
from dynkv.peer.network import Network
from dynkv.replica import Replica
from dynkv.runtime import Tasks
from dynkv.sim.host import Host
from dynkv.storage.envelope import digest_of, unpack
from dynkv.storage.keys import HINT, RECORD, parse_record_key
from ring.placement import Placement
from ring.tokens import token


class Inside:
    """What is in the node that runs at `host` now. Only for one that serves."""

    def __init__(self, host: Host) -> None:
        assert host.node is not None
        self._node: Node = host.node
        self.contents = host.machine.contents()
        self.replica: Replica = self._node._replica
        self.identity: Identity = self._node.identity
        self.hints: HintBook = self._node._hints
        self.membership: Membership = self._node._membership
        self.network: Network = self._node._network
        self.tasks: Tasks = self._node._tasks

    def records(self) -> dict[bytes, bytes]:
        """Stored key -> envelope of every record."""
        return {key: value for key, value in self.contents.items() if key[:1] == RECORD}

    def wrong_trees(self) -> list[str]:
        """Where the hash trees differ from trees built afresh of the records, or cannot be compared."""
        trees, seed = self.replica.trees, self.replica.trees._seed
        fresh: dict[tuple[int, int], HashTree] = {}
        for stored_key, value in self.records().items():
            partition, bucket, key = parse_record_key(stored_key)
            n = self.membership.bucket(bucket).n
            tree = fresh.setdefault((partition, n), HashTree(seed))
            tree.update(token(bucket, key), None, digest_of(value))
        wrong = []
        n = self.membership.defaults.n
        for partition in range(trees.partitions):
            ours = trees.tree(partition, n)
            if isinstance(ours, str):
                wrong.append(f"partition {partition}: {ours}")
            elif ours.root != fresh.get((partition, n), HashTree(seed)).root:
                wrong.append(f"partition {partition}: its tree is not that of its records")
        return wrong

    def wrong_memory(self) -> list[str]:
        """What memory holds of records and hints and is not what is stored, and what has grown beyond its bound."""
        replica = self.replica
        cache, recent, doubts = replica._cache, replica._recent, replica._doubts
        wrong = [
            f"its cached copy of {parse_record_key(stored_key)[2].decode()} is not what is stored"
            for stored_key, copy in {**cache._old, **cache._young}.items()
            if (stored := self.contents.get(stored_key)) is None or unpack(stored) != copy
        ]
        hints = sum(1 for key in self.contents if key[:1] == HINT)
        if hints != self.hints.total():
            wrong.append(f"{hints} hints are stored, and {self.hints.total()} counted")
        if cache._young_bytes != sum(len(copy.record) + OVERHEAD_BYTES for copy in cache._young.values()):
            wrong.append("its cache has miscounted")
        if cache._young_bytes > cache._generation_bytes_max or len(recent._young) >= recent._generation_max:
            wrong.append("its cache of copies or of write ids is too large")
        if len(doubts) > DOUBTS_MAX or len(self._node._upkeep.reaper.known) > KEYS_MAX:
            wrong.append("its list of doubts or of tombstones is too long")
        return wrong


def known_lives(host: Host) -> dict[str, int]:
    """What the node at `host` has noted durably: the latest life of each member."""
    for disk in host.files.disks():
        stored = disk.durable.get(_MEMBERS)
        if stored is not None:
            return {entry.node: entry.lives[-1] for entry in _decode_map(stored).members}
    return {}


def placement_of(host: Host) -> Placement | None:
    """Where the node at `host` believes that keys live; None if it does not know."""
    membership: Membership | None = getattr(host.node, "_membership", None)
    return None if membership is None else membership.placement


def serves(host: Host) -> bool:
    """Whether a node runs there and takes clients' requests."""
    return host.runs() and host.node is not None and getattr(host.node, "_http", None) is not None and _listens(host)


def _listens(host: Host) -> bool:
    assert host.node is not None
    return host.node._http._listener is not None and not host.node._stopping
