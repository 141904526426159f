"""A load of so many requests a second, whatever the answers take: latencies count from when a request was due."""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Literal, NamedTuple

from dynkv.cli.load.wire import response_length
from dynkv.runtime import pause

CONNECTIONS = 16

Command = Literal["tell", "stop"]


class Latencies(NamedTuple):
    """Milliseconds; `failed`: answers other than 2xx. `late_p99_ms`: of them the load's own, between when a request was
    due and when it was sent."""

    answers: int
    failed: int
    p50_ms: float
    p99_ms: float
    late_p99_ms: float


class Paced:
    """`with Paced(targets, make, 500) as load:` asks in a process of its own, so that what the caller does in the
    meantime is not in the latencies; `load.since_last()` tells and begins anew.

    `make(number)`: the request, as bytes. The process is a fork: begin while there is no other thread.
    """

    def __init__(self, targets: Sequence[str], make: Callable[[int], bytes], per_s: float) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(targets, make, per_s, theirs), name="paced load")

    def __enter__(self) -> "Paced":
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send("stop")
        self._process.join()

    def since_last(self) -> Latencies:
        """Of all requests due since the last call, and answered."""
        self._pipe.send("tell")
        told: Latencies = self._pipe.recv()
        return told


def _run(targets: Sequence[str], make: Callable[[int], bytes], per_s: float, pipe: Connection) -> None:
    asyncio.run(_Driver(targets, make, per_s, pipe).run())


class _Driver:
    def __init__(self, targets: Sequence[str], make: Callable[[int], bytes], per_s: float, pipe: Connection) -> None:
        self._targets = targets
        self._make = make
        self._step = CONNECTIONS / per_s
        self._pipe = pipe
        self._seconds: list[float] = []
        self._late: list[float] = []
        self._failed = 0
        self._since = 0.0
        self._stop = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._commanded)
        await asyncio.gather(*map(self._drive, range(CONNECTIONS)))

    def _commanded(self) -> None:
        command: Command = self._pipe.recv()
        if command == "stop":
            self._stop.set()
            return
        seconds, late, failed = sorted(self._seconds) or [0.0], sorted(self._late) or [0.0], self._failed
        answers = len(self._seconds)
        self._seconds, self._late, self._failed, self._since = [], [], 0, time.perf_counter()
        p50, p99, late_p99 = statistics.median(seconds), seconds[len(seconds) * 99 // 100], late[len(late) * 99 // 100]
        self._pipe.send(Latencies(answers, failed, p50 * 1000, p99 * 1000, late_p99 * 1000))

    async def _drive(self, number: int) -> None:
        host, _, port = self._targets[number % len(self._targets)].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        due = time.perf_counter() + self._step * number / CONNECTIONS
        try:
            while not self._stop.is_set():
                await pause(max(0.0, due - time.perf_counter()))
                sent = time.perf_counter()
                writer.write(self._make(number))
                number += CONNECTIONS
                answer = b""
                while not (length := response_length(answer)) or length > len(answer):
                    answer += await reader.read(65536)
                if due >= self._since:
                    self._seconds.append(time.perf_counter() - due)
                    self._late.append(sent - due)
                    self._failed += answer[9:10] != b"2"
                due += self._step
        finally:
            writer.close()
            await writer.wait_closed()
