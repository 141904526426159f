"""One client's connection: requests in, answers out, in order, each with a deadline for every way to be slow.

A connection is always in one phase, and the server's sweep ends the phase whose deadline has passed:

    phase     what it waits for                     deadline                      past it
    HEADER    the rest of a header                  header_s from its first byte  408; silence if nothing came
    WORK      the handler                           none: levels.timeout_ms       -
    BODY      the rest of a body, in the handler    body_s from the header's end  the reader gets 408
    WRITE     the client to read its answer         body_s                        cut
    IDLE      the next request                      idle_s                        close
    LINGER    the client to read and hang up        LINGER_S                      cut

A streamed answer alternates between WORK, while its source makes the next bytes, and WRITE, while the client has not
taken enough of the last: the source is not asked for more before. When the client goes away the source is closed, which
ends its waiting; a server that drains closes sources without an end. What broke in the middle is cut without the last
chunk, so that nobody takes a part for the whole.

A new connection starts in HEADER: who connects and says nothing holds a place too. Nothing here sets a timer per
request; a phase is two attributes.

One task serves a connection for all its life. A request that is in progress when its client goes away is finished all
the same: a write may be half way to its replicas.

Closing while bytes are still coming in would reset the connection and take the answer with it, so after an early
answer (413, 415, 400) the write side is closed first and what comes in is thrown away for a moment (RFC 9112 9.6).
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from dynkv.http.parsing import HEADER_BYTES_MAX, NO_BODY, PIPELINED_MAX, Body, ClientError, Head, Parsing
from dynkv.http.reply import Reply, Source
from dynkv.http.request import Request
from dynkv.http.view import HttpLimits
from dynkv.runtime import Tasks

NEVER = float("inf")
LINGER_S = 2.0
CLOSE = "Connection: close\r\n"
# A longer body is handed over beside its header instead of being copied behind it.
JOIN_BYTES_MAX = 32 * 1024


class Phase(Enum):
    HEADER = auto()
    WORK = auto()
    BODY = auto()
    WRITE = auto()
    IDLE = auto()
    LINGER = auto()


class Host(Protocol):
    """What a connection needs of the server that accepted it. `date`: the Date field of answers, a whole line."""

    date: str
    draining: bool
    now: Callable[[], float]
    tasks: Tasks
    limits: HttpLimits

    def opened(self, connection: "Connection") -> Reply | None: ...
    def closed(self, connection: "Connection") -> None: ...
    async def answer(self, request: Request) -> Reply: ...
    def broken(self, error: Exception) -> None: ...
    def refuse(self, error: ClientError) -> Reply: ...


class Connection(Parsing):
    """`phase` and `deadline` are the sweep's; everything else is the connection's own."""

    __slots__ = (
        "_ending",
        "_header_bytes",
        "_host",
        "_queue",
        "_refused",
        "_source",
        "_waiter",
        "arrived",
        "deadline",
        "phase",
    )

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._host = host
        self._queue: deque[tuple[Head, Body]] = deque()
        self._refused: ClientError | None = None  # what to answer after the queue: nothing was parsed behind it
        self._waiter: asyncio.Future[None] | None = None
        self._source: Source | None = None  # of the streamed answer in progress
        self._ending = False  # takes no further request
        self._header_bytes = 0
        self.arrived = 0.0  # when the newest header was whole
        self.phase = Phase.HEADER
        self.deadline = NEVER

    # --- from the socket ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        refusal = self._host.opened(self)
        if refusal is not None:
            self._ending = True
            self._write(refusal, "Connection: close\r\n")
            self._close()
            return
        self._enter(Phase.HEADER, self._host.now() + self._host.limits.header_s)
        self._host.tasks.start("http connection", self._serve())

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._ending = True
        self._queue.clear()
        self.break_body(ClientError(499, "the client went away"))
        if self._source is not None:
            self._source.close()
        self._host.closed(self)
        self._wake()

    def data_received(self, data: bytes) -> None:
        if self._ending and self.body.is_eof():
            return  # lingering, or behind the last request: read so that the client can finish, and dropped
        try:
            messages = self.parse(data)
        except ClientError as error:
            self._refuse(error)
            return
        if messages:
            self._header_bytes = 0
            if self._ending:
                return
            self.arrived = self._host.now()
            self._queue.extend(messages)
            if len(self._queue) >= PIPELINED_MAX and not self.held:
                self.hold()
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        elif data and self.body.is_eof():
            self._header_grows(len(data))

    def eof_received(self) -> bool:
        """A client may close its sending side early and still wait for the answers (`nc`); not within a body."""
        unfinished = not self.body.is_eof()
        self.break_body(ClientError(499, "the client closed within a body"))
        waiting = self.phase in (Phase.WORK, Phase.BODY, Phase.WRITE) or bool(self._queue)
        self._ending = True
        self._let_go()  # who will not ask again and is sent something without an end has gone away
        self._wake()
        return waiting and not unfinished

    def _header_grows(self, count: int) -> None:
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEADER, self._host.now() + self._host.limits.header_s)
        self._header_bytes += count
        if self._header_bytes > HEADER_BYTES_MAX:
            self._refuse(ClientError(431, f"the header is over {HEADER_BYTES_MAX} bytes"))

    def _refuse(self, error: ClientError) -> None:
        """Answer `error` after what is in progress, and close. A body's reader has been told by `parse`."""
        if not self._ending:
            self._ending = True
            self._let_go()
            if self.phase is not Phase.BODY:  # there the handler itself answers with the error
                self._refused = error
            self._wake()

    # --- from the server ----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish the request in progress, take no other, close."""
        self._ending = True
        self._let_go()
        if self.phase in (Phase.IDLE, Phase.HEADER) and not self._queue:
            self._close()

    def expired(self) -> None:
        """The deadline of the phase has passed."""
        self.deadline = NEVER
        if self._queue and self.phase in (Phase.IDLE, Phase.HEADER):
            return  # a request came at the last moment: its task is about to enter WORK
        if self.phase is Phase.HEADER and self._header_bytes:
            self._refuse(ClientError(408, f"the header was not whole within {self._host.limits.header_s:g} s"))
        elif self.phase is Phase.BODY:
            self.break_body(ClientError(408, f"the body was not whole within {self._host.limits.body_s:g} s"))
        elif self.phase in (Phase.WRITE, Phase.LINGER):
            self.abort()
        else:
            self._close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # --- for the request in progress ----------------------------------------------------------------------------------

    def awaits_body(self, waiting: bool) -> None:
        """The handler waits for its body, or no longer does."""
        if waiting:
            self._enter(Phase.BODY, self.arrived + self._host.limits.body_s)
        else:
            self._enter(Phase.WORK, NEVER)

    def send_continue(self) -> None:
        """Tell a client that asked (`Expect: 100-continue`) to send its body."""
        if self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- the task -----------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self._answer_all()
        except BaseException:
            self.abort()  # a connection that nobody serves must not look like one that is slow
            raise

    async def _answer_all(self) -> None:
        host, queue = self._host, self._queue
        while True:
            if not queue:
                if self._ending:
                    break
                self._waiter = self._loop.create_future()
                await self._waiter
                continue
            head, body = queue.popleft()
            self._room_made()
            self.phase = Phase.WORK
            self.deadline = NEVER
            reply = await host.answer(Request(head, body, self))
            if reply.source is None:
                if not self._send(head, body, reply):
                    break
            elif not await self._stream(head, body, reply, reply.source):
                break
            if self.writing_paused and not await self._client_reads():
                break
            self.phase = Phase.IDLE
            self.deadline = host.now() + host.limits.idle_s
            if self._header_bytes:
                self._header_grows(0)
        if self._refused is not None:
            self._write(host.refuse(self._refused), "Connection: close\r\n")
            self._linger()
        elif self.phase is not Phase.LINGER:
            self._close()

    def _send(self, head: Head, body: Body, reply: Reply) -> bool:
        """Write `reply`; whether the connection goes on after it."""
        connection = self._connection_field(head, body, reply)
        self._write(reply, connection, head.method != "HEAD")
        return connection != CLOSE or self._end(body.is_eof())

    def _connection_field(self, head: Head, body: Body, reply: Reply) -> str:
        """What is said of the connection; CLOSE if it ends with `reply`."""
        last = (self._ending and not self._queue and self._refused is None) or self._host.draining
        if head.should_close or reply.close or head.upgrade or not body.is_eof() or last:
            return CLOSE
        return "Connection: keep-alive\r\n" if head.version.minor == 0 else ""

    def _end(self, whole: bool) -> bool:
        """The last answer is written; false, as nothing goes on. `whole`: the request's body was taken."""
        self._ending = True
        self._queue.clear()
        self._refused = None
        if not whole:
            self._linger()
        return False

    async def _stream(self, head: Head, body: Body, reply: Reply, source: Source) -> bool:
        """Write `reply` as its source makes it; whether the connection goes on after it."""
        chunked = head.version.minor > 0
        connection = self._connection_field(head, body, reply) if chunked else CLOSE
        self._source = source
        try:
            if self._ending:
                self._let_go()  # its client went away, or the server began to drain, before it began
            if not self._put(reply.header(self._host.date, connection, chunked)):
                return False
            if head.method != "HEAD" and not await self._pour(source, chunked):
                return False
        except Exception as error:  # noqa: BLE001 - the edge: part of the answer is out, so it cannot become another
            self._host.broken(error)
            if not chunked:
                self._reset()
            self.abort()
            return False
        finally:
            self._source = None
            source.close()
        return connection != CLOSE or self._end(body.is_eof())

    async def _pour(self, source: Source, chunked: bool) -> bool:
        """All that the source has, as the client takes it; false if the client went away."""
        while data := await source.chunk():
            if not self._put(*((b"%x\r\n" % len(data), data, b"\r\n") if chunked else (data,))):
                return False
            if self.writing_paused:
                if not await self._client_reads():
                    return False
                self._enter(Phase.WORK, NEVER)
        return self._put(b"0\r\n\r\n" if chunked else b"")

    def _reset(self) -> None:
        """End with RST: to a client that reads up to the connection's end an orderly end says that this was all."""
        if self.transport is not None:
            plain = self.transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _let_go(self) -> None:
        """Of a streamed answer that would never end by itself."""
        if self._source is not None and self._source.endless:
            self._source.close()

    def _write(self, reply: Reply, connection: str, with_body: bool = True) -> None:
        if self.transport is None or self.transport.is_closing():
            return  # also where the status (499) is one that nobody is told
        header = reply.header(self._host.date, connection)
        if not reply.body or not with_body:
            self._put(header)
        elif len(reply.body) <= JOIN_BYTES_MAX:
            self._put(header + reply.body)
        else:
            self._put(header, reply.body)

    def _put(self, *parts: bytes) -> bool:
        """Hand `parts` to the socket; false if nobody is there any more."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if len(parts) == 1:
            transport.write(parts[0])
        else:
            transport.writelines(parts)
        return True

    async def _client_reads(self) -> bool:
        """Wait until the client has taken enough of its answer; false if it is gone."""
        self._enter(Phase.WRITE, self._host.now() + self._host.limits.body_s)
        try:
            await self.drained()
        except ConnectionError:
            return False
        return True

    def _room_made(self) -> None:
        if self.transport is None:
            return
        self.taken()
        if self.held and not self._queue:
            self.data_received(b"")  # what the parser had put off
            if len(self._queue) < PIPELINED_MAX:
                self.release()

    def _linger(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._enter(Phase.LINGER, self._host.now() + LINGER_S)
        self.body = NO_BODY  # from here on everything is dropped
        if transport.can_write_eof():
            transport.write_eof()
        if self._reading_paused or self.held:
            self._reading_paused = self._buffer_paused = False
            transport.resume_reading()

    def _close(self) -> None:
        """Hang up once all answers are sent; a client that does not take them is cut off by the deadline."""
        self._ending = True
        self._wake()
        if self.transport is not None:
            self._enter(Phase.LINGER, self._host.now() + LINGER_S)
            self.transport.close()

    def _enter(self, phase: Phase, deadline: float) -> None:
        self.phase = phase
        self.deadline = deadline

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
