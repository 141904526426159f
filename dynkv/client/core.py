"""A client's parts, put together on its loop."""

import asyncio
from collections.abc import Sequence

from dynkv.client.caller import Caller
from dynkv.client.codecs import Codecs
from dynkv.client.health import Health
from dynkv.client.keys import new_write_id
from dynkv.client.options import Options
from dynkv.client.requests import Follow, KeyRequests
from dynkv.client.resolvers import Resolvers
from dynkv.client.routing import Routing
from dynkv.client.transport import Transport
from dynkv.client.turns import Turns
from dynkv.runtime import Clock, Random, Tasks


class Core:
    """Made on the loop that it is used on; `close` it there."""

    def __init__(self, seeds: Sequence[str], options: Options, clock: Clock, random: Random, follow: Follow) -> None:
        self.options = options
        self.clock = clock
        self.random = random
        self.follow = follow
        self.codecs = Codecs(options.objects, options.codecs)
        self.resolvers = Resolvers(options.resolve, options.resolvers)
        self.turns = Turns()
        self.loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._transport = Transport(options)
        health = Health(options.attempt_s)
        self.routing = Routing(seeds, options, health, clock, self._transport, self._tasks)
        self.caller = Caller(options, self._transport, self.routing, health, clock, random)
        self.requests = KeyRequests(self.codecs, self.caller.call, follow)

    def new_write_id(self) -> str:
        return new_write_id(self.random)

    async def close(self) -> None:
        await self._tasks.cancel()
        await self._transport.close()
