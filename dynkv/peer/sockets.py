"""How two nodes get hold of each other: the only module that knows TCP, and the seam for one that has none.

`Sockets` hands out connected `asyncio.Protocol`s; what is said over them is the business of `connection.py`. The
in-memory form is `loopback.Loopback`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple, Protocol

from dynkv.core.errors import AddressInUse, BadConfig

HostPort = tuple[str, int]
MakeProtocol = Callable[[], asyncio.Protocol]

TLS_HANDSHAKE_S = 5.0


class Listener(Protocol):
    """An address that is listened on."""

    @property
    def port(self) -> int:
        """The port that is really listened on; of interest where zero was asked for."""
        ...

    async def close(self) -> None:
        """Take no further connections. Those that are open stay."""
        ...


class Sockets(Protocol):
    """Connects protocols to each other. `make` is called once per connection, on the loop."""

    async def listen(self, address: HostPort, make: MakeProtocol) -> Listener:
        """AddressInUse if the address is not to be had."""
        ...

    async def connect(self, node: str, address: HostPort, make: MakeProtocol) -> None:
        """Connect to `node` at `address`. OSError if that fails; no time limit of its own."""
        ...


class Tls(NamedTuple):
    """Both roles of mutual TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def mutual_tls(cert: str, key: str, ca: str) -> Tls:
    """Contexts in which each side shows `cert` and asks for one signed by `ca`. BadConfig if a file will not do.

    Host names are not compared: a peer may be reached through a proxy or NAT, and who it is is proven in the hello.
    """
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_REQUIRED
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(cert, key)
            context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one too
        raise BadConfig(f"peer_tls: cert {cert!r}, key {key!r}, ca {ca!r}: {error}") from error
    return Tls(server, client)


class TcpListener:
    """A listening TCP socket."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self._port: int = server.sockets[0].getsockname()[1]

    @property
    def port(self) -> int:
        return self._port

    async def close(self) -> None:
        self._server.close()


class TcpSockets:
    """TCP, with mutual TLS over it if given."""

    def __init__(self, tls: Tls | None = None) -> None:
        self._tls = tls

    async def listen(self, address: HostPort, make: MakeProtocol) -> TcpListener:
        host, port = address
        loop = asyncio.get_running_loop()
        try:
            if self._tls is None:
                return TcpListener(await loop.create_server(make, host, port))
            context = self._tls.server
            server = await loop.create_server(make, host, port, ssl=context, ssl_handshake_timeout=TLS_HANDSHAKE_S)
        except OSError as error:
            raise AddressInUse(f"cannot listen for peers on {host}:{port}: {error.strerror or error}") from error
        return TcpListener(server)

    async def connect(self, node: str, address: HostPort, make: MakeProtocol) -> None:
        host, port = address
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.create_connection(make, host, port)
        else:
            await loop.create_connection(make, host, port, ssl=self._tls.client, server_hostname=node)


def no_delay(transport: asyncio.BaseTransport) -> None:
    """Send small frames at once: they are coalesced already. Nothing to do where there is no TCP."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
