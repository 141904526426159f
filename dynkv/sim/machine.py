"""What a simulated node finds where a real one finds its machine; see `dynkv.machine.Machine`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dynkv.config import Config, PeerTls
from dynkv.core.errors import DamagedDirectory, DamagedRecord
from dynkv.peer.sockets import HostPort, MakeProtocol
from dynkv.sim.chance import Chance
from dynkv.sim.disk import SimDisk, SimFiles
from dynkv.sim.loop import ProcessLoop
from dynkv.sim.network import Net, Site
from dynkv.storage.base import Change, Durability
from dynkv.storage.envelope import digest_of
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.keys import RECORD, TREE
from dynkv.storage.memory import MemoryStore

# When every simulated world begins, by the clock on the wall: 2024-01-01.
BEGAN_MS = 1_704_067_200_000


class SimClock:
    """A process' clocks. `skew_ms` of the wall's may be changed at any time."""

    def __init__(self, loop: ProcessLoop, skew_ms: Callable[[], int]) -> None:
        self._loop = loop
        self._skew_ms = skew_ms

    def now(self) -> float:
        return self._loop.time()

    def wall_ms(self) -> int:
        return BEGAN_MS + int(self._loop.since_began() * 1000) + self._skew_ms()


class Watcher(Protocol):
    """Who sees what is written to disks."""

    def wrote(self, node: str, batch: Sequence[Change], before: Mapping[bytes, bytes]) -> None:
        """`before`: the values of those keys of the batch that were there and are deleted."""
        ...


class SimStore(MemoryStore):
    """The store of one life, under observation."""

    def observe(self, node: str, watcher: Watcher) -> None:
        self._node = node
        self._watcher = watcher

    def contents(self) -> dict[bytes, bytes]:
        """Everything that a reader of this store would find."""
        return self._map

    def write(self, changes: Sequence[Change]) -> None:
        removed = {key: self._map[key] for key, value in changes if value is None and key in self._map}
        super().write(changes)
        self._watcher.wrote(self._node, changes, removed)


class SimSockets:
    """`peer.sockets.Sockets` between simulated nodes."""

    def __init__(self, net: Net, site: Site) -> None:
        self._net = net
        self._site = site

    async def listen(self, address: HostPort, make: MakeProtocol) -> "PeerListener":
        return PeerListener(address[1], self._net.listen(self._site, address, make, frames=True))

    async def connect(self, node: str, address: HostPort, make: MakeProtocol) -> None:
        await self._net.connect(self._site, address, make)


class PeerListener:
    """`peer.sockets.Listener`."""

    def __init__(self, port: int, close: Callable[[], None]) -> None:
        self.port = port
        self._close = close

    async def close(self) -> None:
        self._close()


class HttpListener:
    """`http.server.Listener`."""

    def __init__(self, port: int, close: Callable[[], None]) -> None:
        self.port = port
        self.close = close


class NoWatch:
    """A loop in virtual time does not stall."""

    def start(self) -> None:
        """Nothing to measure."""

    def stop(self) -> None:
        """Nothing was measured."""


class SimMachine:
    """`machine.Machine` of one process. `store`: the one opened last."""

    def __init__(
        self,
        net: Net,
        site: Site,
        files: SimFiles,
        loop: ProcessLoop,
        chance: Chance,
        skew_ms: Callable[[], int],
        watcher: Watcher,
    ) -> None:
        self.clock = SimClock(loop, skew_ms)
        self.random = chance
        self.store: SimStore | None = None
        self._net = net
        self._site = site
        self._files = files
        self._watcher = watcher

    def contents(self) -> dict[bytes, bytes]:
        """All that the node finds in its store."""
        return {} if self.store is None else self.store.contents()

    async def listen_http(self, host: str, port: int, make: MakeProtocol) -> HttpListener:
        return HttpListener(port, self._net.listen(self._site, (host, port), make, frames=False))

    def open_directory(self, config: Config) -> DataDirectory:
        cluster = config.cluster
        return DataDirectory.open(
            config.data,
            config.id,
            cluster.id,
            cluster.partitions,
            self.random,
            rebuild=config.rebuild,
            files=self._files,
        )

    def open_store(
        self,
        directory: DataDirectory,
        durability: Durability,
        *,
        on_reopened: Callable[[], None],
        on_damaged: Callable[[str], None],
    ) -> SimStore:
        disk = self._files.disk(directory.database, create=directory.fresh)

        def renew(reason: str) -> None:
            directory.new_incarnation(reason)

        store = SimStore(disk, durability, clock=self.clock, renew=renew)
        store.observe(self._site.name, self._watcher)
        store.on_reopened, store.on_damaged = on_reopened, on_damaged
        directory.opened(store.durable)
        self.store = store
        return store

    async def salvage(self, directory: DataDirectory, why: str, go_on: Callable[[], bool]) -> bool:
        """What can be read is copied; what cannot is lost, and never an older version comes up."""
        damaged = self._files.disk(directory.database)
        if damaged.damaged:
            raise DamagedDirectory(damaged.damaged)
        if not go_on():
            return False
        copy: SimDisk = self._files.disk(directory.begin_salvage(), create=True)
        damaged.fold(len(damaged.tail))
        lost = bool(damaged.unreadable)
        for key, value in damaged.durable.items():
            if key in damaged.unreadable or key[:1] == TREE:
                continue
            if key[:1] == RECORD and not _is_sound(value):
                lost = True
                continue
            copy.durable[key] = value
        copy.slow_s = damaged.slow_s
        directory.take_salvaged(why, lost=lost)
        return True

    def peer_sockets(self, tls: PeerTls) -> SimSockets:
        return SimSockets(self._net, self._site)

    def watch_loop(self, observe: Callable[[float], None]) -> NoWatch:
        return NoWatch()

    def settle_memory(self) -> None:
        """Memory is the simulation's."""

    def unsettle_memory(self) -> None:
        """Likewise."""


def _is_sound(value: bytes) -> bool:
    try:
        digest_of(value)
    except DamagedRecord:
        return False
    return True
