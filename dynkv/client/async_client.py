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
from dynkv.client.core import Core
from dynkv.client.entry import Receipt, Replicated
from dynkv.client.errors import ClientClosed, ClientError
from dynkv.client.listing import KeyListing
from dynkv.client.operations import KeyOperations
from dynkv.client.options import Options, seeds_of
from dynkv.client.receipts import replicated
from dynkv.client.requests import Follow, KeyRequests, Level, levels_of
from dynkv.client.resolvers import Resolver
from dynkv.client.session import AsyncSession
from dynkv.runtime import Clock, Random, SystemClock, SystemRandom


class AsyncClient(KeyOperations):
    """`addresses`: of some nodes, as URL or HOST:PORT; the others are found by asking. `settings`: see `Options`.

    What can be done with one key (get, put, delete, exists, update) is in `KeyOperations`. Close it, or use it as a
    context manager.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] = "http://127.0.0.1:8101",
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        follow: Follow | None = None,
        **settings: Any,
    ) -> None:
        """ValueError if an address or a setting is none. Does not connect.

        clock, random: where time and chance come from. follow: what `replicated` of receipts does.
        """
        self._follow = follow
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
        items: "Mapping[str, Any] | Iterable[Put | tuple[Any, ...]]",
        *,
        w: Level | None = None,
        pw: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
        return_errors: bool = False,
        receipts: bool = True,
    ) -> list[Any]:
        """A receipt for each of `items`: key -> value, or (key, value) pairs, or `Put`s with a context or content type.

        Results and errors as in `get_many`. Two items of one key become siblings: they go side by side. Without
        `receipts` None stands for what was applied, which costs less.
        """
        core = self._core()
        puts = items.items() if isinstance(items, Mapping) else items
        levels = levels_of(w=w, pw=pw, sloppy=sloppy)
        results = await batch.put_many(core, bucket, puts, levels, core.caller.deadline(timeout), receipts=receipts)
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
    async def session(self, token: str = "", *, wait: float = 0.0) -> AsyncIterator[AsyncSession]:
        """`async with client.session() as s`: reads that never fall behind what `s` has written and read.

        token: of a session to go on with. wait: for how many seconds a request may wait for replicas that are behind.
        """
        yield self.new_session(token, wait=wait)

    def new_session(self, token: str = "", *, wait: float = 0.0) -> AsyncSession:
        """The same without a block. Nothing has to be closed: a session is nothing but its token."""
        if not wait >= 0:
            raise ValueError(f"wait: is {wait}; must be 0 or more seconds")
        return AsyncSession(self._core, token, wait)

    async def replicated(self, receipt: Receipt, n: Level = "all", timeout: float | None = None) -> Replicated:  # noqa: ASYNC109 - one deadline for many attempts
        """Wait until `n` of the key's primaries have a write; also a method of its receipt. NotReplicated."""
        return await replicated(self._core(), receipt, n, timeout)

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
            self._parts = Core(self._seeds, self._options, self._clock, self._random, self._follow or self.replicated)
        elif os.getpid() != self._process:
            raise ClientClosed("this client belongs to another process; make one after the fork")
        elif self._parts.loop is not loop:
            raise ClientClosed("this client belongs to another event loop; make one per loop, or use Client")
        return self._parts

    def _requests(self) -> KeyRequests:
        return self._core().requests
