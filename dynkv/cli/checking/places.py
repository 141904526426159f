"""Through whom the clients ask: a client bound to each node, and one that knows all and goes on elsewhere."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple

from dynkv.cli.settings import TOKEN_ENV
from dynkv.client import AsyncClient
from dynkv.runtime import Random

# Shorter than a node's own patience with a quorum: then the client does not know, and the history says so.
PINNED_S = 2.0
ANY_S = 5.0


class Place(NamedTuple):
    """Whom a request goes to, as the history says it, and through what."""

    node: str
    client: AsyncClient


class Places:
    """`async with Places(urls) as places:`, urls by node."""

    def __init__(self, urls: Mapping[str, str], random: Random) -> None:
        self._random = random
        token = os.environ.get(TOKEN_ENV, "")
        self.pinned = [
            Place(node, AsyncClient(url, route=False, timeout_s=PINNED_S, token=token)) for node, url in urls.items()
        ]
        self.any = Place("any", AsyncClient(list(urls.values()), timeout_s=ANY_S, token=token))

    async def __aenter__(self) -> "Places":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in (*self.pinned, self.any):
            await place.client.close()

    def one(self, process: int) -> Place:
        """For the next request of this process: processes of odd number use the client as programs should, the others
        go to some node and take what comes."""
        return self.any if process % 2 else self.node()

    def node(self) -> Place:
        """Some node."""
        return self.pinned[self._random.u64() % len(self.pinned)]
