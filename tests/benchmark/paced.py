"""A load of so many requests a second, whatever the answers take: latencies count from when a request was due."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

from dynkv.cli.load.wire import response_length
from dynkv.runtime import pause

CONNECTIONS = 16


class Latencies(NamedTuple):
    """Milliseconds; `failed`: answers other than 2xx."""

    answers: int
    failed: int
    p50_ms: float
    p99_ms: float


class Paced:
    """`with Paced(targets, make, 500) as load:` asks in a thread of its own; `load.since_last()` tells and begins anew.

    `make(number)`: the request, as bytes.
    """

    def __init__(self, targets: Sequence[str], make: Callable[[int], bytes], per_s: float) -> None:
        self._targets = targets
        self._make = make
        self._step = CONNECTIONS / per_s
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="paced load")

    def __enter__(self) -> "Paced":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def since_last(self) -> Latencies:
        """Of all requests answered since the last call."""
        with self._lock:
            seconds, failed = self._seconds, self._failed
            self._seconds, self._failed = [], 0
        ordered = sorted(seconds) or [0.0]
        return Latencies(
            len(seconds), failed, statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000
        )

    async def _run(self) -> None:
        await asyncio.gather(*map(self._drive, range(CONNECTIONS)))

    async def _drive(self, number: int) -> None:
        host, _, port = self._targets[number % len(self._targets)].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        due = time.perf_counter() + self._step * number / CONNECTIONS
        try:
            while not self._stop.is_set():
                await pause(max(0.0, due - time.perf_counter()))
                writer.write(self._make(number))
                number += CONNECTIONS
                answer = b""
                while not (length := response_length(answer)) or length > len(answer):
                    answer += await reader.read(65536)
                with self._lock:
                    self._seconds.append(time.perf_counter() - due)
                    self._failed += answer[9:10] != b"2"
                due += self._step
        finally:
            writer.close()
            await writer.wait_closed()
