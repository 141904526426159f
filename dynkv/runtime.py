"""The one door to clock, chance and tasks.

Everything else in the node takes these three objects as arguments, so a simulation can hand in its own (virtual time,
one seed) and run the node unchanged. Only this module may name `time`, `random`, `secrets` or `asyncio.create_task`; a
test holds that.
"""

import asyncio
import os
import random
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

RANDOM_WORDS = 512


class Clock(Protocol):
    """Time as the node sees it. Neither method blocks."""

    def now(self) -> float:
        """Monotonic seconds of no particular origin: for durations and deadlines."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970: for people and for the hybrid clock; may step in either direction."""
        ...


class Random(Protocol):
    """Chance as the node sees it."""

    def u64(self) -> int:
        """A uniform integer in [1, 2**64): ids of actors and incarnations (zero means none)."""
        ...

    def token(self, length: int) -> bytes:
        """`length` unpredictable bytes: nonces, write ids."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high]: jitter."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class SystemRandom:
    """The operating system's random numbers, fetched in bulk: a system call for each new actor would be felt."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._words: Iterator[int] = iter(())

    def u64(self) -> int:
        word = next(self._words, None)
        if word is None:
            self._words = iter(struct.unpack(f"<{RANDOM_WORDS}Q", self._random.randbytes(8 * RANDOM_WORDS)))
            word = next(self._words)
        return word or 1

    def token(self, length: int) -> bytes:
        return self._random.randbytes(length)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class SeededRandom:
    """The same, foretold: equal seeds give equal numbers on every machine and under every hash seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # of text it takes a cryptographic hash, so near seeds are not alike
        self.uniform = self._random.uniform
        self.token = self._random.randbytes

    def u64(self) -> int:
        return self._random.getrandbits(64) or 1


class Tasks:
    """Owner of every task of a node: none runs without a name, none dies unseen, all end at `cancel`."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in the order of their starts: a set's would be chance
        self.failures = 0

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` until it ends or `cancel`; an exception is logged once and counted in `failures`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures += 1
            import structlog  # a tenth of a second, which a client that only loads this module shall not wait for

            log = structlog.get_logger("dynkv.runtime")
            log.error("task failed", task=task.get_name(), error=repr(error), exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they are gone."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def pause(seconds: float) -> None:
    """Sleep on the running loop, whose time may be virtual."""
    await asyncio.sleep(seconds)


async def wait_until(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event` for at most `seconds`; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Slices:
    """For work that takes longer than the loop should be held: `await slices.end()` between its pieces gives the loop a
    turn whenever `SLICE_S` has passed since the last one."""

    SLICE_S = 0.00025

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()

    async def end(self) -> None:
        """A piece is done."""
        if self._clock.now() - self._began >= self.SLICE_S:
            await pause(0)
            self._began = self._clock.now()


class ProcessorWait:
    """How long this thread has been ready to run and was not let: seconds since it began, as Linux counts them.

    Always 0.0 where the kernel does not say.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def seconds(self) -> float:
        if self._file < 0:
            return 0.0
        return int(os.pread(self._file, 64, 0).split()[1]) / 1e9

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class LoopLag:
    """Measures how long the node held its own event loop: a timer due every `step` seconds notes how late it comes.

    Time for which the thread was ready and other processes had the processors is taken off (`ProcessorWait`): it says
    how busy the machine is, not that something here blocks. What blocks on the disk or computes too long is left.
    """

    def __init__(self, observe: Callable[[float], None], step: float = 0.01) -> None:
        self._observe = observe
        self._step = step
        self._handle: asyncio.TimerHandle | None = None
        self._wait = ProcessorWait()
        self._waited = 0.0
        self._due = 0.0

    def start(self) -> None:
        self._waited = self._wait.seconds()
        self._due = time.monotonic() + self._step
        self._handle = asyncio.get_running_loop().call_later(self._step, self._tick)

    def _tick(self) -> None:
        late = time.monotonic() - self._due
        self._observe(max(0.0, late - (self._wait.seconds() - self._waited)))
        self.start()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wait.close()
