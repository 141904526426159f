"""`Client`: the same for programs that block.

    with Client("http://127.0.0.1:8101") as client:
        client.put("greetings", "first", "hello")
        print(client.get("greetings", "first").value)

Threads may share one. Each method is the one of `AsyncClient`, run on a loop in one thread in the background; what it
takes, returns and raises is said there.
"""

import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dynkv.client.async_client import AsyncClient
from dynkv.client.batch import Put
from dynkv.client.blocking import synced
from dynkv.client.errors import ClientClosed
from dynkv.client.listing import KeyListing
from dynkv.client.operations import KeyOperations
from dynkv.client.portal import Here, Portal
from dynkv.client.session import AsyncSession
from dynkv.client.types_blocking import TypedValues
from dynkv.client.update import Change, Updated


def update(self: Any, bucket: str, key: str | bytes, fn: Change, **how: Any) -> Updated:
    """As `AsyncClient.update`. `fn` runs in the calling thread: it may take its time, and use the client."""
    parts: KeyOperations = self._async
    portal: Portal = self._portal

    def work(here: Here) -> Coroutine[Any, Any, Updated]:
        return parts.update(bucket, key, lambda value: here.call(fn, value), **how)

    return portal.run_here(work)


class Session(TypedValues):
    """`AsyncSession` for programs that block."""

    get = synced(KeyOperations.get)
    put = synced(KeyOperations.put)
    delete = synced(KeyOperations.delete)
    update = update
    exists = synced(KeyOperations.exists)

    def __init__(self, session: AsyncSession, portal: Portal) -> None:
        self._async: AsyncSession = session
        self._portal = portal

    @property
    def token(self) -> str:
        """What the session has seen so far, to go on with elsewhere."""
        return self._async.token


class Client(TypedValues):
    """See `AsyncClient` for all arguments. Close it, or use it as a context manager."""

    get = synced(KeyOperations.get)
    put = synced(KeyOperations.put)
    delete = synced(KeyOperations.delete)
    update = update
    exists = synced(KeyOperations.exists)
    refresh = synced(AsyncClient.refresh)
    replicated = synced(AsyncClient.replicated)

    def __init__(self, addresses: str | Sequence[str] = "http://127.0.0.1:8101", **settings: Any) -> None:
        """ValueError if an address or a setting is none. Does not connect."""
        self._portal = portal = Portal()
        parts = AsyncClient(
            addresses, **settings, follow=lambda receipt, n, timeout: portal.run(parts.replicated(receipt, n, timeout))
        )
        self._async: AsyncClient = parts
        # Whoever forgets to close it, or is ended: no connection is left to be found open.
        self._close = weakref.finalize(self, self._portal.close, self._async.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread; calls under way in other threads fail. Again does nothing."""
        self._close()

    def get_many(self, bucket: str, keys: Iterable[str | bytes], **how: Any) -> list[Any]:
        """As `AsyncClient.get_many`. `keys` is gone through in the calling thread, and may use the client."""
        return self._portal.run(self._async.get_many(bucket, list(keys), **how))

    def put_many(
        self, bucket: str, items: Mapping[str, Any] | Iterable[Put | tuple[Any, ...]], **how: Any
    ) -> list[Any]:
        """As `AsyncClient.put_many`. `items` is gone through in the calling thread, and may use the client."""
        taken = items if isinstance(items, Mapping) else list(items)
        return self._portal.run(self._async.put_many(bucket, taken, **how))

    def keys(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        """`for key in client.keys("b")`: as `AsyncClient.keys`, a page at a time."""
        listing = self._portal.run(self._listing(*args, **kwargs))
        pages = listing.pages()
        try:
            while (page := self._portal.run(_next(pages))) is not None:
                yield from page
        finally:
            try:
                self._portal.run(pages.aclose())
            except ClientClosed:
                pass  # closed before its iterator was let go of; the loop has ended what ran on it

    async def _listing(self, *args: Any, **kwargs: Any) -> KeyListing:
        return self._async.keys(*args, **kwargs)

    @contextmanager
    def session(self, token: str = "", *, wait: float = 0.0) -> Iterator[Session]:
        """As `AsyncClient.session`."""
        yield Session(self._async.new_session(token, wait=wait), self._portal)


async def _next(pages: AsyncGenerator[list[str], None]) -> list[str] | None:
    """The next page, None at the end."""
    return await anext(pages, None)
