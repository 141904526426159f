"""One HTTP request to a node, for commands that make a few: standard library, no connection kept."""

import json
import os
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(Exit.USAGE, f"{url!r} is not a URL such as http://127.0.0.1:8101")
    connection_of = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        connection = connection_of(parts.hostname, parts.port, timeout=timeout_s)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{url!r}: {error}") from error
    try:
        connection.connect()
        sent = True
        connection.request(method, parts.path.rstrip("/") + path, body, {**(headers or {}), **authorization()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if sent and method in ("PUT", "DELETE"):
            raise Failure(Exit.AMBIGUOUS, f"{url}: {why}; the write may have been applied") from error
        raise Failure(Exit.UNREACHABLE, f"{url}: {why}") from error
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
