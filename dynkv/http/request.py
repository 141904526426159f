"""One request as a handler sees it: method, target, header fields, and its body under every limit."""

from typing import Protocol

from multidict import istr

from dynkv.core.errors import BadParameter, Overloaded, TooLarge
from dynkv.http.parsing import CONTENT_LENGTH, NO_BODY, Body, ClientError, Head

ACCEPT = istr("Accept")
AUTHORIZATION = istr("Authorization")
CONTENT_ENCODING = istr("Content-Encoding")
CONTENT_TYPE = istr("Content-Type")
EXPECT = istr("Expect")
TRANSFER_ENCODING = istr("Transfer-Encoding")


class Sender(Protocol):
    """What a request needs of its connection. `arrived`: when its header was whole."""

    arrived: float

    def awaits_body(self, waiting: bool) -> None: ...
    def send_continue(self) -> None: ...


class BodyBudget:
    """Bytes of bodies that all requests in progress hold. A body that does not fit is refused at once."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0

    def take(self, count: int) -> None:
        """Overloaded if there is no room. Whoever takes gives `held` back when the request ends."""
        if self.held + count > self.bytes_max:
            raise Overloaded(f"bodies of requests in progress hold {self.held} of {self.bytes_max} bytes")
        self.held += count


class Request:
    """`taken`: what this request holds of the budget; the server gives it back."""

    __slots__ = ("_body", "_sender", "arrived", "head", "headers", "method", "taken", "target")

    def __init__(self, head: Head, body: Body, sender: Sender) -> None:
        self.head = head
        self.method: str = head.method
        self.target: str = head.path
        self.headers = head.headers
        self.arrived = sender.arrived
        self.taken = 0
        self._body = body
        self._sender = sender

    async def body(self, bytes_max: int, field: str, budget: BodyBudget) -> bytes:
        """The whole body. TooLarge, UnsupportedEncoding, Overloaded, or ClientError if it does not come."""
        headers = self.headers
        if (encoding := headers.get(CONTENT_ENCODING)) is not None and encoding.lower() != "identity":
            raise UnsupportedEncoding("Content-Encoding", encoding, "no Content-Encoding, or identity")
        if self.head.chunked and (coding := headers.get(TRANSFER_ENCODING, "")).strip().lower() != "chunked":
            raise UnsupportedEncoding("Transfer-Encoding", coding, "chunked")
        if not self._body.is_eof():
            return await self._stream(bytes_max, field, budget)
        data: bytes = self._body.read_nowait()
        if len(data) > bytes_max:
            raise too_large(field, bytes_max)
        if budget.held + len(data) > budget.bytes_max:
            budget.take(len(data))
        budget.held += len(data)
        self.taken += len(data)
        return data

    async def _stream(self, bytes_max: int, field: str, budget: BodyBudget) -> bytes:
        """A body that is not all there yet, against a running limit."""
        declared = int(self.headers.get(CONTENT_LENGTH, "0"))
        if declared > bytes_max:
            raise too_large(field, bytes_max)
        self._take(declared, budget)
        self._expect()
        chunks: list[bytes] = []
        size = 0
        self._sender.awaits_body(True)
        try:
            while chunk := await self._body.readany():
                size += len(chunk)
                if size > bytes_max:
                    raise too_large(field, bytes_max)
                if size > self.taken:
                    self._take(size - self.taken, budget)
                chunks.append(chunk)
        finally:
            self._sender.awaits_body(False)
        return b"".join(chunks)

    def _take(self, count: int, budget: BodyBudget) -> None:
        budget.take(count)
        self.taken += count

    def _expect(self) -> None:
        expectation = self.headers.get(EXPECT)
        if expectation is None:
            return
        if expectation.lower() != "100-continue":
            raise ClientError(417, f"Expect: {expectation[:40]!r} cannot be met; only 100-continue can")
        if self.head.version.minor > 0:  # RFC 9110 10.1.1: not to a client of HTTP/1.0
            self._sender.send_continue()

    def refuse_body(self) -> None:
        """For methods that take none. BadParameter."""
        body = self._body
        if body is not NO_BODY and (not body.is_eof() or body.total_bytes):
            raise BadParameter("body", f"{self.method} takes none", "no body")


class UnsupportedEncoding(BadParameter):
    """A body that would have to be unpacked first; values are kept as they come."""

    kind = "unsupported-encoding"
    status = 415

    def __init__(self, field: str, encoding: str, limit: str) -> None:
        super().__init__(field, f"is {encoding[:40]!r}", limit)


def too_large(field: str, bytes_max: int) -> TooLarge:
    return TooLarge(field, f"is over {bytes_max} bytes", f"at most {bytes_max} bytes")
