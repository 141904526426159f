"""The examples, run as a reader runs them."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.processes import ClusterMaker
from tests.cluster.views import wait_state
from tests.support import eventually
from tests.unit.sources import ROOT

EXAMPLES = ROOT / "deploy" / "examples"


def run(example: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_cart_filled_on_both_sides_of_a_cut_loses_no_item(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(3, proxied=True).start()
    left, middle, right = (f"http://{node.address}" for node in cluster.nodes)
    run("cart.py", "add", left, "eggs")
    assert cluster.network is not None
    cluster.network.cut("n3")
    wait_state(cluster["n1"], cluster["n3"], up=False)
    wait_state(cluster["n3"], cluster["n1"], up=False)
    run("cart.py", "add", left, "milk")
    run("cart.py", "add", right, "bread")
    cluster.network.heal()
    eventually(lambda: run("cart.py", "show", middle) == "bread, eggs, milk", 30, "all items are there")
    assert run("cart.py", "show", right) == "bread, eggs, milk"


def test_a_session_outlives_its_node(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(3).start()
    first, second, third = (f"http://{node.address}" for node in cluster.nodes)
    token = tmp_path / "token.txt"
    assert run("visits.py", "write", str(token), first) == "visit 1"
    cluster["n1"].signal(signal.SIGKILL)
    cluster["n1"].wait_exit()
    assert run("visits.py", "read", str(token), second, third) == "visits so far: 1"
