"""Sockets without sockets: several nodes in one process and one loop, with a network between them that can be bad.

    loopback = Loopback(random)
    network = Network(..., sockets=loopback.of("n1"))     # all else as over TCP
    loopback.cut("n1", "n2")                              # from now on nothing gets from n1 to n2

Everything above the sockets is the real code: hello, frames, suspicion, backoff. One write is one packet and, in this
protocol, one frame, so loss, repetition and reordering are of whole frames, as a datagram network would do it; TCP's
own retransmission is not imitated. The hello's frames may be lost, not repeated. Time is the loop's, chance is
injected: on a loop with virtual time one seed is one run.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from dynkv.core.errors import AddressInUse
from dynkv.peer.sockets import HostPort, MakeProtocol
from dynkv.runtime import Random

# Frames of a hello in each direction, at most.
HELLO_FRAMES = 2


class Weather(msgspec.Struct):
    """How the network treats a packet from one node to another. Chances are in 0..1, times in seconds.

    A delay is drawn from [delay_s_min, delay_s_max] for each packet. Unless `reorder`, packets keep their order.
    """

    delay_s_min: float = 0.0
    delay_s_max: float = 0.0
    loss: float = 0.0
    repeat: float = 0.0
    reorder: bool = False
    cut: bool = False


class Loopback:
    """A network in memory. `weather` is of every direction of every pair that `set_weather` was not told of."""

    def __init__(self, random: Random, weather: Weather | None = None) -> None:
        self._random = random
        self._weather = weather or Weather()
        self._directions: dict[tuple[str, str], Weather] = {}
        self._listening: dict[HostPort, tuple[str, MakeProtocol]] = {}
        self._pipes: set[MemoryTransport] = set()
        self._next_port = 1

    def of(self, node: str) -> "MemorySockets":
        """The sockets of `node`."""
        return MemorySockets(self, node)

    def weather(self, source: str, target: str) -> Weather:
        """What a packet from `source` to `target` meets."""
        return self._directions.get((source, target), self._weather)

    def set_weather(self, source: str, target: str, weather: Weather) -> None:
        """Change one direction, for packets sent from now on."""
        self._directions[source, target] = weather

    def cut(self, source: str, target: str, *, cut: bool = True) -> None:
        """Cut one direction, or heal it. Connections stay open: nobody is told."""
        self.set_weather(source, target, msgspec.structs.replace(self.weather(source, target), cut=cut))

    def break_connections(self, node: str, other: str) -> None:
        """Reset all connections between the two; both sides are told at once."""
        for pipe in list(self._pipes):
            if {pipe.source, pipe.target} == {node, other}:
                pipe.abort()

    # --- for MemorySockets and MemoryTransport ------------------------------------------------------------------------

    def listen(self, node: str, address: HostPort, make: MakeProtocol) -> "MemoryListener":
        host, port = address
        if port == 0:
            port, self._next_port = self._next_port, self._next_port + 1
        if (host, port) in self._listening:
            raise AddressInUse(f"cannot listen for peers on {host}:{port}: in use")
        self._listening[host, port] = (node, make)
        return MemoryListener(port, lambda: self._listening.pop((host, port), None))

    def connect(self, node: str, address: HostPort, make: MakeProtocol) -> None:
        there = self._listening.get(address)
        if there is None:
            raise ConnectionRefusedError(f"nobody listens on {address[0]}:{address[1]}")
        target, accept = there
        ours = MemoryTransport(self, node, target, make())
        theirs = MemoryTransport(self, target, node, accept())
        ours.other, theirs.other = theirs, ours
        for pipe in (theirs, ours):
            self._pipes.add(pipe)
            pipe.protocol.connection_made(pipe)

    def closed(self, pipe: "MemoryTransport") -> None:
        self._pipes.discard(pipe)

    def delays(self, pipe: "MemoryTransport", hello: bool) -> list[float]:
        """When the copies of a packet arrive, in seconds from now; none if it is lost."""
        weather = self.weather(pipe.source, pipe.target)
        chance = self._random.uniform
        if weather.cut or (weather.loss and chance(0, 1) < weather.loss):
            return []
        copies = 2 if weather.repeat and not hello and chance(0, 1) < weather.repeat else 1
        if weather.delay_s_max <= 0:
            return [0.0] * copies
        return [chance(weather.delay_s_min, weather.delay_s_max) for _ in range(copies)]


class MemorySockets:
    """`sockets.Sockets` over a Loopback."""

    def __init__(self, loopback: Loopback, node: str) -> None:
        self._loopback = loopback
        self._node = node

    async def listen(self, address: HostPort, make: MakeProtocol) -> "MemoryListener":
        return self._loopback.listen(self._node, address, make)

    async def connect(self, node: str, address: HostPort, make: MakeProtocol) -> None:
        self._loopback.connect(self._node, address, make)


class MemoryListener:
    """`sockets.Listener` over a Loopback."""

    def __init__(self, port: int, forget: Callable[[], object]) -> None:
        self._port = port
        self._forget = forget

    @property
    def port(self) -> int:
        return self._port

    async def close(self) -> None:
        self._forget()


class MemoryTransport(asyncio.Transport):
    """One end of a connection: packets written here arrive at `other`, if the weather lets them."""

    other: "MemoryTransport"

    def __init__(self, loopback: Loopback, source: str, target: str, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._loopback = loopback
        self._closing = False
        self._sent = 0
        self._arrives = 0.0  # when the latest packet arrives: the next is no earlier, unless reordered
        self._reading = True
        self._on_the_way: deque[bytes] = deque()
        self._waiting: list[bytes] = []  # arrived while reading is paused
        self.source = source
        self.target = target
        self.protocol = protocol

    def write(self, data: Any) -> None:
        if self._closing:
            return
        self._sent += 1
        now = self._loop.time()
        reorder = self._loopback.weather(self.source, self.target).reorder
        for delay in self._loopback.delays(self, hello=self._sent <= HELLO_FRAMES):
            arrives = now + delay
            if reorder:
                self._loop.call_at(arrives, self.other._arrive, bytes(data))
                continue
            # Timers of one moment fire in any order, so each takes whatever is next in line.
            self._on_the_way.append(bytes(data))
            self._arrives = max(arrives, self._arrives)
            if self._arrives <= now:
                self._loop.call_soon(self._deliver_next)
            else:
                self._loop.call_at(self._arrives, self._deliver_next)

    def _deliver_next(self) -> None:
        self.other._arrive(self._on_the_way.popleft())

    def _arrive(self, data: bytes) -> None:
        if self._closing:
            return
        if self._reading:
            self.protocol.data_received(data)
        else:
            self._waiting.append(data)

    def close(self) -> None:
        """What was written still arrives, then the other end closes too."""
        if not self._closing:
            self._end(max(self._arrives, self._loop.time()))

    def abort(self) -> None:
        if not self._closing:
            self._end(0.0)

    def _end(self, told_at: float) -> None:
        self._closing = True
        self._loopback.closed(self)
        self._loop.call_soon(self.protocol.connection_lost, None)
        if not self._loopback.weather(self.source, self.target).cut:
            self._loop.call_at(told_at, self.other.abort)  # over a cut link not even the end is heard of

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._arrive(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to limit: the network takes all."""

    def get_write_buffer_size(self) -> int:
        return 0
