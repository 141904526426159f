"""One node: everything wired together, started in order, stopped in reverse.

Start: data directory (lock, identity) -> store -> hints counted -> member map -> coordinator -> peers -> HTTP, when the
peers that can be reached are. Stop: HTTP first (requests in progress finish) -> workers -> peers -> store (synced) ->
the clean-stop marker last.

A node's life may end by itself, and another begin in the same process: see lives.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence

import structlog

from dynkv.config import Config, address, validate
from dynkv.convergence import Convergence
from dynkv.coordinator.coordinator import NodeCoordinator
from dynkv.coordinator.plan import Counters, Surroundings
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import StartError, StoreError, StoreWriteFailed
from dynkv.core.hlc import HybridClock
from dynkv.core.recent import RecentWrites
from dynkv.core.refilling import Refilling
from dynkv.gossip import Gossiper
from dynkv.hints import HintBook
from dynkv.http.server import HttpServer
from dynkv.identity import Identity
from dynkv.inbound import Inbound
from dynkv.lives import Damaged, Ending, WentBack, begin_anew
from dynkv.machine import Machine, ThisMachine
from dynkv.marks import RETRY_S as MARKS_RETRY_S
from dynkv.marks import Marks
from dynkv.membership import Membership
from dynkv.metrics import STALL_BOUNDS_S, Histogram
from dynkv.peer.connection import Bounds
from dynkv.peer.gossip_messages import MemberEntry
from dynkv.peer.home import Timing
from dynkv.peer.network import Network
from dynkv.repair.read_repair import ReadRepair
from dynkv.replica import Replica, ReplicaLimits
from dynkv.runtime import Tasks, pause
from dynkv.serving import make_http
from dynkv.storage.base import Durable
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.keys import tree_key
from dynkv.trees import Trees
from dynkv.upkeep import Upkeep
from dynkv.worker import Worker

log = structlog.get_logger("dynkv.node")

# Write ids remembered against late retries of overwritten writes: about 100 bytes each.
RECENT_WRITES = 32_768
# At start, how long to wait for the links to peers that are up before taking client requests.
PEERS_WAIT_S = 2.0
TREES_AT_ONCE = 64
PEERS_LOOK_S = 0.01


async def run(config: Config, machine: Machine | None = None) -> int:
    """Serve until SIGTERM or SIGINT, on this machine unless told otherwise; the exit code. StartError if the node
    cannot start."""
    validate(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await live(config, machine or ThisMachine(), stop)


async def live(config: Config, machine: Machine, stop: asyncio.Event, make: "Make | None" = None) -> int:
    """Serve on `machine` until `stop` is set, in as many lives as it takes; the exit code. StartError.

    `make` makes each life's node, for who wants to look into it.
    """
    directory = machine.open_directory(config)
    try:
        while True:
            node = (make or Node)(config, directory, machine)
            try:
                await node.start()
                ending = await node.serve(stop)
                await node.stop()
            except StoreError as error:
                log.error("stopped, and not cleanly", reason=str(error))
                ending = node.damage
                if ending is None:
                    return 1
            if ending is None:
                directory.mark_clean(node.durable)
                log.info("stopped", clean=True)
                return 0
            if not await begin_anew(directory, ending, machine, stop):
                return 1
    finally:
        directory.close()


Make = Callable[[Config, DataDirectory, Machine], "Node"]


class Node:
    """One life of one node."""

    def __init__(self, config: Config, directory: DataDirectory, machine: Machine) -> None:
        self._config = config
        self._directory = directory
        self._machine = machine
        self._clock = machine.clock
        self._random = machine.random
        self._tasks = Tasks()
        self._lag = Histogram(STALL_BOUNDS_S)
        self._lag_meter = machine.watch_loop(self._lag.observe)
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._noting_loss = self._unnoted_loss = False

    async def start(self) -> None:
        """Everything up, HTTP last. StartError if something is in the way, StoreError if it is damage to be salvaged;
        what was opened is closed again."""
        config, directory = self._config, self._directory
        self.identity = Identity(
            config.id, directory.incarnation, directory.start_count, directory.lives, complete=directory.complete
        )
        self._store = self._machine.open_store(
            directory, config.durability, on_reopened=self._reopened, on_damaged=self._is_damaged
        )
        try:
            await self._wire()
            self._machine.settle_memory()  # nobody can be kept waiting yet: it holds the loop for tens of milliseconds
            self._upkeep.start()
            await self._network.start()
            await self._wait_for_peers()
            if self._ending.done():
                return  # the peers know this life to be over before a client has seen it
            await self._http.start(*address(config.http), self._machine.listen_http)
        except (StartError, StoreError) as error:
            await self._tasks.cancel()
            await self._store.close()
            if isinstance(error, StoreError) and self.damage is None:
                raise StartError(f"cannot use the database in {directory.database}: {error}") from error
            raise
        self._lag_meter.start()
        log.info(
            "serving",
            http=config.http,
            peer=config.peer,
            incarnation=f"{self.identity.incarnation:016x}",
            start_count=self.identity.start_count,
            complete=self.identity.complete,
        )

    async def _wire(self) -> None:
        """Make the parts, from the disk outwards; none of them talks yet."""
        config, cluster, clock, directory = self._config, self._config.cluster, self._clock, self._directory
        self._hints = HintBook(self._store)
        await self._hints.count()
        self._membership = Membership(
            self._store,
            self.identity,
            self._own_entry(),
            config.members,
            partitions=cluster.partitions,
            defaults=BucketSettings(cluster.n, cluster.r, cluster.w),
            went_back=self._goes_back,
            fell_short=lambda: self._upkeep.refill.lost(*range(cluster.partitions)),
        )
        self._trees = Trees(cluster.tree_seed, cluster.partitions, lambda bucket: self._membership.bucket(bucket).n)
        if directory.was_clean:
            for partition in range(cluster.partitions):
                self._trees.load(partition, self._store.get(tree_key(partition)), directory.start_count)
        self._replica = self._make_replica()
        self._membership.on_n_changed = self._replica.n_changed
        gossiper = Gossiper(self._membership)
        self._network = self._make_network(gossiper)
        gossiper.begin(self._network)
        counters, convergence = Counters(), Convergence()
        repair = ReadRepair(config.id, self._replica, self._network, clock, convergence)
        around = Surroundings(
            config.id,
            self._replica,
            self._membership,
            self._network,
            Refilling(),
            clock,
            asyncio.get_running_loop(),
            repair.disagreement,
            counters,
            convergence,
        )
        self._coordinator = NodeCoordinator(around)
        self._inbound = Inbound(self._replica, self._coordinator, self._membership, clock=clock, tasks=self._tasks)
        self._upkeep = self._make_upkeep(convergence, counters)
        self._upkeep.answer_peers(self._inbound)
        marks = Marks(self.identity, directory, self._store, clock, config.tombstones.grace_s, self._counted_on)
        self._upkeep.workers.append(Worker("marks", marks.step, rest_s=MARKS_RETRY_S))
        self._http = self._make_http(repair, counters)

    def _make_replica(self) -> Replica:
        config = self._config
        return Replica(
            self._store,
            self.identity,
            self._hints,
            self._trees,
            clock=self._clock,
            random=self._random,
            hlc=HybridClock(self._clock.wall_ms()),
            recent=RecentWrites(RECENT_WRITES),
            limits=ReplicaLimits(
                config.limits.siblings_warn, config.limits.siblings_max, state_bytes_max=config.limits.value_bytes_max
            ),
        )

    def _own_entry(self) -> MemberEntry:
        labels, identity = self._config.labels, self.identity
        return MemberEntry(
            identity.node,
            identity.start_count,
            identity.incarnation,
            identity.lives,
            self._config.http,
            labels.weight,
            labels.region,
            labels.zone,
            labels.host,
        )

    def _make_network(self, gossiper: Gossiper) -> Network:
        config, cluster = self._config, self._config.cluster
        suspicion = config.suspicion
        timing = Timing(
            heartbeat_s=suspicion.heartbeat_ms / 1000,
            silence_s_min=suspicion.silence_ms_min / 1000,
            silence_s_max=suspicion.silence_ms_max / 1000,
        )
        return Network(
            config.id,
            # What all must agree on is part of the name, so nodes that differ in it refuse each other and say in what.
            f"{cluster.id} (partitions={cluster.partitions} n={cluster.n} r={cluster.r} w={cluster.w})",
            cluster.key,
            {name: address(text) for name, text in config.members.items()},
            address(config.peer),
            clock=self._clock,
            random=self._random,
            tasks=self._tasks,
            handler=lambda node, request, deadline, reply: self._inbound.handle(node, request, deadline, reply),
            identity=lambda: (self.identity.start_count, self.identity.incarnation),
            greeting=self._membership.greeting,
            on_greeting=gossiper.greeted,
            on_hello=self._membership.hear_hello,
            sockets=self._machine.peer_sockets(config.peer_tls),
            bounds=Bounds(queue_bytes_max=config.limits.queue_bytes_max),
            timing=timing,
        )

    def _make_upkeep(self, convergence: Convergence, counters: Counters) -> Upkeep:
        inbound = self._inbound
        return Upkeep(
            self._config,
            store=self._store,
            replica=self._replica,
            hints=self._hints,
            membership=self._membership,
            network=self._network,
            clock=self._clock,
            tasks=self._tasks,
            convergence=convergence,
            persist=self._persist_complete,
            asked=lambda: counters.reads + counters.writes + inbound.asked,
        )

    def _persist_complete(self, complete: bool) -> None:
        """See `repair.refill.Persist`."""
        identity, directory = self.identity, self._directory
        if not complete:
            identity.incarnation = self._random.u64()  # at once; the one that lasts is noted after it
            if self._noting_loss:
                return
        self._noting_loss = not complete

        def note() -> None:
            if not complete:
                directory.new_incarnation("records were lost")
            directory.set_complete(complete)

        def noted(error: Exception | None) -> None:
            if error is None:
                self._membership.extents.noted()
            else:
                log.warning("whether this node is complete could not be noted", error=str(error))
            if not complete:  # a refill may be forgotten, and is done once more; a loss may not
                self._noting_loss, self._unnoted_loss = False, error is not None
                if error is None:
                    identity.incarnation = directory.incarnation

        self._store.in_turn(note, noted)

    def _make_http(self, repair: ReadRepair, counters: Counters) -> HttpServer:
        return make_http(
            self._config,
            clock=self._clock,
            random=self._random,
            tasks=self._tasks,
            store=self._store,
            replica=self._replica,
            membership=self._membership,
            network=self._network,
            coordinator=self._coordinator,
            counters=counters,
            read_repair=repair,
            upkeep=self._upkeep,
            inbound=self._inbound,
            lag=self._lag,
            troubles=self._troubles,
        )

    def _troubles(self) -> Sequence[str]:
        status = self._store.status()
        found = [] if status.healthy else [f"store: {status.reason}"]
        return [*found, "stopping"] if self._stopping else found

    async def _wait_for_peers(self) -> None:
        """A node that answers before its links are up would see nobody and refuse what the cluster can do."""
        deadline = self._clock.now() + PEERS_WAIT_S
        peers = [name for name in self._config.members if name != self._config.id]
        while self._clock.now() < deadline and not all(self._network.available(name) for name in peers):
            await pause(PEERS_LOOK_S)
        # A peer that is up has said what it knows of this node one exchange later.
        while self._clock.now() < deadline and not self._known_to(peers):
            await pause(PEERS_LOOK_S)

    def _known_to(self, peers: Sequence[str]) -> bool:
        heard = self.identity.confirmed or self._ending.done()
        return heard or not any(self._network.available(name) for name in peers)

    def _goes_back(self, start_count: int) -> None:
        if not self._ending.done():
            log.warning("the data directory went back in time", ours=self.identity.start_count, seen=start_count)
            self._replica.disown("this data directory is an old copy, and is about to be set aside")
            self._ending.set_result(WentBack(start_count))

    def _is_damaged(self, why: str) -> None:
        if not self._ending.done():
            log.error("the database is damaged", reason=why)
            self._ending.set_result(Damaged(why))

    @property
    def damage(self) -> Damaged | None:
        """Whether this life is at its end because files are damaged."""
        ending = self._ending.result() if self._ending.done() else None
        return ending if isinstance(ending, Damaged) else None

    def _reopened(self) -> None:
        """The store lost what was not synced: whatever this node counted under its actors may be forgotten."""
        self.identity.incarnation = self._directory.incarnation
        self._replica.forget_memory()
        self._counted_on()

    def _counted_on(self) -> None:
        """What peers are to know of this life is another now."""
        self.identity.start_count, self.identity.lives = self._directory.counted
        self._membership.renew(self._own_entry())

    @property
    def durable(self) -> Durable:
        """Of its store; see there."""
        return self._store.durable

    async def serve(self, stop: asyncio.Event) -> Ending | None:
        """Wait until `stop` is set (None) or this life turns out to be over."""
        stopped = self._tasks.start("wait for stop", _wait(stop))
        await asyncio.wait((stopped, self._ending), return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else self._ending.result()

    async def stop(self) -> None:
        """Everything down in reverse; the store synced and closed. StoreError if that failed: the stop is unclean."""
        self._stopping = True
        await self._http.stop(self._config.timeouts.stop_ms / 1000)
        self._lag_meter.stop()
        await self._tasks.cancel()
        await self._network.close()
        self._save_trees()
        await self._store.close()
        if self._unnoted_loss:
            raise StoreWriteFailed("that records were lost could not be noted")

    def _save_trees(self) -> None:
        """The next start need not build them, if this stop turns out a clean one."""
        changes = list(self._trees.saved(self._directory.start_count))
        try:
            for start in range(0, len(changes), TREES_AT_ONCE):
                self._store.write(changes[start : start + TREES_AT_ONCE])
        except StoreError as error:
            log.warning("hash trees could not be saved; the next start builds them", error=str(error))


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
