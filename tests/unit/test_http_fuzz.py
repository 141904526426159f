"""Whatever bytes come in: answers in proper form or a closed connection, and the node serves on."""

import asyncio

import structlog
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http_node import HttpNode, http_node
from tests.unit.http_raw import RawClient, ask, request_bytes

PIECES = st.sampled_from(
    [
        b"GET ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"POST ",
        b"CONNECT ",
        b"/kv/b/k",
        b"/kv/b/%zz",
        b"/kv/",
        b"/kv/b",
        b"/kv/b?limit=1&cursor=",
        b"/batch",
        b"/nodes",
        b"/",
        b"?r=9",
        b"?explain=true",
        b"*",
        b"http://h/kv/b/k",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b" HTTP/9.9",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"Host: h\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 9999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Expect: 100-continue\r\n",
        b"Dynkv-Context: x\r\n",
        b"Idempotency-Key: \xff\r\n",
        b"Accept: ;;q=,\r\n",
        b"Content-Type: application/json\r\n",
        b" ",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\x00",
        b"\xff\xfe",
        b"x" * 9000,
        request_bytes("PUT", "/kv/b/k", b"v"),
        request_bytes("GET", "/kv/b/k"),
        request_bytes("GET", "/ring"),
        request_bytes("GET", "/kv/b?prefix=k"),
        request_bytes("POST", "/batch", b'{"operations": [{}]}', {"Content-Type": "application/json"}),
    ]
)
INPUTS = st.lists(st.one_of(PIECES, st.binary(max_size=20)), min_size=1, max_size=12)


async def _throw(node: HttpNode, chunks: list[bytes]) -> None:
    async with await RawClient.connect(node.port) as client:
        try:
            for chunk in chunks:
                await client.send(chunk)
            client.end()
        except (ConnectionError, OSError):
            pass  # it hung up before we had said everything
        data = await client.ended()
    while data:
        start, _, _ = data.partition(b"\r\n")
        assert start.startswith(b"HTTP/1.1 "), data[:200]
        assert start[9:12].isdigit()
        _, blank, data = data.partition(b"\r\n\r\n")
        assert blank
        # The next answer, if there is one, begins after this one's body.
        at = data.find(b"HTTP/1.1 ")
        data = data[at:] if at >= 0 else b""


def test_any_bytes() -> None:
    async def main(inputs: list[bytes]) -> list[object]:
        with structlog.testing.capture_logs() as events:
            async with http_node(header_s=2.0, body_s=2.0) as node:
                await _throw(node, inputs)
                assert (await ask(node.port, "GET", "/health/live")).status == 200
                assert node.stats.errors == 0
        return list(events)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(INPUTS)
    def fuzz(inputs: list[bytes]) -> None:
        assert runner.run(main(inputs)) == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        fuzz()
