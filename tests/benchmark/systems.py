"""What is compared: each system as processes on this machine, and its requests as bytes.

All are asked in the same way, over HTTP with kept-alive connections, for the same keys and sizes. `reads` and `writes`
are sources of the load generator; `fill` gives every key its first value.

etcd speaks gRPC first; its JSON gateway is what an HTTP client gets, and what is measured. Its reads are linearizable
(the default: confirmed by a quorum), its writes are on the disks of two of three members when acknowledged. Keys and
values travel as base64 in JSON there, which costs it a third more bytes.
"""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from dynkv.cli import load
from dynkv.cli.load.sources import SourceOf
from tests.cluster.http_client import Http
from tests.cluster.processes import Cluster
from tests.support import eventually, free_port

BUCKET = "bench"
READY_S = 30.0


class System(Protocol):
    """One thing to be measured. `start` returns when it serves; its data outlives `stop`."""

    name: str

    @property
    def targets(self) -> list[str]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pids(self) -> list[int]: ...
    def fill(self, keys: int, connections: int) -> SourceOf: ...
    def reads(self, keys: int) -> SourceOf: ...
    def writes(self, keys: int, connections: int) -> SourceOf: ...


# --- requests: functions at the top of the module, because they are pickled on their way to the generator ------------


def dynkv_put(size: int, key: int, context: bytes = b"") -> bytes:
    headers = {"Content-Type": "application/octet-stream"} | ({"Dynkv-Context": context.decode()} if context else {})
    return load.request("PUT", f"/kv/{BUCKET}/key{key}", headers, value(size, key))


def etcd_put(size: int, key: int) -> bytes:
    body = json.dumps({"key": _base64(f"key{key}".encode()), "value": _base64(value(size, key))}).encode()
    return load.request("POST", "/v3/kv/put", {"Content-Type": "application/json"}, body)


def etcd_range(key: int) -> bytes:
    body = json.dumps({"key": _base64(f"key{key}".encode())}).encode()
    return load.request("POST", "/v3/kv/range", {"Content-Type": "application/json"}, body)


def value(size: int, key: int) -> bytes:
    """Bytes that do not compress to nothing, the same for each key every time."""
    seed = key.to_bytes(8, "big")
    return (bytes((seed[i % 8] * 31 + i * 7) % 251 for i in range(256)) * (size // 256 + 1))[:size]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


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
        return load.Counting(partial(dynkv_put, self._size), connections, keys)

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling([load.request("GET", f"/kv/{BUCKET}/key{key}") for key in range(keys)])

    def writes(self, keys: int, connections: int) -> SourceOf:
        """Overwrites with the context of the write before, as a client does that knows what it replaces."""
        return load.Overwriting(partial(dynkv_put, self._size), keys // connections)


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
        _stop(self._processes)

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def fill(self, keys: int, connections: int) -> SourceOf:
        return load.Counting(partial(etcd_put, self._size), connections, keys)

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling([etcd_range(key) for key in range(keys)])

    def writes(self, keys: int, connections: int) -> SourceOf:
        return load.Cycling([etcd_put(self._size, key) for key in range(keys)])


class Baseline:
    """A bare aiohttp + uvloop server with a fixed body: the most that one Python process on this machine answers."""

    name = "baseline"

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self._port = free_port()
        self._size = size
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def targets(self) -> list[str]:
        return [f"127.0.0.1:{self._port}"]

    def start(self) -> None:
        command = [sys.executable, "-m", "dynkv.cli.baseline", str(self._port), str(self._size)]
        self._processes.append(subprocess.Popen(command))
        eventually(lambda: _answers(self.targets[0]), READY_S, "the baseline answers")

    def stop(self) -> None:
        _stop(self._processes)

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def fill(self, keys: int, connections: int) -> SourceOf:
        return load.Counting(_baseline_get, connections, connections)

    def reads(self, keys: int) -> SourceOf:
        return load.Cycling([_baseline_get(0)])

    def writes(self, keys: int, connections: int) -> SourceOf:
        raise AssertionError("the baseline only answers")


def _baseline_get(_: int) -> bytes:
    return load.request("GET", "/")


def _answers(target: str) -> bool:
    client = Http(target)
    try:
        return client.request("GET", "/").ok
    except OSError:
        return False
    finally:
        client.close_all()


def _healthy(target: str) -> bool:
    client = Http(target)
    try:
        return bool(client.request("GET", "/health").json().get("health") == "true")
    except OSError:
        return False
    finally:
        client.close_all()


def _stop(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(30)
    processes.clear()


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
