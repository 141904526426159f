"""The loop of a simulated process does what asyncio's own does, where a node would notice."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar

from dynkv.runtime import pause
from dynkv.sim.loop import ProcessLoop
from dynkv.sim.world import World

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def played(main: Callable[[], Awaitable[object]]) -> list[str]:
    """`main` in a process of its own, in an empty context, to its end; the defects that were noted."""
    world = World()
    defects: list[str] = []
    loop = ProcessLoop("p", world, defect=lambda process, what, error: defects.append(f"{what}: {error!r}"))

    async def whole() -> None:
        await main()

    def play() -> None:
        task = loop.create_task(whole(), name="main")
        world.run(task.done, 100.0)
        task.result()

    Context().run(play)  # the test's own may hold something, and an empty one is the hard case: it is false
    return defects


def test_a_task_goes_on_in_its_own_context_whoever_wakes_it() -> None:
    seen: list[str] = []

    async def main() -> None:
        ready = asyncio.get_running_loop().create_future()

        async def wakes() -> None:
            WHO.set("waker")
            ready.set_result(None)

        async def waits() -> None:
            await ready
            seen.append(WHO.get())

        await asyncio.gather(asyncio.create_task(waits()), asyncio.create_task(wakes()))
        seen.append(WHO.get())

    assert played(main) == []
    assert seen == ["nobody", "nobody"]


def test_what_a_callback_raises_is_a_defect_of_the_process_and_the_rest_goes_on() -> None:
    ran: list[str] = []

    def rest(done: "asyncio.Future[None]") -> None:
        ran.append("rest")
        done.set_result(None)

    def cancelled() -> None:
        raise asyncio.CancelledError

    def failed() -> None:
        raise ValueError("no")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        loop.call_soon(cancelled)
        loop.call_later(1.0, failed)
        loop.call_later(2.0, rest, done)
        await done

    defects = played(main)
    assert ran == ["rest"]
    assert [defect.partition(": ")[2] for defect in defects] == ["CancelledError()", "ValueError('no')"]
    assert "cancelled" in defects[0]
    assert "0x" not in "".join(defects), "the same words in every run"


def test_a_timer_that_was_cancelled_does_not_fire_and_is_not_left() -> None:
    fired: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        timers = [loop.call_later(n / 100, fired.append, n) for n in range(1_000)]
        for timer in timers[1:]:
            timer.cancel()
            timer.cancel()
        await pause(20.0)  # of the world's time
        assert timers[1].cancelled()
        assert loop.timers == []

    assert played(main) == []
    assert fired == [0]
