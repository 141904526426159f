"""The event loop of one simulated process.

Every process has a loop of its own, so it can be paused (SIGSTOP: what is due fires late, all at once), slowed down,
or killed (SIGKILL: nothing of it runs any more, no `finally` and no callback) without the others noticing but for its
silence. A loop turns when something is due: it runs what is ready, as asyncio's own does, and what comes of that is
ready for the next turn. Within a turn time stands still; a turn takes as long as its callbacks are charged for.

    idle ──due, or called from outside──▶ turn ──more is ready──▶ turn, when this one is paid for
                                            └──────────────────▶ idle until the next timer
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from dynkv.sim.world import World

log = structlog.get_logger("dynkv.sim")

T = TypeVar("T")
Context = contextvars.Context
copy_context = contextvars.copy_context
Work = Coroutine[Any, Any, T] | Generator[Any, None, T]

# What a callback takes, for the order of magnitude: more would be a slow machine, nothing would let a busy wait stop
# time.
CALLBACK_S = 10e-6
# Of cancelled timers so many are kept before they are swept out.
CANCELLED_MAX = 200


class Callback:
    """What asyncio calls a handle, of a callback or a timer, with nothing that is not used here: half a million of them
    are made in a run, and a run is what they take."""

    __slots__ = ("_loop", "args", "callback", "context", "dropped", "timed")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, loop: "ProcessLoop"
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.dropped = False
        self.timed = False  # it stands among the timers, which are told when it is dropped
        self._loop = loop

    def cancel(self) -> None:
        if not self.dropped:
            self.dropped = True
            if self.timed:
                self._loop.timer_dropped()

    def cancelled(self) -> bool:
        return self.dropped

    @property
    def name(self) -> str:
        """Of what is called, the same in every run."""
        callback = self.callback.func if isinstance(self.callback, partial) else self.callback
        return getattr(callback, "__qualname__", type(callback).__name__)


if TYPE_CHECKING:
    Loop = asyncio.BaseEventLoop  # which has everything; what is not written out below is not used
else:
    Loop = asyncio.AbstractEventLoop  # which has nothing


class ProcessLoop(Loop):
    """As much of an event loop as a node needs: callbacks, timers, futures, tasks; no sockets, no threads.

    `origin`: what its clock shows when the world begins. `lag()`: how long a process that has something to do waits
    for a processor. `callback_s`: what a callback takes.
    """

    def __init__(
        self,
        name: str,
        world: World,
        *,
        origin: float = 0.0,
        lag: Callable[[], float] = lambda: 0.0,
        defect: Callable[[str, str, BaseException | None], None],
    ) -> None:
        """`defect(process, what, error)` is told of what asyncio would have logged: exceptions that nobody took."""
        self.name = name
        self.callback_s = CALLBACK_S
        self.alive = True
        self.lag = lag
        self._world = world
        self._origin = origin
        self._defect = defect
        self._ready: deque[Callback] = deque()
        self._timers: list[tuple[float, int, Callback]] = []
        self._made = 0
        self._cancelled = 0
        self._wakes_at: float | None = None
        self._busy_until = 0.0
        self._turning = False
        self.paused = False
        self._tasks: dict[asyncio.Task[Any], None] = {}

    # --- what the world does to it ------------------------------------------------------------------------------------

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self.paused = False
        self._wakes_at = None
        self._line_up()

    def kill(self) -> None:
        """SIGKILL. Coroutines are closed, as the end of a process frees its memory; what they try on their way out
        (to send, to wait, to write) must find everything dead already."""
        self.alive = False
        self._ready.clear()
        self._timers.clear()
        killer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            for task in list(self._tasks):
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # meant for those who end loops early
                try:
                    coroutine = task.get_coro()
                    assert coroutine is not None
                    coroutine.close()
                except RuntimeError:
                    continue  # it would wait in a `finally`: nobody waits in a dead process
        finally:
            asyncio._set_running_loop(killer)
        self._tasks.clear()

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Tasks that have not ended, in the order of their starts."""
        return list(self._tasks)

    @property
    def timers(self) -> list[Callback]:
        """Timers that will fire."""
        return [timer for _, _, timer in self._timers if not timer.dropped]

    # --- turning ------------------------------------------------------------------------------------------------------

    def _line_up(self) -> None:
        """Have the world wake this loop when it has something to do."""
        if self._turning or self.paused or not self.alive:
            return
        if self._ready:
            when = self._world.now
        else:
            timers = self._timers
            while timers and timers[0][2].dropped:
                heappop(timers)
                self._cancelled -= 1
            if not timers:
                return
            when = max(timers[0][0] - self._origin, self._world.now)
        if when < self._busy_until:
            when = self._busy_until
        if self._wakes_at is None or when < self._wakes_at:
            self._wakes_at = when = when + self.lag()
            self._world.at(when, self._wake)

    def _wake(self) -> None:
        # A wake that was overtaken by an earlier one finds another time noted.
        if self._wakes_at != self._world.now or self.paused or not self.alive:
            return
        self._wakes_at = None
        self._turning = True
        ready, timers = self._ready, self._timers
        now = self.time()
        while timers and timers[0][0] <= now:
            timer = heappop(timers)[2]
            if timer.dropped:
                self._cancelled -= 1
            else:
                timer.timed = False
                ready.append(timer)
        count = len(ready)
        asyncio._set_running_loop(self)
        try:
            for _ in range(count):
                call = ready.popleft()
                if not call.dropped:
                    try:
                        call.context.run(call.callback, *call.args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - as in asyncio: it is a defect of the process
                        self.call_exception_handler({"message": f"in {call.name}", "exception": error})
        finally:
            asyncio._set_running_loop(None)
            self._turning = False
        self._busy_until = self._world.now + max(1, count) * self.callback_s
        self._line_up()

    # --- asyncio's side -----------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._world.now + self._origin

    def since_began(self) -> float:
        """Seconds since the world began, whatever this process' clock showed then."""
        return self._world.now

    def call_soon(  # type: ignore[override]  # typeshed's names of the variadic part
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        call = Callback(callback, args, copy_context() if context is None else context, self)
        if self.alive:
            self._ready.append(call)
            if not self._turning:
                self._line_up()
        return call  # type: ignore[return-value]  # it can be cancelled, and nobody asks more of a handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there is one thread

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = Callback(callback, args, copy_context() if context is None else context, self)
        if self.alive:
            self._made += 1
            heappush(self._timers, (when, self._made, timer))
            timer.timed = True
            if not self._turning:
                self._line_up()
        return timer  # type: ignore[return-value]  # as above

    def timer_dropped(self) -> None:
        """One that is still among the timers will not fire."""
        self._cancelled += 1
        if self._cancelled > CANCELLED_MAX and 2 * self._cancelled > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].dropped]
            heapify(self._timers)
            self._cancelled = 0

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # typeshed's takes anything
        self, coro: Work[T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        if self.alive:
            self._tasks[task] = None
            task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._turning

    def is_closed(self) -> bool:
        return not self.alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self._defect(self.name, str(context.get("message", "")), context.get("exception"))
