"""`dynkv check` with real nodes: harm is done, seen, undone, and decided on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dynkv.check.history import History, read
from dynkv.cli.exit_codes import Exit
from tests.cluster.processes import Cluster


def check(out: Path, *options: str) -> tuple[int, dict[str, Any], History]:
    """Exit code, what was printed, and the history."""
    command = [sys.executable, "-m", "dynkv", "check", "--output", "json", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, timeout=170, check=False)
    print(done.stderr.decode())
    with (out / "history.jsonl").open("rb") as lines:
        return done.returncode, json.loads(done.stdout), read(lines)


def test_a_cluster_keeps_its_word_under_every_fault(tmp_path: Path) -> None:
    code, told, history = check(tmp_path, "--workload=register", "--faults=all", "--time=10", "--seed=3", "--rate=150")
    assert (code, told["verdict"], told["anomalies"], told["why"]) == (Exit.OK, "clean", [], [])
    assert set(told["faults"]) == {"kill", "pause", "cut", "slow", "flaky", "disk", "clock"}
    assert {op.op for op in history.ops} == {"read", "write", "delete", "final"}
    assert {op.node for op in history.ops} == {"any", "n1", "n2", "n3"}
    assert "<svg" in (tmp_path / "report.html").read_text()
    logs = {log.stem: log.read_text() for log in tmp_path.glob("n*.log")}
    full = next(fault.target for fault in history.faults if fault.kind == "disk")
    assert "File too large" in logs[full]
    assert not any("Traceback" in log for log in logs.values())


def test_a_running_cluster_is_checked_by_its_urls(cluster: Cluster, tmp_path: Path) -> None:
    urls = [f"--url={node.address}" for node in cluster.nodes]
    for workload in ("set", "counter", "session"):
        code, told, history = check(tmp_path, f"--workload={workload}", "--time=2", "--clients=6", *urls)
        assert (code, told["anomalies"], told["why"]) == (Exit.OK, [], [])
        assert set(history.head.nodes) == {node.address for node in cluster.nodes}
        assert any(op.ok is not None and not op.is_read for op in history.ops)
        assert {op.node for op in history.ops if op.op == "final"} == set(history.head.nodes)
