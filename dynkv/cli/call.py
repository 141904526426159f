"""One HTTP request to a node, for commands that make a few: standard library, no connection kept."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.settings import TOKEN_ENV

# Longer than the longest a node takes by itself to say that a quorum was not met.
TIMEOUT_S = 65.0

_AUTHORIZATION = "Authorization"


class Answer(NamedTuple):
    """What came back; `headers` are looked up whatever their case."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body, decoded; Failure if it is none of ours."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure(
                Exit.UNREACHABLE, f"this is not dynkv: no JSON in an answer with status {self.status}"
            ) from error


def call(
    url: str,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send one request to the node at `url` (http://HOST:PORT).

    Failure if no answer comes: UNREACHABLE, or AMBIGUOUS of a write that was sent; USAGE of what cannot be sent.
    """
    sent = False
    fields = _checked({**(headers or {}), **authorization()})
    connection = _connection(url, timeout_s)
    try:
        connection.connect()
        sent = True
        connection.request(method, _base(url) + path, body, fields)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, HTTPException) as error:
        why = _why(error)
        if sent and method in ("PUT", "DELETE"):
            raise Failure(Exit.AMBIGUOUS, f"{url}: {why}; the write may have been applied") from error
        raise Failure(Exit.UNREACHABLE, f"{url}: {why}") from error
    finally:
        connection.close()


def _parts(url: str) -> SplitResult:
    return urlsplit(url if "//" in url else f"http://{url}")


def _base(url: str) -> str:
    """The path under which a proxy has the node; usually empty."""
    return _parts(url).path.rstrip("/")


def _connection(url: str, timeout_s: float) -> HTTPConnection:
    try:
        parts = _parts(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a URL is such as http://127.0.0.1:8101")
        parts.hostname.encode("idna")  # as looking the name up does
        if not parts.path.isascii() or not parts.path.isprintable() or " " in parts.path:
            raise ValueError("its path has characters that have to be percent-encoded")
        connection_of = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return connection_of(parts.hostname, parts.port or connection_of.default_port, timeout=timeout_s)
    except (ValueError, HTTPException) as error:
        raise Failure(Exit.USAGE, f"{url!r} is not the URL of a node: {error}") from error


def _checked(headers: dict[str, str]) -> dict[str, str]:
    """`headers`, all of which can be sent. Failure that names one that cannot; its value may be a secret."""
    for name, value in headers.items():
        if any(char > "\xff" or (char < " " and char != "\t") or char == "\x7f" for char in value):
            where = f" (from {TOKEN_ENV})" if name == _AUTHORIZATION else ""
            raise Failure(Exit.USAGE, f"{name}{where}: has characters that no header field may have; nothing was sent")
    return headers


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


class Stream:
    """An answer whose body is read as it comes."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self._response = response

    def lines(self) -> Iterator[bytes]:
        """The body's lines. Failure if it breaks off."""
        try:
            yield from self._response
        except (OSError, HTTPException) as error:
            raise Failure(Exit.UNAVAILABLE, f"the answer broke off: {_why(error)}") from error

    def whole(self) -> Answer:
        """All of it. Failure if it breaks off."""
        return Answer(self.status, self._response.headers, b"".join(self.lines()))


@contextmanager
def stream(url: str, path: str, headers: Mapping[str, str]) -> Iterator[Stream]:
    """GET from the node at `url`. Failure if no answer comes."""
    fields = _checked({**headers, **authorization()})
    connection = _connection(url, TIMEOUT_S)
    try:
        try:
            connection.connect()
            connection.request("GET", _base(url) + path, headers=fields)
            response = connection.getresponse()
        except (OSError, HTTPException) as error:
            raise Failure(Exit.UNREACHABLE, f"{url}: {_why(error)}") from error
        yield Stream(response)
    finally:
        connection.close()


def authorization() -> dict[str, str]:
    """The header with the clients' token, if the environment has one."""
    token = os.environ.get(TOKEN_ENV)
    return {_AUTHORIZATION: f"Bearer {token}"} if token else {}


def answers(url: str, path: str, timeout_s: float = 2.0) -> bool:
    """Whether the node at `url` answers 200 under `path`."""
    try:
        return call(url, "GET", path, timeout_s=timeout_s).status == 200
    except Failure:
        return False
