"""Node processes in the hands of a test: started as a user starts them, killed as no user would.

A `Cluster` writes each node's options once, so that a node comes back exactly as it was; every process it started is
gone when it is closed, whatever became of the test. The nodes' logs go to files, whose tails are printed at the end:
pytest shows them for a test that failed and for no other.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dynkv.chaos.network import Door
from dynkv.chaos.thread import NetworkThread
from tests.cluster.http_client import Http
from tests.support import eventually, free_port

READY_S = 20.0
EXIT_S = 20.0
TAIL_LINES = 40
SECRET = "a secret of the cluster tests"


class Node:
    """One node of a cluster, running or not."""

    def __init__(self, name: str, folder: Path, http_port: int, peer_port: int) -> None:
        self.name = name
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self.address = f"127.0.0.1:{http_port}"
        self.peer_port = peer_port
        self.options: list[str] = []
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.http = Http(self.address)

    def start(self) -> None:
        """Start the process; does not wait until it is ready."""
        assert self.process is None, f"{self.name} is running"
        command = [sys.executable, "-m", "dynkv", "serve", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | self.environment
            )

    def wait_ready(self, deadline_s: float = READY_S) -> None:
        """Until the node says that it serves."""
        eventually(self.is_ready, deadline_s, f"{self.name} is ready")

    def is_ready(self) -> bool:
        return self._answers("/health/ready")

    def is_live(self) -> bool:
        return self._answers("/health/live")

    def _answers(self, path: str) -> bool:
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            raise RuntimeError(f"{self.name} ended with exit code {code}:\n{self.tail()}")
        try:
            return self.http.request("GET", path).ok
        except (OSError, http.client.HTTPException):
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        self.signal(signal.SIGTERM)
        return self._wait()

    def wait_exit(self, deadline_s: float = EXIT_S) -> int:
        """Until the process ends by itself; its exit code."""
        return self._wait(deadline_s)

    def _wait(self, deadline_s: float = EXIT_S) -> int:
        assert self.process is not None
        code = self.process.wait(deadline_s)
        self.process = None
        return code

    def end(self) -> None:
        """Make sure that no process is left, in whatever state it is (SIGKILL reaches a stopped one too)."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self._wait()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-TAIL_LINES:])

    def get(self, path: str) -> Any:
        """The JSON of a GET, which must succeed."""
        reply = self.http.request("GET", path)
        assert reply.ok, f"{self.name} {path}: {reply}"
        return reply.json()


class Cluster:
    """Nodes n1, n2, ... that know each other, with data and logs under `folder`.

    `proxied`: every node reaches every other through a door of its own into `network`, which the test can make bad.
    `options`: further options of `serve`, for all nodes.
    """

    def __init__(self, folder: Path, count: int = 3, *, proxied: bool = False, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.nodes = [Node(f"n{i + 1}", folder, free_port(), free_port()) for i in range(count)]
        self.network = NetworkThread() if proxied else None
        self.allow_traces = False
        for node in self.nodes:
            node.options = [
                f"--id={node.name}",
                f"--data={node.data}",
                f"--http={node.address}",
                f"--peer=127.0.0.1:{node.peer_port}",
                f"--members={','.join(self._members(node))}",
                *options,
            ]
            node.environment = {"DYNKV_SECRET": SECRET}

    def _members(self, seen_by: Node) -> Iterator[str]:
        for node in self.nodes:
            port = node.peer_port
            if self.network is not None and node is not seen_by:
                port = free_port()
                self.network.add(Door(seen_by.name, node.name, f"127.0.0.1:{port}", f"127.0.0.1:{node.peer_port}"))
            yield f"{node.name}=127.0.0.1:{port}"

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def start(self) -> "Cluster":
        """Start all nodes that are not running, and wait until all are ready."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        for node in self.nodes:
            node.wait_ready()
        return self

    def stop(self) -> None:
        """SIGTERM to all that run; each must end with exit code 0."""
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            node.signal(signal.SIGTERM)
        codes = {node.name: node.wait_exit() for node in running}
        assert set(codes.values()) <= {0}, codes

    def kill(self) -> None:
        """SIGKILL to all that run, at once."""
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            node.signal(signal.SIGKILL)
        for node in running:
            node.wait_exit()

    def close(self) -> None:
        """End every process, print the tails of the logs, and hold that no log has a traceback."""
        for node in self.nodes:
            node.end()
            node.http.close_all()
        if self.network is not None:
            self.network.close()
        for node in self.nodes:
            print(f"--- {node.name} {node.address}, the end of its log\n{node.tail()}")
        if not self.allow_traces:
            found = [line for node in self.nodes for line in node.log_text().splitlines() if _is_trace(line)]
            assert not found, "\n".join(found[:20])


def _is_trace(line: str) -> bool:
    return "Traceback" in line or '"trace":' in line or "never awaited" in line


ClusterMaker = Callable[..., Cluster]
