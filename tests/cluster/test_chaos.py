"""Real nodes over a bad network: what they promise holds on each kind of it, and the command line makes one."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynkv.chaos.network import Door
from dynkv.chaos.rules import Reset, Set
from dynkv.chaos.thread import NetworkThread
from dynkv.cli.exit_codes import Exit
from dynkv.client import AsyncClient
from dynkv.runtime import SeededRandom
from tests.cluster.http_client import Http
from tests.cluster.load import BUCKET, Load, check_history
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.test_cli_up import Up
from tests.cluster.views import states, wait_no_hints, wait_state
from tests.support import eventually, free_port

SLOW_MS = 500


@pytest.fixture
def to_node() -> Iterator[NetworkThread]:
    """The network between a client and a node."""
    network = NetworkThread(SeededRandom("client"))
    yield network
    network.close()


def opened(network: NetworkThread, node: Node) -> str:
    where = f"127.0.0.1:{free_port()}"
    network.add(Door("client", node.name, where, node.address), frames=False)
    return where


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that have met, with a network between them."""
    cluster = Cluster(tmp_path_factory.mktemp("met"), proxied=True)
    try:
        cluster.start()
        for node in cluster.nodes:
            eventually(lambda node=node: set(states(node).values()) == {"up"}, what="all have met")  # type: ignore[misc]  # bound here
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def network(met: Cluster) -> Iterator[NetworkThread]:
    """The network between them, good again after the test."""
    assert met.network is not None
    yield met.network
    met.network.heal()


def check(load: Load, cluster: Cluster) -> None:
    """Nothing is owed, and every node shows the same and all."""
    assert cluster.network is not None
    cluster.network.heal()
    for node in cluster.nodes:
        eventually(lambda node=node: set(states(node).values()) == {"up"}, what="all is well")  # type: ignore[misc]  # bound here
    wait_no_hints(cluster)
    assert check_history(load.history, cluster.nodes, r=3) == []
    assert check_history(load.history, cluster.nodes, r=1) == []


@pytest.mark.parametrize("bad", [{"drop": 0.2}, {"duplicate": 1}, {"reorder": 0.5, "reorder_ms": 20}])
def test_lost_doubled_and_overtaken_frames_cost_few_answers_and_no_write(
    met: Cluster, network: NetworkThread, bad: dict[str, float]
) -> None:
    kind = next(iter(bad))
    network.obey(Set("all", **bad))  # type: ignore[arg-type]  # numbers all
    with Load(met.nodes, writers=1, pause_s=0.02, name=kind) as load:
        load.run_for(2.5)
    asked = len(load.completed) + len(load.failures)
    assert asked > 20
    assert len(load.completed) >= 0.99 * asked, load.failures[:5]
    counted = {"drop": "dropped", "duplicate": "duplicated", "reorder": "reordered"}[kind]
    assert all(way[counted] > 0 for way in network.status()["ways"])
    check(load, met)


def test_a_slow_replica_does_not_slow_its_cluster(met: Cluster, network: NetworkThread) -> None:
    n1, n2, _ = met.nodes
    network.obey(Set("n3", delay_ms=SLOW_MS))
    with Load([n1, n2], writers=1, pause_s=0.02, name="slow") as load:
        load.run_until_acknowledged(100)
    assert load.failures == []
    taken = sorted(seconds for _, seconds, _ in load.completed)
    assert taken[len(taken) * 95 // 100] < SLOW_MS / 1000 / 2  # nobody waits for it: not there and back, not one way
    check(load, met)


def test_one_wire_cut_is_noticed_and_nobody_flaps(met: Cluster, network: NetworkThread) -> None:
    """What n1 sends does not reach n2; all else does. Neither can have an answer of the other."""
    n1, n2, n3 = met.nodes
    network.cut("n1:n2")
    wait_state(n1, n2, up=False)
    with Load(met.nodes, writers=1, name="wire") as load:
        load.run_until_acknowledged(100)
    assert load.failures == []
    assert states(n3) == {"n1": "up", "n2": "up"}
    assert states(n1)["n2"] != "up"
    check(load, met)


def test_a_connection_reset_after_a_write_was_applied_is_in_doubt_and_its_retry_one_write(
    met: Cluster, to_node: NetworkThread
) -> None:
    n1, n2, n3 = met.nodes
    through = Http(opened(to_node, n1))
    for number, again in enumerate((n1, n2, n3)):
        key = f"k{number}"
        to_node.obey(Reset("n1:client", after_bytes=0))
        with pytest.raises(ConnectionError):
            through.put(BUCKET, key, b"value", write_id=key)
        eventually(lambda key=key: n1.http.get(BUCKET, key).status == 200, what="it was applied")  # type: ignore[misc]  # bound here
        assert again.http.put(BUCKET, key, b"value", write_id=key).ok
        assert n3.http.get(BUCKET, key, r=3).values() == [b"value"]
    through.close_all()


def test_the_client_goes_on_elsewhere_under_the_same_write_id(met: Cluster, to_node: NetworkThread) -> None:
    doors = [opened(to_node, node) for node in met.nodes]

    async def write() -> None:
        async with AsyncClient(doors, route=False) as client:
            for number in range(10):
                for name in ("n1", "n2", "n3"):
                    to_node.obey(Reset(f"{name}:client", after_bytes=20 * number))
                receipt = await client.put(BUCKET, f"w{number}", f"v{number}", timeout=10)
                assert receipt.outcome == "applied"

    asyncio.run(write())
    assert sum(way["resets"] for way in to_node.status()["ways"]) >= 10
    for number in range(10):
        assert met.nodes[2].http.get(BUCKET, f"w{number}", r=3).values() == [f"v{number}".encode()]


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Any]:
    """Starts `dynkv up --chaos` on the test's directory; whatever is left at the end is killed."""
    started: list[Up] = []

    def start(*options: str) -> Up:
        started.append(Up(tmp_path, f"--dir={tmp_path / 'cluster'}", *options))
        return started[-1]

    yield start
    for one in reversed(started):
        if one.process.poll() is None:
            one.stop()


def chaos(control: str, *words: str) -> str:
    command = [sys.executable, "-m", "dynkv", "chaos", *words, "--control", control]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.OK, done.stderr
    return done.stdout


def seen(node: dict[str, Any], other: str) -> str:
    address = node["http"].removeprefix("http://")
    client = Http(address)
    told = client.request("GET", "/nodes").json()["nodes"]
    client.close_all()
    return str(next(row["state"] for row in told if row["id"] == other))


def test_a_cluster_with_a_network_that_can_be_made_bad(up: Any, tmp_path: Path) -> None:
    first = up("--nodes=3", f"--port={free_port()}", "--chaos")
    nodes = first.nodes()
    control = first.lines()[0]["chaos"]
    assert chaos(control, "cut", "n3") == "cut: n1:n3, n2:n3, n3:n1, n3:n2\n"
    for node, other in (("n1", "n3"), ("n3", "n1")):
        eventually(lambda: seen(nodes[node], other) != "up", what="the cut is noticed")  # noqa: B023 - called at once
    assert seen(nodes["n1"], "n2") == "up"

    # A node that is started from another terminal comes in by the same doors.
    subprocess.run(["kill", "-9", str(nodes["n3"]["pid"])], check=True)
    eventually(lambda: {"ended": "n3", "code": -9} in first.lines(), what="the death is reported")
    second = up("--only=n3")
    again = second.nodes()
    assert seen(again["n3"], "n1") != "up"
    assert "n1:n3" in chaos(control, "heal")
    eventually(lambda: seen(again["n3"], "n1") == "up" == seen(nodes["n1"], "n3"), what="all is well")
    assert "good; " in chaos(control, "status")
    assert second.stop() == Exit.OK
    assert first.stop() == Exit.OK
    assert not (tmp_path / "cluster" / "chaos.json").exists()


def test_a_proxy_from_the_command_line_with_a_script(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(1, options=["--n=1", "--r=1", "--w=1"]).start()
    script = tmp_path / "script"
    script.write_text("0s set server:client --delay 150ms\n")
    listen, control = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "dynkv", "chaos", "proxy", "--listen", listen, "--to", cluster.nodes[0].address]
    options = ["--control", control, "--script", str(script), "--seed", "7"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert f"{listen} leads to {cluster.nodes[0].address}" in process.stdout.readline()
        eventually(lambda: "delay_ms 150" in chaos(control, "status"), what="the script's order")
        client = Http(listen)
        began = time.monotonic()
        assert client.put(BUCKET, "k", b"v").ok
        assert time.monotonic() - began >= 0.15
        client.close_all()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == Exit.OK
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
