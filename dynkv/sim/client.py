"""A client's side of HTTP in a simulated world: connections that are kept, one request at a time on each.

The requests are real bytes to the real server. What a client cannot know it does not know here either: a connection
that breaks, or an answer that does not come, leaves a write open.
"""

import asyncio
import base64
from collections.abc import Mapping
from functools import partial

import msgspec

from dynkv.peer.sockets import HostPort
from dynkv.sim.network import Net, Site


class Unanswered(Exception):
    """No answer came. `sent`: whether the server may have got the request."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Answer(msgspec.Struct, frozen=True):
    """Field names are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes


class Siblings(msgspec.Struct):
    """The JSON form of several values."""

    siblings: list["Entry"]


class Entry(msgspec.Struct):
    value: dict[str, str]
    dot: str


_siblings = msgspec.json.Decoder(Siblings).decode


def values_of(answer: Answer) -> list[bytes]:
    """The values that a GET found, in the order of their dots."""
    if answer.status == 200:
        return [answer.body]
    if answer.status == 300:
        return [base64.b64decode(entry.value["base64"]) for entry in _siblings(answer.body).siblings]
    return []


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._head: tuple[int, dict[str, str], int] | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self.open = False
        self.usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = self.usable = True

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        """The answer to come; Unanswered if the connection ends before it is whole."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self.open:
            self._transport.write(request)
        else:
            self._answer.set_exception(Unanswered("the connection was closed", sent=False))
        return self._answer

    def hang_up(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._head is None:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._data = _parse(head), rest
        status, fields, length = self._head
        if len(self._data) < length:
            return
        answer = Answer(status, fields, self._data[:length])
        self._head, self._data = None, self._data[length:]
        if fields.get("connection") == "close":
            self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def eof_received(self) -> None:
        self.usable = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unanswered("the connection was lost", sent=True))


class HttpClient:
    """One client's connections to all nodes."""

    def __init__(self, net: Net, site: Site, addresses: Mapping[str, HostPort]) -> None:
        self._net = net
        self._site = site
        self._addresses = addresses
        self._wires: dict[str, Wire] = {}

    async def ask(
        self, node: str, method: str, target: str, fields: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer:
        """Unanswered."""
        lines = [f"{method} {target} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in fields.items())]
        if body or method in ("PUT", "POST"):
            lines.append(f"Content-Length: {len(body)}")
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        wire = None
        answered = False
        try:
            async with asyncio.timeout(timeout_s):
                wire = await self._wire(node)
                answer = await wire.ask(request)
            answered = True
        except TimeoutError:
            raise Unanswered("no answer in time", sent=wire is not None) from None
        except OSError as error:
            raise Unanswered(str(error), sent=False) from None
        finally:
            if wire is not None and not (answered and wire.usable):
                self._drop(node, wire)
        return answer

    async def _wire(self, node: str) -> Wire:
        wire = self._wires.get(node)
        if wire is None or not wire.usable:
            wire = self._wires[node] = Wire()
            await self._net.connect(self._site, self._addresses[node], partial(_same, wire))
        return wire

    def _drop(self, node: str, wire: Wire) -> None:
        if self._wires.get(node) is wire:
            del self._wires[node]
        wire.hang_up()

    def hang_up(self) -> None:
        """Close all connections."""
        for node, wire in list(self._wires.items()):
            self._drop(node, wire)


def _same(wire: Wire) -> Wire:
    return wire


def _parse(head: bytes) -> tuple[int, dict[str, str], int]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return int(first.split(" ")[1]), fields, int(fields.get("content-length", "0"))
