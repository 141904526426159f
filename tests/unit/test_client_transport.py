"""One attempt over real sockets: what may have arrived is never taken for what was not sent."""

import asyncio

import pytest

from dynkv.client import AsyncClient, Unreachable
from dynkv.client.options import Options
from dynkv.client.transport import NoAnswer, NotSent, Transport
from tests.support import free_port

OK = b"HTTP/1.1 204 No Content\r\nDynkv-Siblings: 1\r\nContent-Length: 0\r\n\r\n"


class Dying:
    """A server that answers one request, and is gone as soon as it has read the second: its port too."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Dying":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            self.taken += 1
            if self.taken == 2:
                assert self._server is not None
                self._server.close()
                writer.transport.abort()
                return
            writer.write(OK)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_node_that_dies_with_a_request_on_a_kept_connection_may_have_taken_it(method: str) -> None:
    async def main() -> None:
        async with Dying() as node:
            transport = Transport(Options())
            url = f"http://127.0.0.1:{node.port}"
            assert (await transport.send(url, method, "/kv/b/k", {}, None, 5.0)).status == 204
            with pytest.raises(NoAnswer):
                await transport.send(url, method, "/kv/b/k", {}, None, 5.0)
            assert node.taken == 2
            with pytest.raises(NotSent):
                await transport.send(url, method, "/kv/b/k", {}, None, 5.0)
            await transport.close()

    asyncio.run(main())


def test_a_write_that_a_dying_node_has_taken_is_in_doubt() -> None:
    async def main() -> None:
        async with (
            Dying() as node,
            AsyncClient(f"http://127.0.0.1:{node.port}", route=False, timeout_s=0.5) as client,
        ):
            await client.put("b", "k", b"one")
            with pytest.raises(Unreachable) as failed:
                await client.put("b", "k", b"two")
            assert node.taken == 2
            assert failed.value.outcome == "ambiguous"

    asyncio.run(main())
