"""The seam between a node and the machine it runs on: clock, chance, disk, sockets, memory.

`ThisMachine` is the real one. The simulation has another (dynkv/sim/machine.py), and everything else of a node is the
same under both.
"""

import gc
from collections.abc import Callable
from typing import Protocol

from dynkv.config import Config, PeerTls
from dynkv.http.server import Listen, listen_tcp
from dynkv.peer.sockets import Sockets, TcpSockets, mutual_tls
from dynkv.runtime import Clock, LoopLag, Random, SystemClock, SystemRandom
from dynkv.storage.base import Durability, Store
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.opening import open_store, salvage_store


class Watch(Protocol):
    """Something that measures until it is stopped."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Machine(Protocol):
    """What a node asks of its machine. `clock` and `random` are one for all lives of the process."""

    @property
    def clock(self) -> Clock: ...

    @property
    def random(self) -> Random: ...

    @property
    def listen_http(self) -> Listen:
        """How its clients are listened for."""
        ...

    def open_directory(self, config: Config) -> DataDirectory:
        """As DataDirectory.open: locked, and a new life begun in it. StartError."""
        ...

    def open_store(
        self,
        directory: DataDirectory,
        durability: Durability,
        *,
        on_reopened: Callable[[], None],
        on_damaged: Callable[[str], None],
    ) -> Store:
        """As opening.open_store."""
        ...

    async def salvage(self, directory: DataDirectory, why: str, go_on: Callable[[], bool]) -> bool:
        """As opening.salvage_store; whether it was done."""
        ...

    def peer_sockets(self, tls: PeerTls) -> Sockets:
        """Sockets to and from the other nodes."""
        ...

    def watch_loop(self, observe: Callable[[float], None]) -> Watch:
        """Have `observe` told of stalls of the event loop, in seconds."""
        ...

    def settle_memory(self) -> None:
        """What is in memory now stays for good. Until `unsettle_memory`."""
        ...

    def unsettle_memory(self) -> None: ...


class ThisMachine:
    """The machine that this process runs on."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.random: Random = SystemRandom()
        self.listen_http: Listen = listen_tcp

    def open_directory(self, config: Config) -> DataDirectory:
        cluster = config.cluster
        return DataDirectory.open(
            config.data, config.id, cluster.id, cluster.partitions, self.random, rebuild=config.rebuild
        )

    def open_store(
        self,
        directory: DataDirectory,
        durability: Durability,
        *,
        on_reopened: Callable[[], None],
        on_damaged: Callable[[str], None],
    ) -> Store:
        return open_store(directory, durability, clock=self.clock, on_reopened=on_reopened, on_damaged=on_damaged)

    async def salvage(self, directory: DataDirectory, why: str, go_on: Callable[[], bool]) -> bool:
        return await salvage_store(directory, why, go_on) is not None

    def peer_sockets(self, tls: PeerTls) -> Sockets:
        return TcpSockets(mutual_tls(tls.cert, tls.key, tls.ca) if tls.cert else None)

    def watch_loop(self, observe: Callable[[float], None]) -> Watch:
        return LoopLag(observe)

    def settle_memory(self) -> None:
        """The collector need not look at it again, and may look less often: requests make no cycles, so a collection
        finds nothing; it only holds the loop."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def unsettle_memory(self) -> None:
        gc.unfreeze()
        gc.collect()
