"""The contract with aiohttp: everything undocumented that `dynkv.http.parsing` leans on, pinned.

A failure here after an upgrade of aiohttp means: read its release notes and `parsing.py` side by side before anything
else; do not loosen the test.
"""

import asyncio
import inspect

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from dynkv.http.parsing import FIELDS_MAX, PIPELINED_MAX, ClientError, Parsing

GET = b"GET /kv/b/%2Fk?x HTTP/1.1\r\nHost: h\r\nX-A:  b \r\n\r\n"


class Sink(Parsing):
    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.later: list[tuple[object, object]] = []

    def data_received(self, data: bytes) -> None:
        self.later.extend(self.parse(data))


def _in_loop(check: object) -> None:
    async def main() -> None:
        assert callable(check)
        done = check(Sink())
        if inspect.isawaitable(done):
            await done

    asyncio.run(main())


def test_the_parser_in_use_is_the_compiled_one() -> None:
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


def test_the_base_has_what_is_used_of_it() -> None:
    for name in ("pause_reading", "resume_reading", "_pause_reading_for_buffer", "_resume_reading_for_buffer"):
        assert callable(getattr(BaseProtocol, name)), name
    assert inspect.iscoroutinefunction(BaseProtocol._drain_helper)
    assert {"_buffer_paused", "_reading_paused", "_parser", "_loop"} <= set(BaseProtocol.__slots__)
    assert isinstance(inspect.getattr_static(BaseProtocol, "writing_paused"), property)


def test_a_head_is_as_it_came() -> None:
    def check(sink: Sink) -> None:
        [(head, body)] = sink.parse(GET)
        assert (head.method, head.path) == ("GET", "/kv/b/%2Fk?x")
        assert head.headers["x-a"] == "b"
        assert (head.version.major, head.version.minor) == (1, 1)
        assert (head.should_close, head.chunked, head.upgrade) == (False, False, False)
        assert body is EMPTY_PAYLOAD
        assert body.is_eof()
        assert body.read_nowait() == b""

    _in_loop(check)


def test_a_head_comes_when_it_is_whole_and_its_body_as_it_arrives() -> None:
    async def check(sink: Sink) -> None:
        head = b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
        for at in range(len(head) - 1):
            assert not sink.parse(head[at : at + 1])
        [(_, body)] = sink.parse(head[-1:] + b"ab")
        assert isinstance(body, StreamReader)
        assert sink.body is body
        assert not body.is_eof()
        assert body.read_nowait() == b"ab"
        assert not sink.parse(b"cd")
        assert body.is_eof()
        assert body.total_bytes == 4
        assert await body.readany() == b"cd"
        assert await body.readany() == b""

    _in_loop(check)


def test_gzip_stays_gzip() -> None:
    def check(sink: Sink) -> None:
        head = b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz"
        [(_, body)] = sink.parse(head)
        assert body.read_nowait() == b"xyz"

    _in_loop(check)


def test_pipelined_requests_wait_in_the_parser_beyond_a_bound() -> None:
    def check(sink: Sink) -> None:
        first = sink.parse(GET * (PIPELINED_MAX + 3))
        assert len(first) == PIPELINED_MAX
        for _ in first:
            sink.taken()
        assert len(sink.parse(b"")) == 3

    _in_loop(check)


def test_a_broken_body_reaches_its_reader() -> None:
    async def check(sink: Sink) -> None:
        [(_, body)] = sink.parse(b"PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ClientError):
            sink.parse(b"zz\r\n")
        with pytest.raises(ClientError) as caught:
            await body.readany()
        assert caught.value.status == 400
        assert sink.body.is_eof()

    _in_loop(check)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /k HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /" + b"k" * 17_000 + b" HTTP/1.1\r\n", 431),
        (b"GET /k HTTP/1.1\r\nHost: h\r\nA: " + b"x" * 17_000 + b"\r\n", 431),
        (b"GET /k HTTP/1.1\r\nHost: h\r\n" + b"A: x\r\n" * FIELDS_MAX + b"\r\n", 431),
    ],
)
def test_errors_are_one_line(data: bytes, status: int) -> None:
    def check(sink: Sink) -> None:
        with pytest.raises(ClientError) as caught:
            sink.parse(data)
        assert caught.value.status == status
        assert "\n" not in caught.value.detail
        assert 3 < len(caught.value.detail) <= 200

    _in_loop(check)
