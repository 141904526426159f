"""A client that sends exactly the bytes it is told to, and reads answers strictly."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

DEADLINE_S = 5.0


class Answer:
    """One parsed answer. `fields` by lower-case name; a name that came twice fails the parse."""

    def __init__(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.fields = dict(fields)
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """Of a problem; fails for anything else."""
        assert self.fields["content-type"] == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["detail"]
        assert problem["help"]
        return str(problem["type"]).removeprefix("urn:dynkv:problem:")

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.fields}, {self.body[:200]!r})"


class RawClient:
    """One connection. Every wait has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass  # the server was allowed to be first

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """Close the sending side only."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Vanish: RST instead of FIN."""
        plain = self._writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer; AssertionError if the connection ends or the deadline passes."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._answer(method)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise AssertionError(f"no answer: {error!r}") from error

    async def _answer(self, method: str) -> Answer:
        head = self._parsed(await self._reader.readuntil(b"\r\n\r\n"))
        length = int(head.fields.get("content-length", "0"))
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            length = 0
        return Answer(head.status, head.fields, await self._reader.readexactly(length))

    @staticmethod
    def _parsed(data: bytes) -> Answer:
        head = data.decode("latin-1")
        start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        version, status, _ = start.split(" ", 2)
        assert version == "HTTP/1.1"
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in fields, f"{name} twice in {head}"
            fields[name.lower()] = value
        return Answer(int(status), fields, b"")

    async def head(self) -> Answer:
        """The header of an answer whose body is streamed."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return self._parsed(await self._reader.readuntil(b"\r\n\r\n"))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise AssertionError(f"no answer: {error!r}") from error

    async def chunk(self) -> bytes:
        """The next chunk of it; b"" for the last. AssertionError if it is cut."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                size = int((await self._reader.readuntil(b"\r\n")).removesuffix(b"\r\n"), 16)
                data = await self._reader.readexactly(size + 2)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise AssertionError(f"no chunk: {error!r}") from error
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def ended(self) -> bytes:
        """What still comes until the server closes; AssertionError if it does not."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._reader.read()
        except ConnectionError:
            return b""
        except TimeoutError as error:
            raise AssertionError("the connection is still open") from error

    async def was_reset(self) -> bool:
        """Whether the connection ends, and not in an orderly way."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._reader.read()
        except ConnectionResetError:
            return True
        return False

    async def ask(
        self, method: str, target: str, body: bytes | None = None, fields: Mapping[str, str] | None = None
    ) -> Answer:
        """One ordinary request and its answer."""
        await self.send(request_bytes(method, target, body, fields))
        return await self.answer(method)


def request_bytes(
    method: str, target: str, body: bytes | None = None, fields: Mapping[str, str] | None = None
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b"")


async def ask(
    port: int, method: str, target: str, body: bytes | None = None, fields: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    async with await RawClient.connect(port) as client:
        return await client.ask(method, target, body, fields)
