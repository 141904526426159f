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

    Failure if no answer comes: UNREACHABLE, or AMBIGUOUS of a write that was sent.
    """
    sent = False
    connection = _connection(url, timeout_s)
    try:
        connection.connect()
        sent = True
        connection.request(method, _base(url) + path, body, {**(headers or {}), **authorization()})
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
    parts = _parts(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(Exit.USAGE, f"{url!r} is not a URL such as http://127.0.0.1:8101")
    connection_of = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        return connection_of(parts.hostname, parts.port, timeout=timeout_s)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{url!r}: {error}") from error


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
        """All of it."""
        return Answer(self.status, self._response.headers, self._response.read())


@contextmanager
def stream(url: str, path: str, headers: Mapping[str, str]) -> Iterator[Stream]:
    """GET from the node at `url`. Failure if no answer comes."""
    connection = _connection(url, TIMEOUT_S)
    try:
        try:
            connection.connect()
            connection.request("GET", _base(url) + path, headers={**headers, **authorization()})
            response = connection.getresponse()
        except (OSError, HTTPException) as error:
            raise Failure(Exit.UNREACHABLE, f"{url}: {_why(error)}") from error
        yield Stream(response)
    finally:
        connection.close()


def authorization() -> dict[str, str]:
    """The header with the clients' token, if the environment has one."""
    token = os.environ.get(TOKEN_ENV)
    return {"Authorization": f"Bearer {token}"} if token else {}


def answers(url: str, path: str, timeout_s: float = 2.0) -> bool:
    """Whether the node at `url` answers 200 under `path`."""
    try:
        return call(url, "GET", path, timeout_s=timeout_s).status == 200
    except Failure:
        return False
