"""Orders over HTTP on this machine: GET / says what is the matter, POST / with an order in JSON changes it.

Whoever reaches the port may break the network, so it is for a loopback address; and since a page in a browser reaches
those too, an order must say that it is JSON, which a page may not do to a stranger unasked, and the name under which we
were called must be one of this machine.
"""

import asyncio
from typing import Any, NamedTuple

import msgspec

from dynkv.chaos.network import Network
from dynkv.chaos.rules import BadOrder, Order
from dynkv.config import address, is_loopback
from dynkv.core.errors import AddressInUse, BadConfig
from dynkv.runtime import Tasks

HEAD_BYTES_MAX = 8192
BODY_BYTES_MAX = 65_536
DEADLINE_S = 10.0

_decode_order = msgspec.json.Decoder(Order).decode


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Control:
    """The control of one network; one request a connection."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None

    async def listen(self, where: str) -> None:
        """AddressInUse; BadConfig if the address is one that others reach."""
        host, port = address(where)
        if not is_loopback(host):
            raise BadConfig(
                f"{where}: the control takes orders from everybody who reaches it; give it a loopback address"
            )

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.start("chaos control", self._serve(reader, writer))

        try:
            self._server = await asyncio.start_server(accept, host, port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            raise AddressInUse(f"cannot listen on {where}: {error.strerror or error}") from error

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                status, told = self._answer(await _request(reader))
                writer.write(_response(status, told))
                await writer.drain()
        except _Refused as refused:
            writer.write(_response(refused.status, {"error": str(refused)}))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or does not speak HTTP: nobody to tell
        finally:
            writer.close()

    def _answer(self, asked: _Asked) -> tuple[int, Any]:
        host, _, port = asked.headers.get("host", "").rpartition(":")
        if not is_loopback((host or port).strip("[]")):
            raise _Refused(403, "called by a name that is not of this machine")
        if asked.path != "/":
            raise _Refused(404, "there is only /")
        if asked.method == "GET":
            return 200, self._network.status()
        if asked.method != "POST":
            raise _Refused(405, "GET says what is the matter, POST changes it")
        if asked.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise _Refused(415, "an order is application/json")
        try:
            return 200, {"ways": self._network.obey(_decode_order(asked.body))}
        except (msgspec.DecodeError, BadOrder) as error:
            raise _Refused(400, str(error)) from error


async def _request(reader: asyncio.StreamReader) -> _Asked:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise _Refused(400, "not HTTP") from error
    if not 0 <= length <= BODY_BYTES_MAX:
        raise _Refused(413, f"an order has at most {BODY_BYTES_MAX} bytes")
    return _Asked(method, path, headers, await reader.readexactly(length))


def _response(status: int, told: Any) -> bytes:
    body = msgspec.json.encode(told) + b"\n"
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
