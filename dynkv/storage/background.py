"""The one thread beside the event loop: what blocks on the disk runs here, one piece after the other.

A pool would start threads on demand and cost a future for each piece; a group commit needs neither. The order is a
promise: a close begun after a sync runs after it, so the two never touch the open files at once.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable

import structlog

from dynkv.storage.base import Done

log = structlog.get_logger("dynkv.storage")

Work = Callable[[], None]


def _wake_at_once() -> None:
    """This thread has next to nothing to compute, and everybody who writes waits for it: when the disk is done it is to
    run at once, also in a process that otherwise does not preempt others (SCHED_BATCH, inherited from its start)."""
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_BATCH:  # of this thread alone
        try:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        except OSError as error:  # forbidden by a container's rules: it is a matter of speed only
            log.info("the syncing thread keeps its scheduling", reason=error.strerror)


class Background:
    """Runs work on one thread of its own. Made and used on the loop."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        # A daemon: a process on its way out must not hang on a disk that does not answer.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, work: Work, done: Done) -> None:
        """Run `work` after all begun before it; then `done` with its exception, or None, on the loop."""
        self._queue.put((work, done))

    async def run(self, work: Work) -> None:
        """Run `work` in its turn and wait for it; raises what it raised. If cancelled, `work` runs to its end."""
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.begin(work, done)
        await future

    def stop(self) -> None:
        """Let the thread end after what was begun. Nothing may be begun afterwards."""
        self._queue.put(None)

    def _run(self) -> None:
        _wake_at_once()
        while (item := self._queue.get()) is not None:
            work, done = item
            error: Exception | None = None
            try:
                work()
            except Exception as caught:  # noqa: BLE001 - nothing is swallowed: `done` gets it on the loop
                error = caught
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:
                return  # the loop is closed: nobody is left to be told
            del work, done, error, item  # while waiting, keep no store alive through its callbacks
