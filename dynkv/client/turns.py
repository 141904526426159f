"""Turns at a key: calls of one client that would get in each other's way go one after the other."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class NoTurn(Exception):
    """None came in time."""


class Turns:
    """As many locks as there are keys being waited for or worked on."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, name: Hashable, seconds: float) -> AsyncIterator[None]:
        """Wait for all that came before. NoTurn if that takes more than `seconds`."""
        lock, waiting = self._locks.get(name, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[name] = lock, waiting + 1
        try:
            try:
                async with asyncio.timeout(seconds):
                    await lock.acquire()
            except TimeoutError:
                raise NoTurn from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._locks[name]
            if waiting == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, waiting - 1

    def __len__(self) -> int:
        return len(self._locks)
