"""GET /events: the overview as server-sent events, for the page.

    event: overview    the whole overview, first and whenever changes would not do
    event: change      what changed since the event before (`core.overview_change`), about once a second
    event: beat        {"at_ms"}, when nothing has changed for HEARTBEAT_S: the line and the node are still there. Also
                       a comment, which scripts in a browser are not told of and proxies are.

One loop looks for all streams, as long as there are any; with none, nobody is asked anything. Each stream has its own
small queue of what it has not sent. One that does not keep up is ended: its client connects again and is told all anew,
which `id` and `retry` are for; there is nothing to resume, as the first event always says everything.

Streams are bounded: each holds a connection and some memory for as long as its client likes.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec
import structlog

from dynkv.core.errors import DynkvError, Overloaded
from dynkv.core.overview_change import change
from dynkv.core.overview_rows import Overview
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route
from dynkv.http.stats import HttpStats
from dynkv.http.view import NodeView
from dynkv.runtime import Tasks, pause

STREAMS_MAX = 64
EVERY_S = 1.0
HEARTBEAT_S = 5.0
RETRY_MS = 2_000
QUEUE_BYTES_MAX = 1024 * 1024

HEAD = (
    "Content-Type: text/event-stream; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\n"  # nginx would collect events otherwise
)

log = structlog.get_logger("dynkv.http.events")


class Stream:
    """One client's events; a `reply.Source`."""

    endless = True

    def __init__(self, events: "Events", first: bytes) -> None:
        self._events = events
        self._queue = deque((first,))
        self._size = 0  # of what is behind the first event, which may have any
        self._more: asyncio.Future[None] | None = None
        self._closed = False

    def add(self, event: bytes) -> None:
        """Send this next; a stream that is behind is closed instead."""
        if self._size + len(event) > QUEUE_BYTES_MAX:
            self._events.stats.streams_dropped += 1
            self.close()
            return
        self._queue.append(event)
        self._size += len(event)
        self._wake()

    async def chunk(self) -> bytes:
        while not self._queue and not self._closed:
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        if self._closed:
            return b""
        events = b"".join(self._queue)
        self._queue.clear()
        self._size = 0
        return events

    def close(self) -> None:
        self._closed = True
        self._events.streams.discard(self)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


class Events:
    """The route, and the loop behind it."""

    def __init__(self, view: NodeView, tasks: Tasks, stats: HttpStats) -> None:
        self.stats = stats
        self.streams: set[Stream] = set()
        self._view = view
        self._tasks = tasks
        self._last: Overview | None = None  # what all streams have been told; None while nobody looks
        self._number = 0
        self._start = f"{view.random.u64():x}"

    async def stream(self, request: Request) -> Reply:
        """503 Overloaded beyond STREAMS_MAX; ServiceError if this node cannot say how the cluster is."""
        path, _, query = request.target.partition("?")
        if path != "/events":
            return no_route(request.target)
        parameters(query, ())
        request.refuse_body()
        if len(self.streams) >= STREAMS_MAX:
            self.stats.overloaded += 1
            raise Overloaded(f"{STREAMS_MAX} clients follow this node's events")
        if self._last is None:
            view = await self._view.overview()
            if self._last is None:  # nobody else came in the meantime
                self._last = view
                self._tasks.start("http events", self._follow())
        stream = Stream(self, b"retry: %d\n%b" % (RETRY_MS, self._event("overview", self._last)))
        self.streams.add(stream)
        return Reply(200, HEAD, source=stream)

    async def _follow(self) -> None:
        """Look, and tell what changed, until nobody follows any more."""
        try:
            silent_s = 0.0
            while True:
                await pause(EVERY_S)
                if not self.streams:
                    return
                told = await self._look()
                silent_s = 0.0 if told else silent_s + EVERY_S
                if silent_s >= HEARTBEAT_S:
                    silent_s = 0.0
                    self._send(b": still here\n" + self._event("beat", {"at_ms": self._view.clock.wall_ms()}))
        except DynkvError as error:
            log.warning("events ended", reason=str(error))
        finally:
            self._last = None
            for stream in tuple(self.streams):
                stream.close()

    async def _look(self) -> bool:
        """Whether there was anything to tell."""
        before, view = self._last, await self._view.overview()
        assert before is not None
        changed = change(before, view)
        if changed == {}:
            return False
        self._last = view
        self._send(self._event("overview", view) if changed is None else self._event("change", changed))
        return True

    def _event(self, kind: str, data: Any) -> bytes:
        self._number += 1
        head = f"id: {self._start}-{self._number}\nevent: {kind}\ndata: ".encode()
        return head + msgspec.json.encode(data) + b"\n\n"

    def _send(self, event: bytes) -> None:
        for stream in tuple(self.streams):
            stream.add(event)
