"""`dynkv up`: a cluster in one terminal, with real nodes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynkv.cli.call import call
from dynkv.cli.exit_codes import Exit
from tests.support import eventually, free_port

STOP_S = 30.0


class Up:
    """One `dynkv up` with its streams in files; `nodes` is what its first line says."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.out, self.err = folder / f"up-{os.urandom(4).hex()}.out", folder / "up.err"
        command = [sys.executable, "-m", "dynkv", "up", "--output", "json", *options]
        with self.out.open("wb") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def lines(self) -> list[dict[str, Any]]:
        """What it has printed so far; a line that is not whole yet is left out."""
        return [json.loads(line) for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Wait for the first line; the nodes in it by id."""
        eventually(lambda: self.lines() or self.process.poll() is not None, 30.0, "up says what it started")
        assert self.lines(), self.err.read_text()[-3000:]
        return {node["id"]: node for node in self.lines()[0]["nodes"]}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts `dynkv up` in the test's folder; whatever is left at the end is killed, nodes included."""
    started: list[Up] = []

    def start(*options: str) -> Up:
        up = Up(tmp_path, f"--dir={tmp_path / 'cluster'}", *options)
        started.append(up)
        return up

    yield start
    print(*(up.err.read_text()[-5000:] for up in started[-1:]))
    for up in started:
        pids = [node["pid"] for line in up.lines()[:1] for node in line["nodes"]]
        for pid in [up.process.pid, *pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        up.process.wait(STOP_S)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def pid_of(up: Up) -> dict[str, int]:
    return {name: node["pid"] for name, node in up.nodes().items()}


def put(node: dict[str, Any], key: str, value: bytes) -> int:
    return call(node["http"], "PUT", f"/kv/up/{key}", body=value).status


def get(node: dict[str, Any], key: str) -> bytes:
    return call(node["http"], "GET", f"/kv/up/{key}").body


def test_a_cluster_comes_up_loses_a_node_and_comes_back(start: Any, tmp_path: Path) -> None:
    port = free_port()
    first = start("--nodes=3", f"--port={port}", "--durability=relaxed")
    nodes = first.nodes()
    assert list(nodes) == ["n1", "n2", "n3"]
    assert [node["http"] for node in nodes.values()] == [f"http://127.0.0.1:{port + n}" for n in range(3)]
    assert nodes["n2"]["data"] == str(tmp_path / "cluster" / "n2")
    assert put(nodes["n1"], "a", b"1") == 204

    os.kill(nodes["n2"]["pid"], signal.SIGKILL)
    eventually(lambda: {"ended": "n2", "code": -9} in first.lines(), what="the death is reported")
    assert put(nodes["n3"], "b", b"2") == 204
    second = start("--only=n2")
    again = second.nodes()
    assert list(again) == ["n2"]
    assert again["n2"]["http"] == nodes["n2"]["http"]
    eventually(lambda: get(again["n2"], "b") == b"2", what="n2 serves again")
    assert second.stop(signal.SIGINT) == Exit.OK
    assert first.process.poll() is None

    assert first.stop() == Exit.OK
    assert all(gone(node["pid"]) for node in nodes.values())
    third = start()
    same = third.nodes()
    assert {name: node["http"] for name, node in same.items()} == {name: node["http"] for name, node in nodes.items()}
    assert [get(same["n2"], key) for key in "ab"] == [b"1", b"2"]
    assert third.stop(signal.SIGINT) == Exit.OK
    log = third.err.read_text()
    assert "n1 | " in log
    assert "Traceback" not in log


def test_nodes_do_not_outlive_the_terminal(start: Any) -> None:
    up = start("--nodes=2", f"--port={free_port()}")
    pids = pid_of(up)
    up.stop(signal.SIGKILL)
    eventually(lambda: all(map(gone, pids.values())), 20.0, "the nodes are gone too")


def test_a_cluster_that_is_up_is_not_started_again(start: Any) -> None:
    up = start("--nodes=1", f"--port={free_port()}")
    pids = pid_of(up)
    second = start()
    assert second.process.wait(STOP_S) == Exit.ADDRESS_IN_USE
    assert "up already?" in second.err.read_text()
    assert not gone(pids["n1"])
    assert up.stop() == Exit.OK


def test_up_ends_when_its_last_node_has_ended(start: Any) -> None:
    up = start("--nodes=1", f"--port={free_port()}")
    os.kill(pid_of(up)["n1"], signal.SIGKILL)
    assert up.process.wait(STOP_S) == Exit.NO


def test_a_node_that_cannot_start_takes_the_others_down(start: Any, tmp_path: Path) -> None:
    up = start("--nodes=2", f"--port={free_port()}")
    up.nodes()
    assert up.stop() == Exit.OK
    identity = tmp_path / "cluster" / "n2"
    for path in identity.iterdir():
        if path.is_file():
            path.write_bytes(b"damaged")
    again = start()
    assert again.process.wait(STOP_S) in (Exit.DIRECTORY_DAMAGED, Exit.DIRECTORY_WRONG)
    assert "n2 ended with exit code" in again.err.read_text()
    assert "while stopping" not in again.err.read_text()
    assert not again.lines()


def test_an_interruption_while_nodes_load_is_a_clean_end(start: Any) -> None:
    up = start("--nodes=3", f"--port={free_port()}")
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children")
    eventually(lambda: children.read_text(), what="the first node's process")
    assert up.stop(signal.SIGINT) == Exit.OK
    assert up.err.read_text() == ""
    assert not up.lines()
