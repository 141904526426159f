"""Several nodes' transports in one loop, over TCP or in memory, and a proxy between them that can go silent."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
import uvloop

from dynkv.peer.connection import Bounds
from dynkv.peer.gossip_messages import Extent, Greeting
from dynkv.peer.home import Timing
from dynkv.peer.loopback import Loopback
from dynkv.peer.messages import Absent, Answer, Request
from dynkv.peer.network import Network
from dynkv.peer.sockets import HostPort, Sockets
from dynkv.peer.transport import Outcome
from dynkv.runtime import SystemClock, SystemRandom, Tasks
from tests.support import eventually_async, free_port

SECRET = b"the secret of all nodes"
QUICK = Timing(
    heartbeat_s=0.05,
    silence_s_min=0.25,
    silence_s_max=0.5,
    hello_s=0.5,
    connect_s=0.5,
    backoff_s_min=0.01,
    backoff_s_max=0.1,
    renew_s=0.6,
)


def greeting_of(name: str) -> Greeting:
    """What this peer says with each heartbeat."""
    return Greeting(name.encode(), Extent(1, f"database of {name}", 0))


class Peer:
    """One node's transport, and what it was told."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.name = name
        self.tasks = Tasks()
        self.calls: list[tuple[str, Request, float]] = []
        self.replies: list[Callable[[Answer], None]] = []
        self.answer: Callable[[Request], Answer | None] = lambda request: Absent(True)
        self.hellos: list[tuple[str, int, int]] = []
        self.greetings: list[tuple[str, Greeting]] = []
        self.changes: list[tuple[str, bool]] = []
        settings = cluster.settings.get(name, {})
        self.network = Network(
            name,
            settings.get("cluster", "c"),
            settings.get("secret", SECRET),
            cluster.seen_by(name),
            cluster.addresses[name],
            clock=SystemClock(),
            random=SystemRandom(),
            tasks=self.tasks,
            handler=self.handle,
            identity=lambda: (int(name[1:]), int(name[1:]) * 100),
            greeting=lambda: greeting_of(name),
            on_greeting=lambda node, greeting: self.greetings.append((node, greeting)),
            on_hello=lambda *hello: self.hellos.append(hello),
            sockets=cluster.sockets(name),
            bounds=settings.get("bounds", Bounds()),
            timing=settings.get("timing", QUICK),
        )
        self.network.on_change(lambda node, up: self.changes.append((node, up)))

    def handle(self, node: str, request: Request, deadline: float, reply: Callable[[Answer], None]) -> None:
        """Answers at once, or keeps `reply` if there is no answer."""
        self.calls.append((node, request, deadline))
        answer = self.answer(request)
        if answer is None:
            self.replies.append(reply)
        else:
            reply(answer)

    async def ask(self, node: str, request: Request, timeout_s: float = 5.0) -> Outcome:
        """One call, its outcome."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.network.request(node, request, timeout_s, outcome.set_result)
        assert not outcome.done(), "never before `request` returns"
        return await outcome

    async def sees(self, node: str, up: bool = True) -> None:
        """Wait until `node` is available, or is not."""
        await until(lambda: self.network.available(node) == up, f"{self.name} sees {node} {'up' if up else 'away'}")


class Cluster:
    """Nodes n1, n2, ... of one form: "tcp" or "loopback". `settings`: per node, what differs."""

    def __init__(self, form: str, size: int = 2, settings: dict[str, dict[str, Any]] | None = None) -> None:
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.settings = settings or {}
        self.loopback = Loopback(SystemRandom()) if form == "loopback" else None
        self.addresses: dict[str, HostPort] = {name: ("127.0.0.1", free_port()) for name in self.names}
        self.views: dict[str, dict[str, HostPort]] = {}
        self.peers: dict[str, Peer] = {}

    def seen_by(self, name: str) -> dict[str, HostPort]:
        return self.views.get(name, self.addresses)

    def sockets(self, name: str) -> Sockets | None:
        sockets: Sockets | None = self.settings.get(name, {}).get("sockets")
        return self.loopback.of(name) if self.loopback is not None else sockets

    async def start(self, *names: str) -> None:
        for name in names or self.names:
            self.peers[name] = Peer(self, name)
            await self.peers[name].network.start()

    async def formed(self) -> None:
        for name in self.names:
            for other in self.names:
                if other != name:
                    await self.peers[name].sees(other)

    async def stop(self) -> None:
        for peer in self.peers.values():
            await peer.network.close()
            await peer.tasks.cancel()
            assert peer.tasks.failures == 0


class Proxy:
    """A TCP proxy. While it is cut, nothing passes and nobody is told; what came is passed on when it heals."""

    def __init__(self, target: HostPort) -> None:
        self.address: HostPort = ("127.0.0.1", free_port())
        self._target = target
        self._tasks = Tasks()
        self._healthy = asyncio.Event()
        self._healthy.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self.address)

    def cut(self) -> None:
        self._healthy.clear()

    def heal(self) -> None:
        self._healthy.set()

    async def stop(self) -> None:
        self._server.close()
        await self._tasks.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.start("proxied", self._carry(reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            there_reader, there = await asyncio.open_connection(*self._target)
            await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer))
        except OSError:
            pass  # either end is gone: so is the connection
        finally:
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._healthy.wait()
            target.write(data)
            await target.drain()
        await self._healthy.wait()
        raise ConnectionResetError


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition that is not awaited itself."""

    async def asked() -> object:
        return condition()

    await eventually_async(asked, what=what)


def run(main: Callable[[], Coroutine[Any, Any, None]], form: str = "tcp") -> None:
    """Run one test on the loop of its form."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if form == "uvloop" else None) as runner:
        runner.run(main())


def clustered(
    test: Callable[[Cluster], Awaitable[None]],
    form: str,
    size: int = 2,
    settings: dict[str, dict[str, Any]] | None = None,
    formed: bool = True,
) -> None:
    """Run `test` on a cluster of this form, stopped afterwards whatever happens."""

    async def main() -> None:
        cluster = Cluster(form, size, settings)
        try:
            await cluster.start()
            if formed:
                await cluster.formed()
            await test(cluster)
        finally:
            await cluster.stop()

    run(main, form)


def bounded(**bounds: int) -> Bounds:
    """The usual bounds with some changed."""
    return msgspec.structs.replace(Bounds(), **bounds)
