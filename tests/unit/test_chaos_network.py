"""A bad network between real sockets: each kind of harm happens, to the way that it was meant for and to no other."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dynkv.chaos.network import Door
from dynkv.chaos.rules import BadOrder, Heal, Reset, Set
from dynkv.chaos.thread import NetworkThread
from dynkv.cli.call import call
from dynkv.cli.exit_codes import Exit
from dynkv.core.errors import AddressInUse, BadConfig
from dynkv.runtime import SeededRandom
from tests.support import eventually, free_port
from tests.unit.cli_runner import Terminal

NOTHING_S = 0.2  # for so long nothing comes, where nothing may come


@pytest.fixture
def echo() -> Iterator[str]:
    """The address of a server that sends back what it gets, and hangs up when it was hung up on."""
    server = socket.create_server(("127.0.0.1", free_port()))
    workers: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65_536):
                connection.sendall(data)

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            workers.append(threading.Thread(target=talk, args=(connection,), daemon=True))
            workers[-1].start()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for worker in (thread, *workers):
        worker.join(5)
        assert not worker.is_alive()


@pytest.fixture
def network() -> Iterator[NetworkThread]:
    made = NetworkThread(SeededRandom("1"))
    yield made
    made.close()


def opened(network: NetworkThread, to: str, *, frames: bool = False) -> str:
    where = f"127.0.0.1:{free_port()}"
    network.add(Door("a", "b", where, to), frames=frames)
    return where


@contextlib.contextmanager
def connected(where: str, timeout_s: float = 5.0) -> Iterator[socket.socket]:
    host, _, port = where.partition(":")
    with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        yield connection


def frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        assert part, f"ended after {data!r}"
        data += part
    return data


def said_back(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return read(connection, len(data))


def nothing_comes(connection: socket.socket) -> None:
    connection.settimeout(NOTHING_S)
    with pytest.raises(TimeoutError):
        connection.recv(10)
    connection.settimeout(5)


def counted(network: NetworkThread, way: str, name: str) -> int:
    (row,) = (row for row in network.status()["ways"] if row["way"] == way)
    return int(row[name])


def test_a_good_network_carries_everything_and_both_ends(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo, frames=True)
    with connected(where) as connection:
        data = b"".join(frame(bytes([n]) * n * 100) for n in range(200))
        connection.sendall(data)
        assert read(connection, len(data)) == data
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
    eventually(lambda: counted(network, "a:b", "open") == 0, what="the connection is forgotten")
    assert counted(network, "a:b", "bytes") == counted(network, "b:a", "bytes") == len(data)
    assert counted(network, "a:b", "frames") == 198


@pytest.mark.parametrize("ways", ["a:b", "b:a", "a", "all"])
def test_a_cut_is_silent_and_what_was_sent_arrives_when_it_is_healed(
    network: NetworkThread, echo: str, ways: str
) -> None:
    where = opened(network, echo)
    with connected(where) as connection:
        assert said_back(connection, b"one") == b"one"
        network.cut(ways)
        connection.sendall(b"two")
        nothing_comes(connection)
        if ways == "b:a":  # one wire of the cable: what we send arrives
            eventually(lambda: counted(network, "a:b", "bytes") == 6)
        else:
            assert counted(network, "a:b", "bytes") == 3
        network.heal()
        assert read(connection, 3) == b"two"


def test_a_connection_made_during_a_cut_hangs_until_it_is_healed(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    network.cut("a:b")
    with connected(where) as connection:
        connection.sendall(b"one")
        nothing_comes(connection)
        network.heal("a:b")
        assert read(connection, 3) == b"one"


def test_an_end_of_connection_does_not_cross_a_cut(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    with connected(where) as connection:
        assert said_back(connection, b"one") == b"one"
        network.cut("b:a")
        connection.shutdown(socket.SHUT_WR)
        nothing_comes(connection)
        network.heal()
        assert connection.recv(10) == b""


def test_a_delay_delays(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    network.obey(Set("a:b", delay_ms=60))
    network.obey(Set("b:a", delay_ms=40, jitter_ms=10))
    with connected(where) as connection:
        began = time.monotonic()
        assert said_back(connection, b"one") == b"one"
        assert time.monotonic() - began >= 0.1


def test_a_pace_is_kept(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    network.obey(Set("a:b", bytes_per_s=20_000))
    with connected(where) as connection:
        began = time.monotonic()
        assert len(said_back(connection, bytes(10_000))) == 10_000
        assert time.monotonic() - began > 0.4


def test_a_reset_now_breaks_both_ends(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    with connected(where) as connection:
        assert said_back(connection, b"one") == b"one"
        assert network.obey(Reset("a:b")) == ["a:b"]
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    with connected(where) as connection:
        assert said_back(connection, b"two") == b"two"


def test_a_reset_in_place_of_an_answer_comes_after_the_request_arrived(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    network.obey(Reset("b:a", after_bytes=4))
    with connected(where) as connection:
        assert said_back(connection, b"one") == b"one"
        connection.sendall(b"two")
        assert connection.recv(10) == b"t"
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    assert counted(network, "a:b", "bytes") == 6
    assert counted(network, "b:a", "resets") == 1


def test_nobody_there_is_a_reset(network: NetworkThread) -> None:
    where = opened(network, f"127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionResetError), connected(where) as connection:  # at once, or on reading
        connection.recv(10)


def test_frames_are_lost_doubled_and_overtaken_but_never_torn(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo, frames=True)
    network.obey(Set("a:b", drop=0.2, duplicate=0.3, reorder=0.5, reorder_ms=30))
    sent = [b"%04d" % number for number in range(300)]
    with connected(where) as connection:
        connection.sendall(b"".join(map(frame, [b"hello", b"proof", *sent])))
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while part := connection.recv(65_536):
            heard += part
    frames = [heard[at + 4 : at + 8] for at in range(18, len(heard), 8)]
    assert heard[:18] == frame(b"hello") + frame(b"proof")
    assert b"".join(map(frame, frames)) == heard[18:]
    counts = network.status()["ways"][0]
    assert len(sent) - len(set(frames)) == counts["dropped"] > 30
    assert len(frames) - len(set(frames)) == counts["duplicated"] > 30
    assert sum(later < earlier for earlier, later in itertools.pairwise(frames)) > 30


def test_orders_that_cannot_be_obeyed(network: NetworkThread, echo: str) -> None:
    where = opened(network, echo)
    with pytest.raises(BadOrder, match=r"there is no way 'c:a'; there are a:b, b:a"):
        network.obey(Heal("c:a"))
    with pytest.raises(BadOrder, match="--frames"):
        network.obey(Set("a:b", drop=0.5))
    with pytest.raises(BadOrder, match="--frames"):
        network.obey(Reset("a:b", after_frames=1))
    assert network.obey(Set("a:b", drop=0)) == ["a:b"]
    with pytest.raises(AddressInUse, match=where):
        network.add(Door("a", "c", where, echo))


# --- the control ------------------------------------------------------------------------------------------------------


@pytest.fixture
def control(network: NetworkThread, echo: str) -> str:
    opened(network, echo, frames=True)
    where = f"127.0.0.1:{free_port()}"
    network.control(where)
    return where


def test_orders_over_http(network: NetworkThread, control: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dynkv = Terminal(monkeypatch)
    here = ("--control", control)
    assert dynkv("chaos", "cut", "a:b", *here).out == b"cut: a:b\n"
    assert dynkv("chaos", "set", "all", "--delay", "10ms", "--drop", "50%", *here).out == b"set: a:b, b:a\n"
    assert dynkv("chaos", "reset", "b:a", "--after-frames", "7", *here).out == b"reset: b:a\n"
    shown = dynkv("chaos", "status", *here).out.decode().splitlines()
    assert shown[0].startswith("a:b          delay_ms 10, cut, drop 0.5; 0 bytes")
    told = msgspec.json.decode(dynkv("chaos", "status", "-o", "json", *here).out)
    assert [way["rules"] for way in told["ways"]] == [
        {"delay_ms": 10.0, "cut": True, "drop": 0.5},
        {"delay_ms": 10.0, "drop": 0.5},
    ]
    assert told["doors"][0]["source"] == "a"
    assert dynkv("chaos", "heal", *here).out == b"healed: a:b, b:a\n"
    assert not any(way["rules"] for way in network.status()["ways"])
    refused = dynkv("chaos", "cut", "c", *here)
    assert (refused.code, refused.err) == (Exit.USAGE, "dynkv: there is no way 'c'; there are a:b, b:a\n")
    assert dynkv("chaos", "set", "a", *here).code == Exit.USAGE
    assert dynkv("chaos", "status", "--control", f"127.0.0.1:{free_port()}").code == Exit.UNREACHABLE


def test_a_script_is_followed(
    network: NetworkThread, control: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("0s cut a:b\n50ms set b:a --delay 5ms\n")
    done = Terminal(monkeypatch)("chaos", "run", str(script), "--control", control)
    assert (done.code, done.out) == (Exit.OK, b"cut: a:b\nset: b:a\n")
    assert [way["rules"] for way in network.status()["ways"]] == [{"cut": True}, {"delay_ms": 5.0}]
    script.write_text("0s cut")
    assert Terminal(monkeypatch)("chaos", "run", str(script), "--control", control).code == Exit.USAGE


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/", b'{"do": "heal"}', {"Content-Type": "text/plain"}, 415),  # what a page may send to a stranger
        ("POST", "/", b'{"do": "heal"}', {"Content-Type": "application/json", "Host": "evil.example"}, 403),
        ("POST", "/", b'{"do": "break"}', {"Content-Type": "application/json"}, 400),
        ("POST", "/", b'{"do": "set", "ways": "all", "drop": 2}', {"Content-Type": "application/json"}, 400),
        ("POST", "/", b"{" * 70_000, {"Content-Type": "application/json"}, 413),
        ("PUT", "/", b"", {}, 405),
        ("GET", "/elsewhere", None, {}, 404),
        ("GET", "/", None, {"Host": "localhost"}, 200),
    ],
)
def test_the_control_takes_orders_from_this_machine_alone(
    control: str, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    assert call(f"http://{control}", method, path, body=body, headers=headers).status == status


def test_the_control_is_not_for_others(network: NetworkThread) -> None:
    with pytest.raises(BadConfig, match="loopback"):
        network.control(f"0.0.0.0:{free_port()}")
    taken = f"127.0.0.1:{free_port()}"
    network.control(taken)
    with pytest.raises(AddressInUse):
        network.control(taken)


def test_the_control_bears_what_is_no_http(control: str) -> None:
    with connected(control) as connection:
        connection.sendall(b"not http\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    with connected(control) as connection:
        connection.sendall(b"x" * 20_000)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""
    assert call(f"http://{control}", "GET", "/").status == 200
