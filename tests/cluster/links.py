"""The network between nodes, in the test's hands: a TCP proxy for each direction between two nodes.

A node's connection to a peer carries its requests there and the answers back. `cut` lets nothing more through, either
way, and says nothing to either side, as a network does that drops packets: connections stay open, new ones are
accepted and hang. `heal` lets everything through that waited. All links live on one event loop in a thread of its own.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Link:
    """The way from one node to another: listens on `port`, leads to `target`."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def set_open(self, is_open: bool) -> None:
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._open.wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                pumps = [self._pump(reader, there_writer), self._pump(there_reader, writer)]
                tasks = [asyncio.ensure_future(pump) for pump in pumps]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump_task in tasks:
                        pump_task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                there_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the other node is not there, or the test is over: this connection ends
        finally:
            writer.close()
            self._connections.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()  # an end of connection is news too, and does not cross a cut


class Links:
    """All links of a cluster. Its methods may be called from the test's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self._links: dict[tuple[str, str], Link] = {}

    def add(self, source: str, to: str, port: int, target: int) -> None:
        """`source` reaches `to`, which listens on `target`, through `port`."""
        link = Link(port, target)
        self._run(link.listen())
        self._links[source, to] = link

    def cut(self, *pairs: tuple[str, str]) -> None:
        """Nothing passes from the first to the second node of each pair, nor answers back."""
        self._set(pairs, False)

    def heal(self, *pairs: tuple[str, str]) -> None:
        """Undo `cut` for these pairs; for all, if none is given."""
        self._set(pairs or self._links, True)

    def isolate(self, node: str) -> None:
        """Cut all links from and to `node`."""
        self.cut(*(pair for pair in self._links if node in pair))

    def close(self) -> None:
        for link in self._links.values():
            self._run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _set(self, pairs: Iterable[tuple[str, str]], is_open: bool) -> None:
        for pair in pairs:
            self._run(self._links[pair].set_open(is_open))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)
