"""What every kind of test uses: waiting for a condition with a deadline, and ports nobody else takes.

`eventually` is the only place in the tests that lets real time pass without an event: it looks, waits a small step,
looks again, and fails with what it was waiting for once the deadline is over. A test never sleeps to hope.
"""

import asyncio
import itertools
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 10.0
STEP_S = 0.02

# Below Linux's range for outgoing connections (32768 and up): a port in that range, free while its node is down, may
# be taken by some client's connection before the node is back. Each test process begins at a place of its own, and the
# workers of one run far from each other: a node that is down leaves its port to whoever comes by.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.islice(itertools.cycle(range(12_000, 32_000)), (os.getpid() * 97 + _WORKER * 7_000) % 20_000, None)


def eventually(condition: Callable[[], T], deadline_s: float = DEADLINE_S, what: str = "") -> T:
    """The first truthy value of `condition()`, asked every 20 ms; AssertionError after `deadline_s` seconds.

    `what` says in the failure what was awaited. An AssertionError of `condition` counts as "not yet" and is the
    failure's cause if it is the last word; any other error of it is the caller's at once.
    """
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        why: AssertionError | None = None
        value: T | None = None
        try:
            value = condition()
        except AssertionError as error:
            why = error
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_failure(what, condition, deadline_s, value)) from why
        pause.wait(STEP_S)


async def eventually_async(condition: Callable[[], Awaitable[T]], deadline_s: float = DEADLINE_S, what: str = "") -> T:
    """`eventually` on the running loop, in the loop's time, for a `condition` that is itself awaited."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        why: AssertionError | None = None
        value: T | None = None
        try:
            value = await condition()
        except AssertionError as error:
            why = error
        if value:
            return value
        if loop.time() >= end:
            raise AssertionError(_failure(what, condition, deadline_s, value)) from why
        try:
            await asyncio.wait_for(asyncio.Event().wait(), STEP_S)  # nobody sets it: one step of the loop's time
        except TimeoutError:
            pass


def _failure(what: str, condition: Callable[..., object], deadline_s: float, value: object) -> str:
    return f"not within {deadline_s:g} s: {what or getattr(condition, '__qualname__', condition)}; last value {value!r}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago and that this process has not handed out before."""
    for port in itertools.islice(_PORTS, 20_000):
        with socket.socket() as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: closing connections do not count
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port in 12000..31999")
