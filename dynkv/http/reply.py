"""One answer: a status, header lines, and a body that is there, written at once, or one that comes bit by bit."""

from http import HTTPStatus
from typing import Any, Protocol

import msgspec

_START = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
# These have no body by definition, so no length either (RFC 9110 8.6).
_BODILESS = frozenset((204, 304))


class Source(Protocol):
    """Where a streamed body comes from; used by one connection, on its loop.

    `endless`: it has no end of its own, so a server that drains ends it; others may finish while it waits.
    """

    endless: bool

    async def chunk(self) -> bytes:
        """The next bytes, waiting for them as long as it takes; b"" at the end. Called again only when these are taken:
        a slow client is a slow caller. An exception cuts the connection, so that the client knows that this is not all.
        """
        ...

    def close(self) -> None:
        """Nobody reads any more: let go of everything; a `chunk` that waits returns b"". Always called, maybe twice."""
        ...


class Reply:
    """`head`: whole lines, each ended by CRLF, without Date, Content-Length and Connection. `close`: hang up after.

    With a `source` the body is streamed from it, and `body` is not used.
    """

    __slots__ = ("body", "close", "head", "source", "status")

    def __init__(
        self, status: int, head: str = "", body: bytes = b"", close: bool = False, source: Source | None = None
    ) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.close = close
        self.source = source

    def header(self, date: str, connection: str, chunked: bool = False) -> bytes:
        """Status line and header. `date` and `connection` are whole header lines or empty.

        A streamed body is `chunked`, or, to a client that does not know chunks, ends with the connection.
        """
        if self.status in _BODILESS or self.source is not None:
            coding = "Transfer-Encoding: chunked\r\n" if chunked else ""
            return f"{_START[self.status]}{date}{self.head}{coding}{connection}\r\n".encode("latin-1")
        return (f"{_START[self.status]}{date}{self.head}Content-Length: {len(self.body)}\r\n{connection}\r\n").encode(
            "latin-1"
        )


def json_reply(status: int, value: Any, head: str = "") -> Reply:
    """`value` as JSON, indented for people: none of these answers is on a hot path."""
    body = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    return Reply(status, f"Content-Type: application/json\r\n{head}", body)
