"""Ctrl-C and the processes that a command starts for itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes started in here never see SIGINT: a terminal sends it to all of a group, and each would say how it was
    interrupted. They end when their pipe to us does. One that comes meanwhile is ours right after.

    The mask is inherited from the first instruction on; a handler of the child's own would be too late for its imports.
    """
    # Starting the tracker unblocks the signal, so it has to be there before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
