"""One connection of a demo client: a request, its response, and an error as soon as the other side is gone."""

import asyncio
from typing import NamedTuple, cast

from dynkv.cli.load.wire import HEAD_END, header, response_length
from dynkv.config import address

TIMEOUT_S = 10.0


class Gone(Exception):
    """The node did not answer: refused, reset, or silent for too long. A write may have been applied."""


class Response(NamedTuple):
    """A whole response."""

    status: int
    raw: bytes

    def header(self, name: bytes) -> bytes:
        """By its lower-case name; empty if it is not there."""
        return header(self.raw, name)

    @property
    def body(self) -> bytes:
        return self.raw[self.raw.find(HEAD_END) + 4 :]


class Channel(asyncio.Protocol):
    """Requests one after another over one connection, made when first needed."""

    def __init__(self, target: str) -> None:
        self._place = address(target)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._parts = b""

    async def ask(self, request: bytes) -> Response:
        """Gone if no whole response comes."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._transport is None:
                    await loop.create_connection(lambda: self, *self._place)
                assert self._transport is not None
                self._answer = loop.create_future()
                self._transport.write(request)
                return await self._answer
        except (OSError, ValueError) as error:
            self.close()
            raise Gone(str(error)) from error
        finally:
            self._answer = None

    def close(self) -> None:
        """Forget the connection; the next request makes another."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._parts = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parts += data
        try:
            length = response_length(self._parts)
        except ValueError as error:
            self._fail(error)
            return
        if not 0 < length <= len(self._parts):
            return
        raw, self._parts = self._parts[:length], self._parts[length:]
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(int(raw[9:12]), raw))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._parts = b""
        self._fail(error or ConnectionResetError("closed by the node"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
