"""Plain HTTP to one node, as any program would speak it: the standard library's client, one connection a thread."""

import email
import email.policy
import http.client
import json
import select
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

# Longer than a request's own deadline (5 s), so that it is the node that says "timed out", if anybody.
TIMEOUT_S = 10.0


class Reply(NamedTuple):
    """A whole answer. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def context(self) -> str | None:
        return self.headers.get("dynkv-context")

    def values(self) -> list[bytes]:
        """The values shown, sorted: none for 404, one for 200, all siblings for 300."""
        if self.status == 200:
            return [self.body]
        if self.status == 404:
            return []
        assert self.status == 300, f"{self.status} {self.body[:500]!r}"
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        return sorted(bytes(part.get_payload(decode=True)) for part in message.iter_parts())


class Http:
    """Requests to one node. Threads may share it: each has its own kept-alive connection."""

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._made: list[http.client.HTTPConnection] = []

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Reply:
        """One request and its answer. OSError or http.client.HTTPException if none came; it is not tried again,
        but for a kept-alive connection found closed before anything was sent on it."""
        if query:
            path += "?" + urllib.parse.urlencode({name: str(value) for name, value in query.items()})
        connection = self._connection()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            reply = Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return reply

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None and _was_closed(
            connection
        ):  # its node was killed since: this is no answer of the new
            connection.close()
            connection = None
        if connection is None:
            connection = http.client.HTTPConnection(self.address, timeout=self._timeout_s)
            self._local.connection = connection
            self._made.append(connection)
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def close_all(self) -> None:
        """Close the connections of all threads; none of them is in use any more."""
        for connection in self._made:
            connection.close()
        self._made.clear()
        self._local = threading.local()

    # --- /kv ----------------------------------------------------------------------------------------------------------

    def get(self, bucket: str, key: str, **query: object) -> Reply:
        return self.request("GET", _path(bucket, key), query=query)

    def put(
        self,
        bucket: str,
        key: str,
        value: bytes,
        context: str | None = None,
        write_id: str | None = None,
        **query: object,
    ) -> Reply:
        headers = {"Content-Type": "text/plain"} | _headers(context, write_id)
        return self.request("PUT", _path(bucket, key), value, headers, query)

    def delete(self, bucket: str, key: str, context: str | None = None, **query: object) -> Reply:
        return self.request("DELETE", _path(bucket, key), None, _headers(context, None), query)


def _path(bucket: str, key: str) -> str:
    return f"/kv/{bucket}/{urllib.parse.quote(key, safe='')}"


def _headers(context: str | None, write_id: str | None) -> dict[str, str]:
    headers = {"Dynkv-Context": context or "", "Idempotency-Key": write_id or ""}
    return {name: value for name, value in headers.items() if value}


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the node has closed an idle connection: there is nothing else that it could say."""
    if connection.sock is None:
        return False
    readable = select.poll()
    readable.register(connection.sock, select.POLLIN)
    return bool(readable.poll(0))
