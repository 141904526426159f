"""A cluster for the length of one command: free ports, a directory that goes with it, logs in files."""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from dynkv.chaos.skew import make
from dynkv.chaos.thread import NetworkThread
from dynkv.cli import doors, local
from dynkv.cli.call import answers
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.launch import NodeProcess
from dynkv.cli.supervise import describe, exit_of

START_S = 60.0
STOP_S = 30.0
POLL_S = 0.02
LOG_LINES = 5


class ThrowawayCluster:
    """`with ThrowawayCluster(3) as cluster:` starts the nodes, waits until they serve, and leaves nothing behind."""

    def __init__(
        self, count: int, options: Sequence[str] = (), *, keep: bool = False, chaos_seed: str | None = None
    ) -> None:
        """`options` are those of `dynkv serve`. keep: nodes and directory outlive us.

        chaos_seed: nodes that harm can be done to. Between them is a network that can be made bad (`network`), which
        draws its lots from this seed; their clocks can be put wrong (`clocks`, files by node); and their logs are
        written by us, so that a full disk of a node is the disk of its data alone.
        """
        self.keep = keep
        self.network: NetworkThread | None = None
        self.clocks: dict[str, Path] = {}
        self.nodes: dict[str, NodeProcess] = {}
        ports = local.free_ports(2 * count)
        cluster = local.plan(count, ports[:count], ports[count:], options)
        self.directory = Path(tempfile.mkdtemp(prefix="dynkv-"))
        try:
            local.save(cluster, self.directory)
            planned = None if chaos_seed is None else doors.plan(cluster)
            self.configs = {
                place.id: local.config(cluster, self.directory, place.id, members=doors.members_of(planned, place.id))
                for place in cluster.nodes
            }
            if planned is not None:
                self.clocks = {node: self.directory / f"{node}.clock" for node in self.configs}
                for file in self.clocks.values():
                    make(file)
                self.network = doors.opened(planned, chaos_seed)
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> "ThrowawayCluster":
        try:
            for node in self.configs:
                self.start(node)
            for node in self.configs:
                self.wait(node, "/health/ready")
        except BaseException:
            self.keep = False
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.keep = False
        if not self.keep:
            self._leave()

    @property
    def targets(self) -> dict[str, str]:
        """HTTP address by node."""
        return {node: config.http for node, config in self.configs.items()}

    def start(self, node: str) -> None:
        """Start a node; its log is added to DIR/NODE.log."""
        file = self.directory / f"{node}.log"
        if node not in self.clocks:
            with file.open("ab") as log:
                self.nodes[node] = NodeProcess(self.configs[node], log, detached=self.keep)
            return
        started = NodeProcess(self.configs[node], subprocess.PIPE, detached=self.keep, clock=self.clocks[node])
        threading.Thread(target=_copy, args=(started.process.stdout, file), daemon=True).start()
        self.nodes[node] = started

    def wait(self, node: str, path: str) -> None:
        """Wait until the node answers 200 under `path`; Failure with the end of its log if it does not."""
        deadline = time.monotonic() + START_S
        while not answers(f"http://{self.configs[node].http}", path):
            code = self.nodes[node].process.poll()
            if code is not None:
                raise Failure(exit_of(code), f"{node} {describe(code)} before it was ready:\n{self._log_end(node)}")
            if time.monotonic() > deadline:
                raise Failure(Exit.START_FAILED, f"{node} was not ready within {START_S:.0f} s:\n{self._log_end(node)}")
            time.sleep(POLL_S)

    def is_ready(self, node: str) -> bool:
        return answers(f"http://{self.configs[node].http}", "/health/ready")

    def kill(self, node: str) -> None:
        """SIGKILL: no goodbye, no sync, no marker."""
        process = self.nodes[node].process
        process.send_signal(signal.SIGKILL)
        process.wait()

    def delete_data(self, node: str) -> None:
        """Take a dead node's disk from it."""
        shutil.rmtree(self.configs[node].data)

    def _log_end(self, node: str) -> str:
        lines = (self.directory / f"{node}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])

    def _leave(self) -> None:
        for node in self.nodes.values():
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for node in self.nodes.values():
            try:
                node.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()
            node.release()
        if self.network is not None:
            self.network.close()
        shutil.rmtree(self.directory)


def _copy(out: IO[bytes], file: Path) -> None:
    """A node's log into its file, until it ends."""
    with out, file.open("ab") as log:
        for line in out:
            log.write(line)
            log.flush()
