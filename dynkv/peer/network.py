"""The real Transport: one connection per pair of nodes and direction, kept open, watched, and bounded.

Ours to a peer carries our calls and its answers (`Link`, `Calling`); the peer's to us the other way round
(`Answering`). The two do not know each other but for one thing: when a peer connects to us, we try at once to connect
to it. A peer is who it proves to be; its address may be a proxy's.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from dynkv.core.detector import Pace
from dynkv.core.latency import DELAY_S_UNKNOWN, common_delay_s
from dynkv.peer.answering import Answering
from dynkv.peer.connection import Bounds
from dynkv.peer.counters import PeerCounters
from dynkv.peer.gossip_messages import Gossip, Greeting, Ping
from dynkv.peer.handshake_messages import NONCE_BYTES
from dynkv.peer.hello import Proven, ServerHello, proof_key
from dynkv.peer.home import Home, Timing
from dynkv.peer.link import Link
from dynkv.peer.messages import Request
from dynkv.peer.refusals import Refusals
from dynkv.peer.sockets import HostPort, Listener, Sockets, TcpSockets
from dynkv.peer.transport import Done, Failure, Handler, PeerStatus
from dynkv.runtime import Clock, Random, Tasks, wait_until

log = structlog.get_logger("dynkv.peer")

TICK_S = 0.05
# How long a close waits for the news that an aborted connection is gone.
GONE_S = 1.0
# Incoming connections that have not proved anything yet. One more, and the oldest goes: a member proves itself in
# milliseconds, so whoever has waited longest is least likely to be one.
UNPROVEN_MAX = 64

# What may be sent to a peer that is connected but suspected.
PROBES = frozenset({Ping, Gossip})

UNREACHABLE = Failure("unreachable", False)


class Network:
    """Transport over `sockets`; see `transport.Transport` for the contract of its methods."""

    def __init__(
        self,
        node: str,
        cluster: str,
        secret: bytes,
        addresses: Mapping[str, HostPort],
        listen: HostPort,
        *,
        clock: Clock,
        random: Random,
        tasks: Tasks,
        handler: Handler,
        identity: Callable[[], tuple[int, int]],
        greeting: Callable[[], Greeting],
        on_greeting: Callable[[str, Greeting], None],
        on_hello: Callable[[str, int, int], None],
        sockets: Sockets | None = None,
        bounds: Bounds | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`addresses`: of all members as this node reaches them, by id (its own is not used); the set of ids is fixed,
        an address is looked up at each attempt. `handler` gets all requests but heartbeats. `identity`: this node's
        start count and incarnation as of now. `greeting`: its own for heartbeats; `on_greeting(node, greeting)`: a
        peer's, from either side of a heartbeat. `on_hello(node, start_count, incarnation)`: a peer proved itself.
        `sockets`: TCP, unless given.
        """
        self.counters = PeerCounters()
        self._home = Home(
            node=node,
            cluster=cluster,
            key=proof_key(secret),
            clock=clock,
            random=random,
            sockets=TcpSockets() if sockets is None else sockets,
            counters=self.counters,
            refusals=Refusals(),
            bounds=bounds or Bounds(),
            timing=timing or Timing(),
            identity=identity,
            greeting=greeting,
            on_greeting=on_greeting,
            on_hello=on_hello,
            changed=self._changed,
        )
        self._clock = clock
        self._tasks = tasks
        self._handler = handler
        self._listen = listen
        self._listener: Listener | None = None
        self._listeners: list[Callable[[str, bool], None]] = []
        self._links = {peer: Link(self._home, peer, addresses) for peer in addresses if peer != node}
        self._keeping: list[asyncio.Task[None]] = []
        self._incoming: dict[str, Answering] = {}
        self._unproven: dict[Answering, None] = {}  # oldest first
        self._pace = Pace(TICK_S)
        self._ticker: asyncio.TimerHandle | None = None
        self._hedge_s = DELAY_S_UNKNOWN
        self._closed = False

    async def start(self) -> None:
        """Listen and begin to connect. AddressInUse if there is nothing to listen on."""
        self._loop = asyncio.get_running_loop()
        self._listener = await self._home.sockets.listen(self._listen, self._accept)
        self._keeping = [self._tasks.start(f"link to {peer}", link.keep()) for peer, link in self._links.items()]
        self._tick()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._listener is not None, "not started"
        return self._listener.port

    # --- Transport ----------------------------------------------------------------------------------------------------

    def request(self, node: str, message: Request, timeout_s: float, done: Done) -> None:
        link = self._links.get(node)
        if link is None or (connection := link.connection) is None or not (link.up or type(message) in PROBES):
            self._loop.call_soon(done, UNREACHABLE)
        else:
            connection.call(message, self._clock.now(), timeout_s, done)

    def available(self, node: str) -> bool:
        link = self._links.get(node)
        return link is not None and link.up

    def sluggish(self, node: str) -> bool:
        link = self._links.get(node)
        if link is None or not link.up or link.connection is None:
            return False
        return link.connection.sluggish(self._clock.now())

    def hedge_delay_s(self) -> float:
        return self._hedge_s

    def peers(self) -> dict[str, PeerStatus]:
        now = self._clock.now()
        return {peer: link.status(now) for peer, link in self._links.items()}

    def on_change(self, listener: Callable[[str, bool], None]) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._listeners.clear()
        if self._ticker is not None:
            self._ticker.cancel()
        if self._listener is not None:
            await self._listener.close()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        incoming = [*self._incoming.values(), *self._unproven]
        outgoing = [link.give_up() for link in self._links.values()]
        for connection in (*incoming, *outgoing):
            if connection is not None:
                connection.abort()
                # Bounded: uvloop may never report the loss of a TLS connection that was aborted in mid-handshake.
                await wait_until(connection.gone, GONE_S)

    # --- listening ----------------------------------------------------------------------------------------------------

    def _accept(self) -> Answering:
        home = self._home
        hello = ServerHello(home.us(), self._links.keys(), home.random.token(NONCE_BYTES))
        return Answering(hello, home.clock, home.counters, home.bounds, self, self._handler)

    def came(self, connection: Answering) -> None:
        if self._closed:
            connection.abort()
            return
        self._unproven[connection] = None
        connection.hello_within(self._home.timing.hello_s)
        if len(self._unproven) > UNPROVEN_MAX:
            oldest = next(iter(self._unproven))
            del self._unproven[oldest]
            self.counters.unproven_closed += 1
            oldest.abort()

    def proved(self, connection: Answering, proven: Proven) -> None:
        self._unproven.pop(connection, None)
        # A peer has one connection to us: that it opened a new one says that the old one is dead, known to us or not.
        before = self._incoming.get(proven.node)
        self._incoming[proven.node] = connection
        if before is not None:
            before.abort()
        self._home.refusals.forget(proven.node)
        self._home.on_hello(proven.node, proven.start_count, proven.incarnation)
        self._links[proven.node].nudge()

    def went(self, connection: Answering) -> None:
        self._unproven.pop(connection, None)
        if connection.proven is not None and self._incoming.get(connection.proven.node) is connection:
            del self._incoming[connection.proven.node]

    def refused(self, claimed: str, reason: str, by_us: bool) -> None:
        self._home.refusals.note(claimed, reason, by_us=by_us)

    def heartbeat(self, node: str, greeting: Greeting) -> Greeting:
        self._home.on_greeting(node, greeting)
        return self._home.greeting()

    # --- time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK_S, self._tick)
        now = self._clock.now()
        stalled_s = self._pace.tick(now)
        if stalled_s:
            log.warning("this node stood still", seconds=round(stalled_s, 3))
        for link in self._links.values():
            link.tick(now, stalled_s)
        self._hedge_s = common_delay_s([link.reads for link in self._links.values()])

    def _changed(self, node: str, available: bool) -> None:
        for listener in self._listeners:
            try:
                listener(node, available)
            except Exception as error:  # a bug of the listener: the others still hear of it
                self.counters.faults += 1
                log.error("listener of a change failed", peer=node, exc_info=error)
