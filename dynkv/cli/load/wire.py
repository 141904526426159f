"""The little HTTP/1.1 that a load generator needs: requests as bytes, and where a response ends."""

from collections.abc import Mapping

HEAD_END = b"\r\n\r\n"

# Statuses whose responses have no body, whatever their headers say.
BODILESS = (b"204", b"304")


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole request. `path` is sent as it is. A length is added if there is a body or the method asks for one."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


def response_length(data: bytes) -> int:
    """How long the response is that `data` begins with; 0 if that cannot be said yet.

    ValueError if it is no response or has no end of its own (neither length nor chunks).
    """
    head = data.find(HEAD_END)
    if head < 0:
        return 0
    # Most servers write it like this; any other spelling takes the slower way below.
    at = data.find(b"\r\nContent-Length: ", 0, head)
    if at >= 0:
        end = data.find(b"\r\n", at + 18)
        return head + 4 + int(data[at + 18 : end])
    if data[9:12] in BODILESS:
        return head + 4
    return _response_length(data, head)


def _response_length(data: bytes, head: int) -> int:
    if not data.startswith(b"HTTP/1."):
        raise ValueError("not an HTTP/1 response")
    for line in data[:head].lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return head + 4 + int(value)
        if name == b"transfer-encoding" and value.strip() == b"chunked":
            return _chunked_length(data, head + 4)
    raise ValueError("a response without length or chunks")


def _chunked_length(data: bytes, at: int) -> int:
    """Where the chunks that begin at `at` end; trailers are not expected."""
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return 0
        size = int(data[at:line_end].split(b";")[0], 16)
        at = line_end + 2 + size + 2
        if size == 0:
            return at
        if at > len(data):
            return 0


def header(response: bytes, name: bytes) -> bytes:
    """The value of the header `name` (lower case) of a whole response; empty if it is not there."""
    head = response[: response.find(HEAD_END)]
    at = head.lower().find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    start = at + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()
