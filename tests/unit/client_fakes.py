"""Nodes as a client meets them, in the test's own loop: small aiohttp servers that answer, refuse, hang or hang up.

`FakeCluster` has some of them around one `Store`, which applies writes as a node does (the real `put`, real contexts),
tells `/ring` and `/nodes`, and remembers every request with the node that it came to. `cluster.rule` may take a
request out of their hands:

    cluster.rule = lambda asked: HANG if asked.node == "n1" else None

None: it is answered properly. A `Said`: that is the answer. HANG: nothing comes. HANG_UP: the connection breaks before
anything is done. APPLY_AND_HANG_UP: it breaks after.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import cbor2
from aiohttp import web

from dynkv.client import AsyncClient
from dynkv.core import record as records
from dynkv.core.context import Tokens
from dynkv.core.errors import BadContext
from dynkv.core.record import Record
from dynkv.http.values import CBOR, body, content_type, dot
from dynkv.runtime import SystemClock, SystemRandom
from ring.tokens import partition_of, token
from tests.support import eventually_async

HANG: Final = "hang"
HANG_UP: Final = "hang up"
APPLY_AND_HANG_UP: Final = "apply and hang up"

PARTITIONS = 8
ACTOR = 0xA1
TIME = 1_800_000_000_000 << 16


class Asked(NamedTuple):
    """A request as it came. `key`: of /kv/BUCKET/KEY, else empty."""

    node: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def write_id(self) -> str:
        return self.headers.get("Idempotency-Key", "")

    @property
    def about_a_key(self) -> bool:
        return self.path.startswith("/kv/")


class Said(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Rule = Callable[[Asked], Said | str | None]


class LaterClock(SystemClock):
    """The machine's, set forward by `later_s`."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def now(self) -> float:
        return super().now() + self.later_s


class StoppedClock(SystemClock):
    """Always the moment at which it was made: what holds for a moment holds for good."""

    def __init__(self) -> None:
        self._now = super().now()

    def now(self) -> float:
        return self._now


# Pauses that end a call of one second long before its deadline: at 0.75 s, when the next would be 0.8 s.
LONG_PAUSES: dict[str, Any] = {"pause_s": 0.05, "pause_max_s": 60.0}


class LongestRandom(SystemRandom):
    """Chance that always draws the longest pause."""

    def uniform(self, low: float, high: float) -> float:
        return high


def problem(kind: str, status: int, headers: Mapping[str, str] | None = None, **members: Any) -> Said:
    """An answer of this kind, as a node writes it."""
    told = {"type": f"urn:dynkv:problem:{kind}", "title": kind, "status": status, "detail": f"{kind}!", **members}
    head = {"Content-Type": "application/problem+json"} | dict(headers or {})
    if "outcome" in members:
        head["Dynkv-Outcome"] = members["outcome"]
    return Said(status, json.dumps(told).encode(), head)


class Store:
    """One copy of each key, and what a node says of it."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, bytes], Record] = {}
        self.tokens = Tokens(b"a secret of the fakes")
        self._time = TIME

    def put(self, bucket: str, key: bytes, value: bytes | None, kind: str, write_id: bytes, context: str) -> Said:
        try:
            vector = self.tokens.parse(bucket, key, context) if context else ()
        except BadContext as error:
            return problem("bad-context", 400, outcome="not_applied", field=error.field)
        copy = self.records.get((bucket, key))
        if value is None and not context and copy is not None:
            vector = copy.vector
        known = () if copy is None else copy.siblings
        if not any(sibling.write_id == write_id for sibling in known):
            self._time += 1 << 16
            copy = records.put(copy, vector, ACTOR, self._time, value, kind, write_id)
            self.records[bucket, key] = copy
        assert copy is not None
        mine = next(sibling for sibling in copy.siblings if sibling.write_id == write_id)
        seen = records.context_of_write(copy, write_id)
        headers = {
            "Dynkv-Context": self.tokens.make(bucket, key, seen),
            "ETag": f'"{records.digest(records.encode(copy)).hex()}"',
            "Dynkv-Siblings": str(len(records.shown(copy))),
            "Dynkv-Outcome": "applied",
            "Dynkv-Dot": dot(mine.actor, mine.counter),
        }
        return Said(204, b"", headers)

    def get(self, bucket: str, key: bytes) -> Said:
        return answer(bucket, key, self.records.get((bucket, key)), self.tokens)


def answer(bucket: str, key: bytes, record: Record | None, tokens: Tokens) -> Said:
    """What a node answers to a GET that found `record`."""
    if record is None:
        return problem("not-found", 404)
    context = tokens.make(bucket, key, record.vector)
    digest = records.digest(records.encode(record))
    shown = records.shown(record)
    hidden = sum(1 for sibling in record.siblings if sibling.value is None)
    headers = {"Dynkv-Context": context, "ETag": f'"{digest.hex()}"', "Dynkv-Siblings": str(len(shown))}
    if hidden:
        headers["Dynkv-Tombstones"] = str(hidden)
    if not shown:
        return problem("deleted", 404, headers)
    if len(shown) == 1:
        head = {"Content-Type": content_type(shown[0]), "Last-Modified": "Fri, 15 Jan 2027 08:00:00 GMT"}
        return Said(200, shown[0].value or b"", headers | head)
    form, data = body(CBOR, shown, context, digest)
    return Said(300, data, headers | {"Content-Type": form})


class FakeNode:
    """One server on a port of its own."""

    def __init__(self, name: str, cluster: "FakeCluster") -> None:
        self.name = name
        self._cluster = cluster
        self._runner: web.ServerRunner | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Connections break, new ones are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Asked(
            self.name,
            request.method,
            request.rel_url.raw_path,
            request.query,
            request.headers,
            await request.content.read(),
        )
        cluster = self._cluster
        cluster.asked.append(asked)
        verdict = cluster.rule(asked)
        if verdict == HANG:
            await asyncio.Event().wait()
        if verdict in (HANG_UP, APPLY_AND_HANG_UP):
            if verdict == APPLY_AND_HANG_UP:
                cluster.answer(asked)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        said = verdict if isinstance(verdict, Said) else cluster.answer(asked)
        return web.Response(status=said.status, body=said.body, headers=dict(said.headers))


class FakeCluster:
    """See the module's text. `ring`: whether `/ring` is told; without it they are servers that take every request."""

    def __init__(self, count: int) -> None:
        self.store = Store()
        self.nodes = [FakeNode(f"n{i + 1}", self) for i in range(count)]
        self.asked: list[Asked] = []
        self.rule: Rule = lambda asked: None
        self.ring = True
        self.addresses: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> FakeNode:
        return next(node for node in self.nodes if node.name == name)

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def requests(self, method: str = "") -> list[Asked]:
        """Those about keys so far, in order."""
        return [asked for asked in self.asked if asked.about_a_key and method in ("", asked.method)]

    def preference(self, partition: int) -> list[str]:
        """Each node is the first of some partitions."""
        names = [node.name for node in self.nodes]
        start = partition % len(names)
        return names[start:] + names[:start]

    def primary(self, bucket: str, key: str) -> str:
        return self.preference(partition_of(token(bucket, key.encode()), PARTITIONS))[0]

    def key_of(self, node: str) -> str:
        """A key of bucket `b` whose first primary is this node."""
        return next(f"k{i}" for i in range(1000) if self.primary("b", f"k{i}") == node)

    def answer(self, asked: Asked) -> Said:
        if asked.path == "/ring" and self.ring:
            preference = [self.preference(partition) for partition in range(PARTITIONS)]
            return _json({"partitions": PARTITIONS, "n": 3, "preference": preference})
        if asked.path == "/nodes" and self.ring:
            nodes = [{"id": node.name, "http": self.addresses.get(node.name, node.address)} for node in self.nodes]
            return _json({"node": asked.node, "nodes": nodes})
        if not asked.about_a_key:
            return problem("no-route", 404)
        _, _, bucket, raw = asked.path.split("/", 3)
        key = unquote_to_bytes(raw)
        if asked.method in ("GET", "HEAD"):
            return self.store.get(bucket, key)
        value = asked.body if asked.method == "PUT" else None
        headers = asked.headers
        kind, context = headers.get("Content-Type", ""), headers.get("Dynkv-Context", "")
        return self.store.put(bucket, key, value, kind, asked.write_id.encode(), context)


def _json(value: Any) -> Said:
    return Said(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def cbor(value: Any, status: int = 200) -> Said:
    return Said(status, cbor2.dumps(value), {"Content-Type": "application/cbor"})


@asynccontextmanager
async def fake_cluster(count: int = 3) -> AsyncIterator[FakeCluster]:
    """Nodes that serve; stopped at the end."""
    cluster = FakeCluster(count)
    for node in cluster.nodes:
        await node.start()
    try:
        yield cluster
    finally:
        cluster.rule = lambda asked: None
        for node in cluster.nodes:
            await node.stop()


@asynccontextmanager
async def client_of(cluster: FakeCluster, *, known: bool = True, **settings: Any) -> AsyncIterator[AsyncClient]:
    """A client of all nodes with short pauses. `known`: it has asked for the ring, which is then no request of the
    test's."""
    async with AsyncClient(cluster.urls, **{"pause_s": 0.001, "pause_max_s": 0.01} | settings) as client:
        if known:
            await client.refresh()
            await eventually_async(_settled(cluster), what="the ring is asked for")
            cluster.asked.clear()
        yield client


def _settled(cluster: FakeCluster) -> Callable[[], Any]:
    async def settled() -> bool:
        return any(asked.path == "/ring" for asked in cluster.asked)

    return settled
