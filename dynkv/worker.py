"""Every background loop of a node is one of these, so status, metrics and pausing come free.

A worker has a name and a `step` that does a bounded piece of work and says what it found: `BUSY` (there is more: go on
after giving the loop a turn), `IDLE` (nothing to do: sleep until woken or until `rest_s` has passed), or a number of
seconds (throttled: not before then). A step that raises is logged with its worker's name, counted, and tried again
after a rest that doubles up to a minute: no fault ends a background loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
import structlog

from dynkv.runtime import Tasks, pause, wait_until

BUSY: Final = 0.0
IDLE: Final = None
Found = float | None

REST_AFTER_FAULT_S_MAX = 60.0

log = structlog.get_logger("dynkv.worker")


class WorkerStatus(msgspec.Struct):
    """What a worker is doing, for status pages and metrics."""

    name: str
    state: Literal["busy", "idle", "throttled", "failing", "stopped"] = "idle"
    steps: int = 0
    failures: int = 0
    last_failure: str | None = None


class Worker:
    """One background loop."""

    def __init__(self, name: str, step: Callable[[], Awaitable[Found]], *, rest_s: float) -> None:
        self.status = WorkerStatus(name)
        self._step = step
        self._rest_s = rest_s
        self._woken = asyncio.Event()

    def start(self, tasks: Tasks) -> None:
        tasks.start(self.status.name, self._run())

    def wake(self) -> None:
        """There may be work: end the rest, if any."""
        self._woken.set()

    async def _run(self) -> None:
        status = self.status
        rest_after_fault_s = 1.0
        try:
            while True:
                self._woken.clear()
                try:
                    found = await self._step()
                except Exception as error:  # noqa: BLE001  # a background loop outlives any fault; it is logged and counted
                    status.state = "failing"
                    status.failures += 1
                    status.last_failure = str(error) or repr(error)
                    log.warning("background work failed", worker=status.name, error=status.last_failure)
                    await pause(rest_after_fault_s)
                    rest_after_fault_s = min(2 * rest_after_fault_s, REST_AFTER_FAULT_S_MAX)
                    continue
                rest_after_fault_s = 1.0
                status.steps += 1
                if found is None:
                    status.state = "idle"
                    await wait_until(self._woken, self._rest_s)
                else:
                    status.state = "throttled" if found > 0 else "busy"
                    await pause(found)
        finally:
            status.state = "stopped"
