"""A cut that cuts nothing would make every test of a cut worthless."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.cluster.links import Links
from tests.support import free_port


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets, one connection after another."""
    with socket.create_server(("127.0.0.1", free_port())) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(4096):
                        connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture
def links() -> Iterator[Links]:
    made = Links()
    yield made
    made.close()


def test_a_link_carries_bytes_both_ways_until_it_is_cut(echo: int, links: Links) -> None:
    port = free_port()
    links.add("a", "b", port, echo)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"one")
        assert connection.recv(10) == b"one"
        links.cut(("a", "b"))
        connection.sendall(b"two")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        links.heal()
        connection.settimeout(5)
        assert connection.recv(10) == b"two"


def test_a_connection_made_during_a_cut_hangs_until_it_is_healed(echo: int, links: Links) -> None:
    port = free_port()
    links.add("a", "b", port, echo)
    links.isolate("b")
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
        connection.sendall(b"one")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        links.heal(("a", "b"))
        connection.settimeout(5)
        assert connection.recv(10) == b"one"
