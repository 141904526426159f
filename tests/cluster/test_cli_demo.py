"""`dynkv demo` and `dynkv bench` with real nodes, as a program runs them: without a terminal, for their JSON."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dynkv.cli.call import answers
from dynkv.cli.exit_codes import Exit

DEMO_S = 40.0
# What it may take more on a machine that runs other things beside it.
PATIENCE_S = 60.0


def run(*arguments: str, temporary: Path) -> "subprocess.CompletedProcess[str]":
    """`dynkv` with its temporary files in the test's folder."""
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "dynkv", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_S + PATIENCE_S,
        env=os.environ | {"TMPDIR": str(temporary)},
        check=False,
    )


def test_the_demo_loses_a_node_and_nothing_else(tmp_path: Path) -> None:
    done = run("demo", "--output=json", "--keep", temporary=tmp_path / "demo")
    summary: dict[str, Any] = json.loads(done.stdout)
    try:
        assert done.returncode == Exit.OK, f"{summary['complaints']} {done.stderr}"
        assert (summary["lost"], summary["refused"], summary["wrong_reads"]) == (0, 0, 0)
        assert summary["acknowledged"] > 1000
        assert summary["availability"] == 1.0
        assert 0 < summary["longest_gap_ms"] <= 1000
        assert summary["conflicts_resolved"] == 3
        assert summary["hints_paid"] > 0
        assert summary["handoff_ms"] > 0
        assert summary["refilled_keys"] > 1000
        assert summary["refill_ms"] > 0
        assert summary["checked_reads"] > 6000
        assert summary["seconds"] < DEMO_S + PATIENCE_S / 2
        assert "killed n2" in done.stderr
        assert "Traceback" not in done.stderr
        nodes = summary["nodes"]
        assert all(answers(node["http"], "/health/ready") for node in nodes), "--keep leaves them up"
    finally:
        for node in summary["nodes"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node["pid"], signal.SIGKILL)
        shutil.rmtree(summary["directory"])


def test_bench_measures_an_own_cluster_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(
        "bench",
        "--seconds=0.5",
        "--warmup=0",
        "--keys=200",
        "--connections=6",
        "--baseline",
        "--durability=relaxed",
        "--output=json",
        temporary=tmp_path / "bench",
    )
    assert done.returncode == Exit.OK, done.stderr
    result = json.loads(done.stdout)
    assert [one["mode"] for one in result["runs"]] == ["read", "write"]
    for one in result["runs"]:
        report = one["report"]
        assert report["failed"] == 0
        assert report["rate"] > 0
        assert 0 < report["latency"]["p50_ms"] <= report["latency"]["max_ms"]
        assert abs(one["ratio"] - report["rate"] / result["baseline"]["rate"]) < 0.001
    assert not list((tmp_path / "bench").iterdir())


def test_bench_measures_the_client(tmp_path: Path) -> None:
    options = ("--client", "--seconds=0.5", "--import-keys=3000", "--output=json")
    done = run("bench", *options, temporary=tmp_path / "bench")
    assert done.returncode == Exit.OK, done.stderr
    result = json.loads(done.stdout)
    rates = {one["name"]: one["keys_per_s"] for one in result["runs"]}
    assert rates.keys() == {"put", "put_many of 100", "import of 3,000", "get", "get_many of 100"}
    assert all(rate > 0 for rate in rates.values())
    listing = result["listing"]
    assert listing["keys_per_s"] > 0
    assert len(listing["memory_mb"]) == 3
    assert min(listing["memory_mb"].values()) > 10
    assert 0 <= listing["above_mb"] < 40
    assert not list((tmp_path / "bench").iterdir())
