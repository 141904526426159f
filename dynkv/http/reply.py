"""One answer: a status, header lines, a body; and its bytes on the wire, built once and written at once."""

from http import HTTPStatus
from typing import Any

import msgspec

_START = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
# These have no body by definition, so no length either (RFC 9110 8.6).
_BODILESS = frozenset((204, 304))


class Reply:
    """`head`: whole lines, each ended by CRLF, without Date, Content-Length and Connection. `close`: hang up after."""

    __slots__ = ("body", "close", "head", "status")

    def __init__(self, status: int, head: str = "", body: bytes = b"", close: bool = False) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.close = close

    def header(self, date: str, connection: str) -> bytes:
        """Status line and header. `date` and `connection` are whole header lines or empty."""
        if self.status in _BODILESS:
            return f"{_START[self.status]}{date}{self.head}{connection}\r\n".encode("latin-1")
        return (f"{_START[self.status]}{date}{self.head}Content-Length: {len(self.body)}\r\n{connection}\r\n").encode(
            "latin-1"
        )


def json_reply(status: int, value: Any, head: str = "") -> Reply:
    """`value` as JSON, indented for people: none of these answers is on a hot path."""
    body = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    return Reply(status, f"Content-Type: application/json\r\n{head}", body)
