"""Clients under way while a test does harm: threads that write and read through plain HTTP, and remember everything.

Each worker speaks to one node only, so a failure belongs to that node. Writers make new keys, and every few requests
read and rewrite one of some shared keys with the context of what they read, so there are conflicts, too. Readers read
keys that were acknowledged before; `strict` also holds that such a read shows the value (true where r + w > n among
primaries). A worker whose node is dead tries again until the test is over; the test says which failures count.
"""

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.cluster.history import History
from tests.cluster.http_client import Http
from tests.cluster.processes import Node
from tests.support import eventually

BUCKET = "load"
# Between two requests of a worker: a steady load that leaves the machine room to be late for reasons of its own.
PAUSE_S = 0.005
SHARED_KEYS = 8
UPDATE_EVERY = 5


class Failure(NamedTuple):
    """A request that did not do what was asked. `at`: monotonic seconds."""

    at: float
    node: str
    what: str


class Load:
    """Writers and readers against `nodes`. Use as a context manager: leaving it stops and joins all workers."""

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        writers: int = 2,
        readers: int = 1,
        strict: bool = True,
        pause_s: float = PAUSE_S,
        name: str = "",
    ) -> None:
        """name: in front of all keys, so that several loads on one cluster keep apart."""
        self.history = History()
        self.failures: list[Failure] = []
        self.completed: list[tuple[float, float, str]] = []  # when, seconds taken, node
        self._strict = strict
        self._pause_s = pause_s
        self._shared = f"{name}shared"
        self._written: list[tuple[str, bytes]] = []
        self._stop = threading.Event()
        self._workers = [
            threading.Thread(target=self._work, args=(node, kind, f"{name}{node.name}-{role}-{i}"), daemon=True)
            for node in nodes
            for kind, role, count in ((self._write, "w", writers), (self._read, "r", readers))
            for i in range(count)
        ]

    def __enter__(self) -> "Load":
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(30)
            assert not worker.is_alive(), f"{worker.name} hangs"

    def run_for(self, seconds: float) -> None:
        """Let the clients work, `seconds` of the clock: the load is what this test waits for."""
        end = time.monotonic() + seconds
        eventually(lambda: time.monotonic() >= end, seconds + 5, "the load's time is over")

    def run_until_acknowledged(self, more: int, deadline_s: float = 30.0) -> None:
        """Let the clients work until `more` writes beyond those so far are acknowledged."""
        goal = self.history.acknowledged() + more
        eventually(lambda: self.history.acknowledged() >= goal, deadline_s, f"{goal} acknowledged writes")

    def failures_of(self, nodes: Iterable[Node]) -> list[Failure]:
        """The failures of requests that went to these nodes."""
        names = {node.name for node in nodes}
        return [failure for failure in self.failures if failure.node in names]

    def longest_gap(self, nodes: Iterable[Node]) -> float:
        """The longest time in seconds without one completed request at these nodes together."""
        names = {node.name for node in nodes}
        times = sorted(at for at, _, node in self.completed if node in names)
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    # --- the workers --------------------------------------------------------------------------------------------------

    def _work(self, node: Node, request: Callable[[Http, str, int], str], name: str) -> None:
        client = Http(node.address)
        for count in itertools.count():
            if self._stop.wait(self._pause_s):
                break
            started = time.monotonic()
            try:
                what = request(client, name, count)
            except (OSError, http.client.HTTPException) as error:
                what = repr(error)
            now = time.monotonic()
            if what:
                self.failures.append(Failure(now, node.name, what))
            else:
                self.completed.append((now, now - started, node.name))
        client.close()

    def _write(self, client: Http, name: str, count: int) -> str:
        context, seen, key = None, list[bytes](), f"{name}-{count}"
        if count % UPDATE_EVERY == 0:
            key = f"{self._shared}-{count // UPDATE_EVERY % SHARED_KEYS}"
            reply = client.get(BUCKET, key)
            if reply.status not in (200, 300, 404):
                return f"GET {key}: {reply.status} {reply.body[:300]!r}"
            context, seen = reply.context, reply.values()
        value = f"{name}-{count}".encode()
        self.history.attempt(key, value, seen)
        reply = client.put(BUCKET, key, value, context)
        if reply.ok:
            self.history.applied(key, value)
            if context is None:
                self._written.append((key, value))
            return ""
        if reply.status == 503 and reply.json().get("outcome") == "not_applied":
            self.history.refused(key, value)
        return f"PUT {key}: {reply.status} {reply.body[:300]!r}"

    def _read(self, client: Http, name: str, count: int) -> str:
        if not self._written:
            return ""
        key, value = self._written[count * 7919 % len(self._written)]
        reply = client.get(BUCKET, key)
        if reply.status not in (200, 300, 404):
            return f"GET {key}: {reply.status} {reply.body[:300]!r}"
        if self._strict and not key.startswith(self._shared) and reply.values() != [value]:
            return f"GET {key}: acknowledged {value!r} not shown: {reply.status} {reply.body[:300]!r}"
        return ""


def check_history(history: History, nodes: Sequence[Node], **levels: object) -> list[str]:
    """What is wrong with all keys as each of `nodes` shows them at these levels; one line each."""

    def check(task: tuple[Node, str]) -> list[str]:
        node, key = task
        reply = node.http.get(BUCKET, key, **levels)
        if reply.status not in (200, 300, 404):
            return [f"{key} at {node.name}: {reply.status} {reply.body[:300]!r}"]
        return [f"at {node.name} {levels}: {fault}" for fault in history.faults(key, reply.values())]

    with ThreadPoolExecutor(8) as pool:
        tasks = [(node, key) for key in history.acknowledged_keys() for node in nodes]
        return [fault for faults in pool.map(check, tasks) for fault in faults]
