"""A node of a cluster in one loop, with HTTP in front, for tests of typed values; only wire and disks are not real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import cbor2
import msgspec

from dynkv.http.server import HttpServer
from dynkv.http.stats import HttpStats
from dynkv.http.view import HttpLimits
from dynkv.runtime import Tasks
from tests.unit.cluster_in_memory import Cluster
from tests.unit.held_server import HeldServer
from tests.unit.http_node import MemoryView
from tests.unit.http_raw import Answer, RawClient

JSON = {"Content-Type": "application/json"}
CBOR = {"Content-Type": "application/cbor"}


class Front:
    """HTTP in front of one node of `cluster`."""

    def __init__(self, cluster: Cluster, view: MemoryView, client: RawClient) -> None:
        self.cluster = cluster
        self.view = view
        self.client = client

    async def ask(
        self, method: str, target: str, body: Any = None, fields: dict[str, str] | None = None, *, cbor: bool = False
    ) -> Answer:
        """`body` is encoded, unless it is None or bytes."""
        data = body if body is None or isinstance(body, bytes) else (cbor2.dumps if cbor else msgspec.json.encode)(body)
        form = {} if body is None else (CBOR if cbor else JSON)
        return await self.client.ask(method, target, data, form | (fields or {}))

    async def post(self, target: str, body: Any, context: str | None = None, **fields: str) -> Answer:
        """An update that must succeed; `fields` by names with underscores."""
        said = {name.replace("_", "-"): value for name, value in fields.items()}
        answer = await self.ask("POST", target, body, said | ({} if context is None else {"Dynkv-Context": context}))
        assert answer.status in (200, 204), answer
        return answer

    async def value(self, target: str) -> Any:
        """Of a typed key that must be there."""
        answer = await self.ask("GET", target)
        assert answer.status == 200, answer
        return answer.json()["value"]


Story = Callable[[Front], Awaitable[None]]


def play(story: Story, **limits: Any) -> None:
    """Run `story` with a fresh cluster and one connection to one of its nodes."""

    async def main() -> None:
        cluster = Cluster(3)
        async with in_front_of(cluster, "n1", **limits) as (server, port), await RawClient.connect(port) as client:
            assert isinstance(server.view, MemoryView)
            await story(Front(cluster, server.view, client))

    asyncio.run(main())


@asynccontextmanager
async def in_front_of(cluster: Cluster, name: str, **limits: Any) -> AsyncIterator[tuple[HttpServer, int]]:
    """A server in front of one node, and its port; its answers are all as described."""
    tasks = Tasks()
    server = HeldServer(MemoryView(HttpLimits(**limits)), cluster.nodes[name].coordinator, tasks, HttpStats())
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(5.0)
        await tasks.cancel()
    assert tasks.failures == 0
    assert server.budget.held == 0
    assert server.faults == ()
