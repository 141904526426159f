"""`AsyncClient`: a cluster for asyncio programs.

    async with AsyncClient(["http://127.0.0.1:8101", "http://127.0.0.1:8102"]) as client:
        await client.put("greetings", "first", "hello")
        entry = await client.get("greetings", "first")
        print(entry.value)

One client serves any number of tasks of one event loop. It connects when it is first used.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from dynkv.client import batch
from dynkv.client.batch import Put
from dynkv.client.core import Body, Core, Level, Levels, levels_of
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import ClientClosed, ClientError
from dynkv.client.keys import Key, key_of
from dynkv.client.listing import KeyListing
from dynkv.client.operations import KeyOperations
from dynkv.client.options import Options, seeds_of
from dynkv.client.resolvers import Resolver
from dynkv.client.session import AsyncSession
from dynkv.runtime import Clock, Random, SystemClock, SystemRandom


class AsyncClient(KeyOperations):
    """`addresses`: of some nodes, as URL or HOST:PORT; the others are found by asking. `settings`: see `Options`.

    Close it, or use it as a context manager.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] = "http://127.0.0.1:8101",
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        **settings: Any,
    ) -> None:
        """ValueError if an address or a setting is none. Does not connect."""
        self._seeds = seeds_of(addresses)
        self._options = Options(**settings)
        self._clock = clock or SystemClock()
        self._random = random or SystemRandom()
        self._parts: Core | None = None
        self._process = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        self._core()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; calls under way fail. To be called on the client's loop; again does nothing."""
        self._closed = True
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.close()

    # --- one key: get, put, delete, update are in KeyOperations -------------------------------------------------------

    async def exists(
        self,
        bucket: str,
        key: str | bytes,
        *,
        r: Level | None = None,
        pr: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> bool:
        """Whether there is any value; siblings count, a deletion does not."""
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(timeout)
        return await core.exists(bucket, name, levels_of(r=r, pr=pr, sloppy=sloppy), deadline)

    # --- many keys ----------------------------------------------------------------------------------------------------

    async def get_many(
        self,
        bucket: str,
        keys: Iterable[str | bytes],
        *,
        default: Any = None,
        resolve: Resolver | str | None = None,
        raw: bool = False,
        r: Level | None = None,
        pr: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
        return_errors: bool = False,
    ) -> list[Any]:
        """An entry for each key, in order, by requests of up to 1,000 keys.

        What fails for one key is no matter for the others: BatchError holds all results, or with `return_errors` the
        errors stand in the list.
        """
        core = self._core()
        resolver = core.resolvers.choose(bucket, resolve)
        reads = batch.Reads(bucket, resolver, default, raw=raw)
        levels = levels_of(r=r, pr=pr, sloppy=sloppy)
        results = await batch.get_many(core, reads, keys, levels, core.caller.deadline(timeout))
        return batch.checked(results, return_errors=return_errors)

    async def put_many(
        self,
        bucket: str,
        items: "Mapping[str, Any] | Iterable[Put | tuple[str | bytes, Any]]",
        *,
        w: Level | None = None,
        pw: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
        return_errors: bool = False,
    ) -> list[Any]:
        """A receipt for each of `items`: key -> value, or (key, value) pairs, or `Put`s with a context or content type.

        Results and errors as in `get_many`. Two items of one key become siblings: they go side by side.
        """
        core = self._core()
        puts = items.items() if isinstance(items, Mapping) else items
        levels = levels_of(w=w, pw=pw, sloppy=sloppy)
        results = await batch.put_many(core, bucket, puts, levels, core.caller.deadline(timeout))
        return batch.checked(results, return_errors=return_errors)

    def keys(
        self,
        bucket: str,
        prefix: str | bytes = b"",
        *,
        limit: int | None = None,
        cursor: str | None = None,
        r: Level | None = None,
        timeout: float | None = None,
    ) -> KeyListing:
        """`async for key in client.keys("b")`: the keys of a bucket, each once, as text (see `dynkv.client.keys`).

        timeout: seconds for which the listing may get no further. IncompleteListing if some of it cannot be had.
        """
        return KeyListing(self._core(), bucket, prefix, levels_of(r=r), limit=limit, cursor=cursor, timeout_s=timeout)

    # --- more than one call -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def session(self, *, wait: float = 0.0, keys_max: int = 10_000) -> AsyncIterator[AsyncSession]:
        """`async with client.session() as s`: reads that never fall behind what `s` has written and read.

        wait: for how many seconds a read may wait for replicas that are behind. keys_max: of how many keys the session
        remembers what it has seen; one more is a SessionError.
        """
        yield self.new_session(wait=wait, keys_max=keys_max)

    def new_session(self, *, wait: float = 0.0, keys_max: int = 10_000) -> AsyncSession:
        """The same without a block. Nothing has to be closed: a session holds nothing but what it has seen."""
        if not wait >= 0 or keys_max < 1:
            raise ValueError(f"wait: is {wait}, keys_max: is {keys_max}; must be 0 or more seconds, 1 or more keys")
        return AsyncSession(self._core, wait_s=wait, keys_max=keys_max)

    async def refresh(self) -> None:
        """Ask now who holds what. Calls do so by themselves; this one tells what is wrong if it fails."""
        await self._core().routing.refresh()

    @property
    def routing_problem(self) -> ClientError | None:
        """Why the ring is not known, or could not be asked for lately. Calls go through any node then."""
        return None if self._parts is None else self._parts.routing.problem

    # --- parts --------------------------------------------------------------------------------------------------------

    def _core(self) -> Core:
        if self._closed:
            raise ClientClosed("this client is closed")
        loop = asyncio.get_running_loop()
        if self._parts is None:
            self._process = os.getpid()
            self._parts = Core(self._seeds, self._options, self._clock, self._random)
        elif os.getpid() != self._process:
            raise ClientClosed("this client belongs to another process; make one after the fork")
        elif self._parts.loop is not loop:
            raise ClientClosed("this client belongs to another event loop; make one per loop, or use Client")
        return self._parts

    async def _read(self, bucket: str, key: Key, levels: Levels, deadline: float, *, raw: bool = False) -> Entry:
        return await self._core().read(bucket, key, levels, deadline, raw=raw)

    async def _write(
        self, bucket: str, key: Key, body: Body, context: str | None, write_id: str, levels: Levels, deadline: float
    ) -> Receipt:
        return await self._core().write(bucket, key, body, context or "", write_id, levels, deadline)
