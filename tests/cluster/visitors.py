"""Clients in sessions under way while a test does harm: plain HTTP, each request to another node, one token carried on.

Each visitor is a thread that writes and reads a few keys that all of them share, now with the context of what it read,
now without. `session_told`, the oracle, looks at every answer and is the only judge. A *careful* visitor uses the
levels that nobody chooses (r = w = 2 of 3); an *eager* one takes what one replica says, and may be told "behind".
"""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

from tests.cluster.http_client import Http, Reply
from tests.cluster.processes import Node
from tests.support import eventually
from tests.unit.session_told import TellTale, Told

BUCKET = "sessions"
KEYS = tuple(f"k{number}" for number in range(6))
# Of an answer: a paused node gives none, and the visitor goes elsewhere, and not there for a while.
ANSWER_S = 2.0
AVOID_S = 1.0
PAUSE_S = 0.004


class Visitors:
    """`careful` and `eager` ones against `nodes`. A context manager: leaving it stops and joins all threads."""

    def __init__(self, nodes: Sequence[Node], *, careful: int = 4, eager: int = 4) -> None:
        self.told = {key: Told() for key in KEYS}
        self.violations: list[str] = []
        self.refused: list[str] = []  # what careful ones were refused by a node that answered
        self.counts: Counter[str] = Counter()
        self._nodes = nodes
        self._lock = threading.Lock()
        self._stop = threading.Event()
        names = [f"careful{i}" for i in range(careful)] + [f"eager{i}" for i in range(eager)]
        self._threads = [threading.Thread(target=self._visit, args=(name,), daemon=True) for name in names]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def run(self, reads: int, deadline_s: float = 40.0) -> None:
        """Until so many more reads were answered."""
        goal = self.counts["read"] + reads
        eventually(lambda: self.counts["read"] >= goal or self.violations, deadline_s, f"{goal} reads")

    def _visit(self, name: str) -> None:
        visitor = Visitor(self, name)
        while not self._stop.wait(PAUSE_S):
            try:
                visitor.step()
            except AssertionError as violation:
                self.violations.append(f"{name}: {violation}")
                return
        visitor.close()

    # --- what a visitor tells and is told -----------------------------------------------------------------------------

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def writes(self, key: str, value: bytes, replaced: frozenset[bytes], seen: frozenset[bytes]) -> None:
        with self._lock:
            self.told[key].writes(value, replaced, seen)

    def shown(self, tale: TellTale, key: str, values: Sequence[bytes]) -> frozenset[bytes]:
        with self._lock:
            self.counts["read"] += 1
            return tale.is_shown(self.told[key], key, values)


class Visitor:
    """One session."""

    def __init__(self, visitors: Visitors, name: str) -> None:
        self._all = visitors
        self._name = name
        self._eager = name.startswith("eager")
        self._chance = random.Random(name)
        self._https = {node.name: Http(node.address, ANSWER_S) for node in visitors.nodes()}
        self._avoid: dict[str, float] = {}
        self._tale = TellTale()
        self._token = "new"
        self._contexts: dict[str, tuple[str, frozenset[bytes]]] = {}
        self._count = 0

    def close(self) -> None:
        for client in self._https.values():
            client.close()

    def step(self) -> None:
        key = self._chance.choice(KEYS)
        if self._chance.random() < 0.5:
            self._read(key)
        else:
            self._write(key)

    def _read(self, key: str) -> None:
        query = {"r": self._chance.choice((1, 2))} if self._eager else {}
        reply = self._ask("GET", key, query=query)
        if reply is not None:
            known = self._all.shown(self._tale, key, reply.values())
            if reply.context:
                self._contexts[key] = reply.context, known

    def _write(self, key: str) -> None:
        self._count += 1
        value = f"{self._name}/{self._count}".encode()
        token, replaced = (
            self._contexts.get(key, ("", frozenset())) if self._chance.random() < 0.6 else ("", frozenset())
        )
        own = self._tale.wrote.get(key, frozenset())
        self._all.writes(key, value, replaced | own, self._tale.seen.get(key, frozenset()))
        query = {"w": self._chance.choice((1, 2))} if self._eager else {}
        if self._ask("PUT", key, value, {"Dynkv-Context": token} if token else {}, query) is not None:
            self._tale.has_written(key, value)
            self._all.counts["written"] += 1

    def _ask(
        self,
        method: str,
        key: str,
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
        query: dict[str, int] | None = None,
    ) -> Reply | None:
        """The answer of some node, which carries the session on; None if it was none."""
        now = time.monotonic()
        names = [name for name in self._https if self._avoid.get(name, 0.0) < now] or list(self._https)
        name = self._chance.choice(names)
        headers = {"Dynkv-Session": self._token, **(fields or {})}
        try:
            reply = self._https[name].request(method, f"/kv/{BUCKET}/{key}", body, headers, query)
        except (OSError, http.client.HTTPException):
            self._avoid[name] = time.monotonic() + AVOID_S
            self._all.counts["no answer"] += 1
            return None
        if reply.status in (200, 204, 300, 404):
            self._token = reply.headers["dynkv-session"]
            return reply
        kind = reply.json()["type"].rpartition(":")[2]
        self._all.counts[kind] += 1
        if not self._eager or kind not in ("session-behind", "quorum-unmet"):
            self._all.refused.append(f"{self._name} at {name}: {reply.status} {reply.body[:400]!r}")
        return None
