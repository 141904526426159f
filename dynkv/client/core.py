"""A client's parts, put together on its loop, and the requests about one key that everything else is made of."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from dynkv.client.answers import (
    FOUND,
    WRITTEN,
    Values,
    check_missing,
    check_siblings,
    entry_of,
    receipt_of,
)
from dynkv.client.caller import Ask, Caller
from dynkv.client.codecs import CBOR, Codecs
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import Contended, NotDynkv
from dynkv.client.health import Health
from dynkv.client.keys import Key, new_write_id, path_of
from dynkv.client.options import Options
from dynkv.client.resolvers import Resolvers
from dynkv.client.routing import Routing
from dynkv.client.transport import Answer, Transport
from dynkv.client.turns import Turns
from dynkv.runtime import Clock, Random, Tasks

Level = int | Literal["one", "quorum", "all"]
Levels = Mapping[str, str]

TOO_LARGE = "Dynkv-Context-Too-Large"
# How often a value and its description are asked for until both are of the same record.
DESCRIBED_TRIES = 5


def levels_of(**given: Level | bool | None) -> dict[str, str]:
    """The quorum parameters that are not None, as a request says them; the node checks them."""
    said = {name: value for name, value in given.items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}


class Body(NamedTuple):
    """What is written; `data` None deletes."""

    data: bytes | None
    content_type: str = ""


class Story(NamedTuple):
    """What a read knew, without the values. vector: actor -> counter; of a key that is not there, empty."""

    etag: str
    context: str
    vector: Mapping[str, int]


class Core:
    """Made on the loop that it is used on; `close` it there."""

    def __init__(self, seeds: Sequence[str], options: Options, clock: Clock, random: Random) -> None:
        self.options = options
        self.clock = clock
        self.random = random
        self.codecs = Codecs(options.objects, options.codecs)
        self.resolvers = Resolvers(options.resolve, options.resolvers)
        self.turns = Turns()
        self.loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._transport = Transport(options)
        health = Health(options.attempt_s)
        self.routing = Routing(seeds, options, health, clock, self._transport, self._tasks)
        self.caller = Caller(options, self._transport, self.routing, health, clock, random)

    async def close(self) -> None:
        await self._tasks.cancel()
        await self._transport.close()

    # --- one key ------------------------------------------------------------------------------------------------------

    async def read(self, bucket: str, key: Key, levels: Levels, deadline: float, *, raw: bool = False) -> Entry:
        """What is there now, unresolved."""
        values = Values(self.codecs, raw=raw)
        for _ in range(DESCRIBED_TRIES):
            answer = await self._call("GET", bucket, key, levels, deadline, {"Accept": CBOR}, FOUND)
            entry = entry_of(bucket, key, answer, values)
            if TOO_LARGE not in answer.headers or entry.context:
                return entry
            story = await self.story(bucket, key, levels, deadline)
            if story.etag == entry.etag:
                entry.context = story.context
                return entry
        raise Contended(
            f"{bucket}/{key.text}: its context is too long for a header, and it changes too fast to be asked"
        )

    async def story(self, bucket: str, key: Key, levels: Levels, deadline: float) -> Story:
        """The same read told without values."""
        query = {**levels, "explain": "true"}
        answer = await self._call("GET", bucket, key, query, deadline, {"Accept": "application/json"}, FOUND)
        told = answer.json()
        try:
            vector = {str(actor): int(counter) for actor, counter in told["vector"]}
            return Story(told["etag"] or "", told["context"] or "", vector)
        except (KeyError, TypeError, ValueError) as error:
            raise NotDynkv(f"an explanation in a form that no node writes: {error!r}") from error

    async def exists(self, bucket: str, key: Key, levels: Levels, deadline: float) -> bool:
        answer = await self._call("HEAD", bucket, key, levels, deadline, {}, FOUND)
        if answer.status == 404:
            check_missing(answer)
            return False
        check_siblings(answer)
        return True

    async def write(
        self, bucket: str, key: Key, body: Body, context: str, write_id: str, levels: Levels, deadline: float
    ) -> Receipt:
        headers = {"Idempotency-Key": write_id}
        if context:
            headers["Dynkv-Context"] = context
        if body.data is not None:
            headers["Content-Type"] = body.content_type
        method = "DELETE" if body.data is None else "PUT"
        answer = await self._call(method, bucket, key, levels, deadline, headers, WRITTEN, body.data, write_id)
        return receipt_of(bucket, key, answer, write_id)

    def new_write_id(self) -> str:
        return new_write_id(self.random)

    async def _call(
        self,
        method: str,
        bucket: str,
        key: Key,
        query: Levels,
        deadline: float,
        headers: Mapping[str, str],
        expects: frozenset[int],
        body: bytes | None = None,
        write_id: str = "",
    ) -> Answer:
        place = (bucket, key.data)
        ask = Ask(method, path_of(bucket, key), query, headers, body, place, write_id, expects)
        return await self.caller.call(ask, deadline)
