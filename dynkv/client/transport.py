"""One attempt: one request to one node, and its whole answer. The only module that knows aiohttp.

Whether an attempt that failed may have arrived decides what became of a write, so the two ways to fail are apart:
`NotSent` (no connection came about) and `NoAnswer` (it may have arrived).

aiohttp would repeat a PUT or DELETE by itself if a kept connection breaks under it, and tell of the second one only: a
node that dies just after it has taken a write would look like one that was never reached. So that is switched off; a
request whose connection breaks may have arrived, and is repeated by us under the same id.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from dynkv.client.errors import NotDynkv
from dynkv.client.options import Options
from dynkv.runtime import pause

# Below a node's own 75 s, so that it is we who close an idle connection, and no request meets one that just closed.
KEEP_ALIVE_S = 30.0
CONNECT_SHARE = 0.8
CHUNK_BYTES = 256 * 1024
# From here on a body is sent in pieces, so that others get their turns meanwhile.
LARGE_BODY_BYTES = 256 * 1024


class NotSent(Exception):
    """No connection to the node: nothing arrived."""


class NoAnswer(Exception):
    """No whole answer: what was sent may have arrived."""


class Answer(NamedTuple):
    """A whole answer; `headers` are looked up whatever their case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded. NotDynkv if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NotDynkv(f"no JSON in an answer with status {self.status}") from error


class Transport:
    """Connections to all nodes. Made on the loop that it is used on; `close` it there."""

    def __init__(self, options: Options) -> None:
        self._bytes_max = options.answer_bytes_max
        self._connect_s = options.connect_s
        # No bound here: whoever sends keeps one, and waits for its turn where that is not taken for a lost answer.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        headers = {"Accept-Encoding": "identity", "User-Agent": "dynkv-client"}
        if options.token:
            headers["Authorization"] = f"Bearer {options.token}"
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=headers,
            skip_auto_headers=("Content-Type",),
        )
        self._session._retry_connection = False  # there is no argument for it; a test holds that it works

    async def send(
        self, url: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Answer:
        """NotSent, NoAnswer; NotDynkv if the answer is longer than is read."""
        async with self.open(url, method, target, headers, body, timeout_s) as response:
            chunks, size = [], 0
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                if size > self._bytes_max:
                    raise NotDynkv(f"an answer of more than {self._bytes_max} bytes")
                chunks.append(chunk)
            return Answer(response.status, response.headers, b"".join(chunks))

    @asynccontextmanager
    async def open(
        self, url: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same with the body still to come. Failures while it is read are NoAnswer, too."""
        # Ends before the attempt does: who has no connection by then has sent nothing, and that is known.
        timeout = aiohttp.ClientTimeout(total=None, connect=min(self._connect_s, timeout_s * CONNECT_SHARE))
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(
                    method,
                    URL(url + target, encoded=True),
                    data=io.BytesIO(body) if body is not None and len(body) > LARGE_BODY_BYTES else body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=timeout,
                ) as response,
            ):
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(_words(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(_words(error) if str(error) else f"no answer within {timeout_s:.3g} s") from error

    async def close(self) -> None:
        await self._session.close()
        await pause(0)  # the transports of the connections close in the loop's next turn


def _words(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
