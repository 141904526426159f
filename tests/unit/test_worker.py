"""Background loops: woken, throttled, and alive after any fault."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dynkv import worker as workers
from dynkv.runtime import Tasks
from dynkv.worker import BUSY, IDLE, Found, Worker
from tests.unit.cluster_in_memory import run
from tests.unit.peers import until


async def running(step: Callable[[], Awaitable[Found]], rest_s: float = 60.0) -> tuple[Worker, Tasks]:
    worker, tasks = Worker("w", step, rest_s=rest_s), Tasks()
    worker.start(tasks)
    return worker, tasks


def test_busy_goes_on_idle_rests_until_woken() -> None:
    async def main() -> None:
        left = [IDLE, BUSY, 0.001, BUSY]

        async def step() -> Found:
            return left.pop() if left else IDLE

        worker, tasks = await running(step)
        await until(lambda: not left and worker.status.state == "idle")
        assert worker.status.steps == 4
        worker.wake()
        await until(lambda: worker.status.steps == 5)
        await tasks.cancel()
        assert worker.status.state == "stopped"

    run(main)


def test_a_wake_during_a_step_is_not_lost() -> None:
    async def main() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def step() -> Found:
            begun.set()
            await go_on.wait()
            return IDLE

        worker, tasks = await running(step)
        await begun.wait()
        worker.wake()
        go_on.set()
        await until(lambda: worker.status.steps == 2)
        await tasks.cancel()

    run(main)


def test_no_fault_ends_it_and_rests_double(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        rests: list[float] = []

        async def no_pause(seconds: float) -> None:
            rests.append(seconds)

        monkeypatch.setattr(workers, "pause", no_pause)
        faults = [OSError(f"{number}") for number in range(9)]

        async def step() -> Found:
            if faults:
                raise faults.pop(0)
            return IDLE

        worker, tasks = await running(step)
        await until(lambda: worker.status.state == "idle" and worker.status.steps == 1)
        assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert worker.status.failures == 9
        assert worker.status.last_failure == "8"
        await tasks.cancel()
        assert tasks.failures == 0

    run(main)
