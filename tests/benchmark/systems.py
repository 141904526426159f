"""What is compared: each system as processes on this machine, and its requests as bytes.

All are asked in the same way, over HTTP with kept-alive connections, for values of the same size. `fill` writes key
numbers 0 up to a count, `reads` asks for them, and `writes` adds new keys without end, as `dynkv bench` does.

etcd speaks gRPC first; its JSON gateway is what an HTTP client gets, and what is measured. Its reads are linearizable
(the default: confirmed by a quorum), its writes are on the disks of two of three members when acknowledged. Keys and
values travel as base64 in JSON there, which costs it a third more bytes.
"""

import base64
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Protocol

from dynkv.cli import load
from dynkv.cli.baseline import BareServer
from dynkv.cli.load.sources import SourceOf
from tests.cluster.http_client import Http
from tests.cluster.processes import Cluster
from tests.support import eventually, free_port

BUCKET = "bench"
READY_S = 30.0


class System(Protocol):
    """One thing to be measured. `start` returns when it serves. `fill` is None if there is nothing to be filled."""

    name: str

    @property
    def targets(self) -> list[str]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pids(self) -> list[int]: ...
    def fill(self, keys: int, connections: int) -> SourceOf | None: ...
    def reads(self, keys: int) -> SourceOf: ...
    def writes(self, connections: int) -> SourceOf: ...


# --- requests: classes at the top of the module, because they are pickled on their way to the generator ---------------


@dataclass(frozen=True)
class DynkvPut:
    """The write of key number n under a prefix."""

    prefix: str
    size: int

    def __call__(self, number: int) -> bytes:
        return load.request("PUT", f"/kv/{BUCKET}/{self.prefix}{number}", None, value(self.size))


@dataclass(frozen=True)
class EtcdPut:
    """The same for etcd."""

    prefix: str
    size: int

    def __call__(self, number: int) -> bytes:
        body = b'{"key":"%b","value":"%b"}' % (_base64(f"{self.prefix}{number}"), _value_base64(self.size))
        return load.request("POST", "/v3/kv/put", {"Content-Type": "application/json"}, body)


def etcd_range(number: int) -> bytes:
    """The linearizable read of key number n of those that were filled in."""
    return load.request(
        "POST", "/v3/kv/range", {"Content-Type": "application/json"}, b'{"key":"%b"}' % _base64(f"fill{number}")
    )


@cache
def value(size: int) -> bytes:
    """Bytes that do not compress."""
    return Random(size).randbytes(size)


@cache
def _value_base64(size: int) -> bytes:
    return base64.b64encode(value(size))


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


# --- the systems ------------------------------------------------------------------------------------------------------


class Dynkv:
    """Three nodes, n=3 r=2 w=2."""

    def __init__(self, folder: Path, size: int, durability: str) -> None:
        self.name = f"dynkv {durability}"
        self._size = size
        folder.mkdir()
        self.cluster = Cluster(folder, 3, options=[f"--durability={durability}"])

    @property
    def targets(self) -> list[str]:
        return [node.address for node in self.cluster.nodes]

    def start(self) -> None:
        self.cluster.start()

    def stop(self) -> None:
        self.cluster.stop()

    def pids(self) -> list[int]:
        return [node.process.pid for node in self.cluster.nodes if node.process is not None]

    def fill(self, keys: int, connections: int) -> SourceOf:
        return load.Counting(DynkvPut("fill", self._size), connections, keys)

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling(
            [load.request("GET", f"/kv/{BUCKET}/fill{_spread(number, keys)}") for number in range(keys)]
        )

    def writes(self, connections: int) -> SourceOf:
        return load.Counting(DynkvPut("new", self._size), connections)


class Etcd:
    """Three members of etcd, Debian's package, default settings."""

    name = "etcd"

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._size = size
        self._ports = [(free_port(), free_port()) for _ in range(3)]
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def targets(self) -> list[str]:
        return [f"127.0.0.1:{client}" for client, _ in self._ports]

    def start(self) -> None:
        members = ",".join(f"e{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(self._ports))
        for i, (client, peer) in enumerate(self._ports):
            with (self._folder / f"e{i}.log").open("ab") as log:
                command = [
                    *("etcd", f"--name=e{i}", f"--data-dir={self._folder / f'e{i}'}"),
                    *(f"--listen-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}"),
                    f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    *(f"--initial-cluster={members}", "--initial-cluster-state=new", "--logger=zap"),
                ]
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        for target in self.targets:
            eventually(partial(_healthy, target), READY_S, f"etcd at {target} is healthy")

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(30)
        self._processes.clear()

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def fill(self, keys: int, connections: int) -> SourceOf:
        return load.Counting(EtcdPut("fill", self._size), connections, keys)

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling([etcd_range(_spread(number, keys)) for number in range(keys)])

    def writes(self, connections: int) -> SourceOf:
        return load.Counting(EtcdPut("new", self._size), connections)


class Baseline:
    """A bare aiohttp + uvloop server with a fixed body: the most that one Python process on this machine answers."""

    name = "baseline"

    def __init__(self, size: int) -> None:
        self._size = size
        self._server: BareServer | None = None
        self._target = ""

    @property
    def targets(self) -> list[str]:
        return [self._target]

    def start(self) -> None:
        self._server = BareServer(self._size)
        self._target = self._server.__enter__()

    def stop(self) -> None:
        assert self._server is not None
        self._server.__exit__(None, None, None)

    def pids(self) -> list[int]:
        assert self._server is not None
        return [self._server.pid]

    def fill(self, keys: int, connections: int) -> SourceOf | None:
        return None

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling([load.request("GET", f"/kv/{BUCKET}/fill0")])

    def writes(self, connections: int) -> SourceOf:
        raise AssertionError("the baseline keeps nothing")


def _spread(number: int, count: int) -> int:
    """Another order of 0..count-1: neighbouring connections do not ask for neighbouring keys."""
    return number * 7919 % count


def _healthy(target: str) -> bool:
    client = Http(target)
    try:
        return bool(client.request("GET", "/health").json().get("health") == "true")
    except OSError:
        return False
    finally:
        client.close_all()


# --- what the kernel says ---------------------------------------------------------------------------------------------


def resident_mb(pid: int) -> float:
    """Memory of a process that is in RAM, in MB (10**6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time of these processes so far, user and system."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
