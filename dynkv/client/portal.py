"""A thread with an event loop, and the door to it: how blocking code uses what is written for asyncio.

Any thread may go through, also one that runs an event loop of its own (which then stands still, as with any blocking
call). The thread of the portal itself may not: it would wait for itself.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Any, TypeVar

from dynkv.client.errors import ClientClosed

T = TypeVar("T")


class Portal:
    """The thread starts with the first call and ends with `close`. A daemon: it never keeps a program from ending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._process = 0
        self._closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for it. ClientClosed."""
        future = self._submit(work)
        with _Waiting(future):
            return future.result()

    def run_here(self, work: Callable[["Here"], Coroutine[Any, Any, T]]) -> T:
        """The same, and what it hands to `Here` is done by the calling thread."""
        here = Here()
        future = self._submit(work(here))
        with _Waiting(future):
            here.serve(future)
            return future.result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last`, then end the thread; calls under way fail. May be called again, and from any thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None or self._process != os.getpid():
            return

        async def end() -> None:
            try:
                await last()
            finally:
                stop.set()

        future = asyncio.run_coroutine_threadsafe(end(), loop)
        if thread is not threading.current_thread():  # it may be: a collector runs in whatever thread allocates
            future.result()
            thread.join()

    def _submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        try:
            return asyncio.run_coroutine_threadsafe(work, self._running())
        except ClientClosed:
            work.close()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise ClientClosed("this client is closed")
            if self._thread is None:
                self._start()
            elif self._process != os.getpid():
                raise ClientClosed("this client was used before the fork; make one in each process")
            elif self._thread is threading.current_thread():
                raise ClientClosed("a resolver or codec uses the client that called it; it can only look at its values")
            assert self._loop is not None
            return self._loop

    def _start(self) -> None:
        started = threading.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._main, args=(started,), name="dynkv-client", daemon=True)
        self._thread.start()
        started.wait()

    def _main(self, started: threading.Event) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        started.set()
        await self._stop.wait()


class Here:
    """Takes calls from the portal's loop to the thread that waits for it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What `function` returns or raises in the waiting thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def settle(how: Callable[[Any], None], what: Any) -> None:
            if not answer.done():
                how(what)

        def run() -> None:
            try:
                result = function(argument)
            except StopIteration as error:  # which a future cannot carry
                failure = RuntimeError(f"the function raised {error!r}")
                failure.__cause__ = error
                loop.call_soon_threadsafe(settle, answer.set_exception, failure)
            except Exception as error:  # noqa: BLE001 - raised again where the call is awaited
                loop.call_soon_threadsafe(settle, answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(settle, answer.set_result, result)

        self._calls.put(run)
        return await answer

    def serve(self, until: "Future[Any]") -> None:
        """Do the calls as they come, until `until` is done."""
        until.add_done_callback(lambda _: self._calls.put(None))
        while (run := self._calls.get()) is not None:
            run()


class _Waiting:
    """While a thread waits: if it is interrupted, nobody wants the result; if the loop ends, the client was closed."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, CancelledError):
            raise ClientClosed("this client was closed while the call was under way") from error
        if error is not None and not self._future.done():
            self._future.cancel()
