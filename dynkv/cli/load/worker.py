"""One process of the generator."""

import asyncio
import gc
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

import uvloop

from dynkv.cli.load.connection import Connection, Tally
from dynkv.cli.load.sources import SourceOf
from dynkv.cli.turns import prefer_long_turns
from dynkv.runtime import pause

# How long the last answers are waited for.
GRACE_S = 10.0
RECONNECT_S = 0.05
# A run that only its sources end would try for ever where a server does not come back: a connection that has not been
# there for so long is done, and says so by this error. Longer than a node takes to be started again.
AWAY_S = 15.0
GAVE_UP = "gave up connecting"


class Part(NamedTuple):
    """What one process does: its connections by number, each with its target."""

    connections: list[tuple[int, str, int]]
    source: SourceOf
    seconds: float | None
    warmup_s: float


class Counts(NamedTuple):
    """What one process counted. cpu_s: its own processor time while it did."""

    latencies: dict[int, int]
    statuses: dict[bytes, int]
    errors: dict[str, int]
    seconds: float
    cpu_s: float


def work(part: Part, pipe: Pipe) -> None:
    """The whole life of the process: connect, say so, wait for the word, run, report. Without a parent it just ends."""
    # Nothing here makes cycles; a collection would only show as a latency of the server's.
    gc.disable()
    prefer_long_turns()
    with (
        suppress(asyncio.CancelledError, BrokenPipeError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_Worker(part).run(pipe))


class _Worker:
    def __init__(self, part: Part) -> None:
        self._part = part
        self._tally = Tally()
        self._live: set[Connection] = set()
        self._began = (0.0, 0.0)
        self._stopped: tuple[float, float] | None = None
        self._go = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self, pipe: Pipe) -> None:
        self._task = asyncio.current_task()
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._heard, pipe)
        connected = [asyncio.Event() for _ in self._part.connections]
        await asyncio.gather(
            self._start(pipe, connected),
            *(self._drive(*place, event) for place, event in zip(self._part.connections, connected, strict=True)),
        )
        tally, (wall, cpu) = self._tally, self._stopped or _now()
        pipe.send(
            Counts(tally.latencies.sparse(), tally.statuses, tally.errors, wall - self._began[0], cpu - self._began[1])
        )

    def _heard(self, pipe: Pipe) -> None:
        """The word to go, the same moment in all processes. End of file: our parent is gone, and with it our use."""
        try:
            pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            assert self._task is not None
            self._task.cancel()
            return
        self._go.set()

    async def _start(self, pipe: Pipe, connected: list[asyncio.Event]) -> None:
        loop = asyncio.get_running_loop()
        for event in connected:
            await event.wait()
        pipe.send("ready")
        await self._go.wait()
        self._begin_counting()
        if self._part.warmup_s:
            loop.call_later(self._part.warmup_s, self._begin_counting)
        if self._part.seconds is not None:
            loop.call_later(self._part.warmup_s + self._part.seconds, self._stop)

    async def _drive(self, number: int, host: str, port: int, ready: asyncio.Event) -> None:
        """One connection from the first connect to the end of the run, made anew whenever it is lost."""
        loop = asyncio.get_running_loop()
        source = self._part.source(number)
        away_since: float | None = None
        while not self._tally.stopping:
            ended: asyncio.Future[bool] = loop.create_future()
            connection = Connection(source, self._tally, time.perf_counter_ns, ended)
            try:
                await loop.create_connection(_giving(connection), host, port)
            except OSError:
                self._tally.error("cannot connect")
                ready.set()
                await self._go.wait()
                away_since = away_since or loop.time()
                if self._part.seconds is None and loop.time() - away_since > AWAY_S:
                    self._tally.error(GAVE_UP)
                    return
                await pause(RECONNECT_S)
                continue
            away_since = None
            ready.set()
            await self._go.wait()
            self._live.add(connection)
            connection.begin()
            finished = await ended
            self._live.discard(connection)
            if finished:
                return

    def _begin_counting(self) -> None:
        self._tally.reset()
        self._began = _now()

    def _stop(self) -> None:
        self._tally.stopping = True
        self._stopped = _now()
        asyncio.get_running_loop().call_later(GRACE_S, self._give_up)

    def _give_up(self) -> None:
        for connection in list(self._live):
            connection.give_up()


def _giving(connection: Connection) -> Callable[[], Connection]:
    return lambda: connection


def _now() -> tuple[float, float]:
    """Wall clock and processor time of this process, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime
