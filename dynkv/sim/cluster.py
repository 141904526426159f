"""A simulated cluster: hosts n1, n2, ..., the network between them, and what is on their disks, seen from outside."""

from collections.abc import Iterator

from dynkv.config import AntiEntropy, Cluster, Config, Tombstones
from dynkv.core.context import Tokens
from dynkv.core.record import Record, Vector
from dynkv.peer.sockets import HostPort
from dynkv.sim.chance import Chance
from dynkv.sim.history import Dot
from dynkv.sim.host import Host
from dynkv.sim.inside import placement_of
from dynkv.sim.journal import Journal
from dynkv.sim.loop import ProcessLoop
from dynkv.sim.network import Net, Site, Way
from dynkv.sim.options import Options
from dynkv.sim.witness import Witness, covers, decoded
from dynkv.sim.workload import BUCKET
from dynkv.sim.world import World
from dynkv.storage.keys import RECORD, parse_record_key, record_key
from ring.tokens import partition_of, token

PARTITIONS = 8
# Short cycles: in a run of a minute everything must come round several times.
ANTIENTROPY = AntiEntropy(cycle_s=5.0, scrub_cycle_s=15)
# Longer than a request and what it sets off, as these clients time out.
TOMBSTONES = Tombstones(grace_s=5.0, quiet_s=16.0)
HTTP_PORT, PEER_PORT = 8101, 9101
# A network of one room, of one city, or of a continent: delays of a packet in seconds.
DISTANCES = ((0.0001, 0.0005), (0.001, 0.004), (0.01, 0.04))


class SimCluster:
    """`loop_of(name)` makes a process that is never disturbed: for clients, and for fate."""

    def __init__(self, options: Options, journal: Journal, world: World, witness: Witness) -> None:
        self.options = options
        self.world = world
        self.journal = journal
        seed = options.seed
        chance = Chance(seed, "cluster")
        delay_s_min, delay_s_max = chance.weighted(list(zip(DISTANCES, (0.6, 0.3, 0.1), strict=True)))
        self.net = Net(world, Chance(seed, "network"), Way(delay_s_min, delay_s_max))
        self.names = [f"n{number}" for number in range(1, options.nodes + 1)]
        self.settings = Cluster(id="simulated", partitions=PARTITIONS, n=options.n, r=options.r, w=options.w)
        self.tokens = Tokens(self.settings.key)
        self.http: dict[str, HostPort] = {
            name: ("127.0.0.1", HTTP_PORT + number) for number, name in enumerate(self.names)
        }
        members = {name: f"127.0.0.1:{PEER_PORT + number}" for number, name in enumerate(self.names)}
        self.hosts = {
            name: Host(world, self.net, self._config(name, members), seed=seed, journal=journal, watcher=witness)
            for name in self.names
        }
        self.damaged_at: dict[str, float] = {}
        """When a copy of a key was damaged last."""
        self.clients = Site("clients")
        self.clients.loop = self.clients_loop = self.loop_of("clients")

    def _config(self, name: str, members: dict[str, str]) -> Config:
        return Config(
            id=name,
            data=f"/{name}",
            http=f"127.0.0.1:{self.http[name][1]}",
            peer=members[name],
            members=members,
            cluster=self.settings,
            antientropy=ANTIENTROPY,
            tombstones=TOMBSTONES,
        )

    def loop_of(self, name: str) -> ProcessLoop:
        return ProcessLoop(name, self.world, defect=self.journal.defect)

    def all_hosts(self) -> list[Host]:
        return list(self.hosts.values())

    # --- where things are ---------------------------------------------------------------------------------------------

    def stored_key(self, key: str) -> bytes:
        name = token(BUCKET, key.encode())
        return record_key(partition_of(name, PARTITIONS), BUCKET, key.encode())

    def primaries(self, key: str) -> tuple[str, ...]:
        """By any node that knows the placement; () before the cluster is formed."""
        partition = partition_of(token(BUCKET, key.encode()), PARTITIONS)
        for host in self.all_hosts():
            if (placement := placement_of(host)) is not None:
                return placement.preference(partition)[: self.options.n]
        return ()

    def on_disk(self, name: str, key: str, *, synced: bool = True, readable: bool = True) -> Record | None:
        """What a node's disk holds of a key: what a loss of power would leave for certain, or all that was written;
        what can be read, or what would be there if no block were damaged."""
        stored_key = self.stored_key(key)
        for disk in self.hosts[name].files.disks():
            if disk.damaged or disk.old or (readable and stored_key in disk.unreadable):
                return None
            value = disk.durable.get(stored_key)
            if not synced:
                for batch in disk.tail:
                    for changed, now in batch:
                        if changed == stored_key:
                            value = now
            return decoded(value)
        return None

    def rotten(self, name: str, key: str) -> bool:
        """Whether a node's copy of a key is damaged on its disk, be it noticed or not."""
        stored_key = self.stored_key(key)
        copies = [disk.durable[stored_key] for disk in self.hosts[name].files.disks() if stored_key in disk.durable]
        return any(decoded(copy) is None for copy in copies)

    def vectors(self, name: str) -> dict[str, Vector]:
        """What a node has on disk for certain: the vector of each key."""
        found: dict[str, Vector] = {}
        for disk in self.hosts[name].files.disks():
            for stored_key, value in () if disk.damaged or disk.old else disk.durable.items():
                if stored_key[:1] != RECORD or stored_key in disk.unreadable:
                    continue
                if (record := decoded(value)) is not None:
                    found[parse_record_key(stored_key)[2].decode()] = record.vector
        return found

    def knows(self, name: str, key: str, vector: Vector) -> bool:
        """Whether a node has all these events on disk for certain."""
        record = self.on_disk(name, key, readable=False)
        return record is not None and all(covers(record.vector, dot) for dot in vector)

    def holders(self, key: str, dots: list[Dot]) -> tuple[str, ...]:
        """The nodes that have synced the fate of one of these dots; a block damaged since is not held against them."""
        found = []
        for name in self.names:
            record = self.on_disk(name, key, readable=False)
            if record is not None and any(covers(record.vector, dot) for dot in dots):
                found.append(name)
        return tuple(found)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """All directions between nodes, and between nodes and clients."""
        everybody = [*self.names, self.clients.name]
        for source in everybody:
            for target in everybody:
                if source != target:
                    yield source, target
