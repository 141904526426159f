"""The seam to aiohttp: its parser (llhttp) and its body streams, and nothing above them.

aiohttp's own connection handler costs 19 µs a request (a task, a writer, a request and a response object each, and the
header containers of both), and it lacks what a public port needs: a header deadline, a bound on connections, silence
in the log about bad requests. Its parser is what is hard to get right, and fast: 3 µs. So this package keeps the parser
and writes the connection itself, at half the cost of the bare handler.

Everything that is not aiohttp's documented interface is used here and nowhere else, and pinned by
`tests/unit/test_http_parsing.py`, which fails loudly when a new aiohttp changes it:

    HttpRequestParser(protocol, loop, limit, ...)   feed_data(bytes) -> (messages, upgraded, tail), message_consumed()
    BaseProtocol        pause_reading, resume_reading, _pause_reading_for_buffer, _resume_reading_for_buffer,
                        _buffer_paused, _reading_paused, _drain_helper, connected, writing_paused

After a parse error the parser is dead: feed it no more. An error in a body does not reach that body's reader by
itself (the parser forgets the stream before it raises), so `parse` tells it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import istr

CONTENT_LENGTH = istr("Content-Length")

Head = RawRequestMessage
Body = StreamReader
NO_BODY: Final = EMPTY_PAYLOAD

TARGET_BYTES_MAX = 16 * 1024  # a key of 4096 bytes, each escaped, a bucket and the parameters
FIELD_BYTES_MAX = 16 * 1024  # the longest field is a context
FIELDS_MAX = 64
HEADER_BYTES_MAX = 64 * 1024  # what trickles in as one header, all fields together
LENGTH_DIGITS_MAX = 18  # llhttp takes 2**64 - 1 for no length at all, and what follows for another request
PIPELINED_MAX = 8  # parsed requests that wait behind the one in progress
BODY_BUFFER_BYTES = 64 * 1024  # a body's reader lags by at most twice this before the socket is paused


class ClientError(Exception):
    """The client broke the rules of HTTP or went away: no answer, or this `status`, and the end of the connection."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Parsing(BaseProtocol):
    """A protocol whose incoming bytes become (head, body) pairs. Subclasses define `data_received` by `parse`."""

    __slots__ = ("body",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.body: Body = NO_BODY  # of the newest request: complete once `is_eof()`
        parser = HttpRequestParser(
            self,
            loop,
            BODY_BUFFER_BYTES,
            max_line_size=TARGET_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            auto_decompress=False,
            max_msg_queue_size=PIPELINED_MAX,
        )
        super().__init__(loop, parser)

    def parse(self, data: bytes) -> Sequence[tuple[Head, Body]]:
        """The requests whose headers end within `data`. ClientError: answer with it and close; do not parse on."""
        assert self._parser is not None
        try:
            messages, _, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            raise self._broken(_client_error(error)) from None
        if messages:
            self.body = messages[-1][1]
            for head, _ in messages:
                length = head.headers.get(CONTENT_LENGTH)
                if length is not None and len(length) > LENGTH_DIGITS_MAX:
                    raise self._broken(ClientError(400, f"Content-Length has more than {LENGTH_DIGITS_MAX} digits"))
        return messages

    def _broken(self, error: ClientError) -> ClientError:
        self.break_body(error)
        self.body = NO_BODY
        return error

    def break_body(self, error: ClientError) -> None:
        """Whoever reads the newest body gets `error`, unless all of it is there."""
        if not self.body.is_eof():
            self.body.set_exception(error)

    def taken(self) -> None:
        """A parsed request left the queue: there is room for one more in the parser."""
        assert self._parser is not None
        self._parser.message_consumed()

    @property
    def held(self) -> bool:
        return self._buffer_paused

    def hold(self) -> None:
        """Read no more from the socket: the queue of parsed requests is full."""
        self._pause_reading_for_buffer()

    def release(self) -> None:
        self._resume_reading_for_buffer()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # Called at every body's end; only a paused stream has anything to resume.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    async def drained(self) -> None:
        """Return once the socket takes more. ConnectionError if it never will."""
        await self._drain_helper()


def _client_error(error: HttpProcessingError) -> ClientError:
    """One line, without the parser's drawing of where in the bytes it stopped."""
    if isinstance(error, LineTooLong):
        # The same class for both; only the request line is longer than the limit without a name before it.
        return ClientError(431, f"the request line or a header field is over {FIELD_BYTES_MAX} bytes")
    text = str(error.message).strip().splitlines()[0].strip().rstrip(":")
    if text == "Too many headers received":
        return ClientError(431, f"more than {FIELDS_MAX} header fields")
    return ClientError(400, text[:200])
