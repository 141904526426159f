"""How a node begins and ends: what it refuses to start with, and what it leaves behind when told to stop."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dynkv.cli.exit_codes import Exit
from tests.cluster.load import BUCKET
from tests.cluster.processes import Cluster, ClusterMaker
from tests.cluster.stores import was_stopped_cleanly
from tests.cluster.views import states
from tests.support import eventually, free_port


def test_sigterm_finishes_requests_in_progress_and_marks_a_clean_stop(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    assert n1.http.put(BUCKET, "k", b"v").ok
    stop = threading.Event()
    refused: list[object] = []

    def write() -> None:
        for i in range(100_000):
            if stop.is_set():
                return
            try:
                reply = n1.http.put(BUCKET, f"k{i}", b"v")
            except OSError:
                return  # the listener is gone: what was in progress has been answered
            if not reply.ok and reply.status != 503:
                refused.append(reply)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: n1.http.get(BUCKET, "k20").status == 200, what="writes under way")
    assert n1.stop() == 0
    stop.set()
    writer.join(10)
    assert not writer.is_alive()
    assert refused == []
    assert was_stopped_cleanly(n1)


def test_kill_9_leaves_no_mark_of_a_clean_stop(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    n1.kill()
    assert not was_stopped_cleanly(n1)


def test_a_second_process_on_one_directory_is_refused(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    assert n1.process is not None
    options = [option for option in n1.options if not option.startswith(("--http=", "--peer="))] + [
        f"--http=127.0.0.1:{free_port()}",
        f"--peer=127.0.0.1:{free_port()}",
    ]
    done = serve(*options)
    assert done.returncode == Exit.DIRECTORY_IN_USE
    assert str(n1.process.pid) in done.stderr, "the message names the process that holds it"
    assert n1.is_ready()


@pytest.mark.parametrize("option", ["--http=0.0.0.0:{port}", "--peer=0.0.0.0:{port}", "--http=[::]:{port}"])
def test_other_machines_need_a_secret(tmp_path: Path, option: str) -> None:
    done = serve(
        "--id=n1",
        f"--data={tmp_path / 'data'}",
        "--members=n1=127.0.0.1:9101,n2=127.0.0.1:9102,n3=127.0.0.1:9103",
        option.format(port=free_port()),
    )
    assert done.returncode == Exit.USAGE
    assert "there is no secret" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_wrong_secret_is_refused_with_a_reason_in_both_logs(make_cluster: ClusterMaker) -> None:
    _refused(make_cluster, secret="another secret than theirs", word="secret")


def test_a_wrong_cluster_id_is_refused_with_a_reason_in_both_logs(make_cluster: ClusterMaker) -> None:
    _refused(make_cluster, option="--cluster-id=another", word="cluster")


def _refused(make_cluster: ClusterMaker, *, word: str, secret: str = "", option: str = "") -> None:
    cluster = make_cluster()
    n1, n2, n3 = cluster.nodes
    if secret:
        n3.environment["DYNKV_SECRET"] = secret
    if option:
        n3.options.append(option)
    for node in cluster.nodes:
        node.start()
    eventually(lambda: _said(n1.log_text(), "n3", word), what="n1 says why it refuses n3")
    eventually(lambda: _said(n2.log_text(), "n3", word), what="n2 says why it refuses n3")
    eventually(lambda: _said(n3.log_text(), "n1", word), what="n3 says why n1 refuses it")
    eventually(n1.is_live, what="n1 answers")
    assert not n3.is_ready()
    assert states(n1)["n2"] == "up"
    assert states(n1)["n3"] != "up"


def _said(log: str, node: str, word: str) -> bool:
    return any("refused" in line and f'"{node}"' in line and word in line for line in log.splitlines())


def serve(*options: str) -> "subprocess.CompletedProcess[str]":
    """`dynkv serve` that is expected to end by itself."""
    command = [sys.executable, "-m", "dynkv", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_ctrl_c_ends_a_node_as_cleanly(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    n1.signal(signal.SIGINT)
    assert n1.wait_exit() == 0
    assert was_stopped_cleanly(n1)
