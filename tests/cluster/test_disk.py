"""A node whose disk failed it: refused with the way out, or found out, and never a reason to lose what others hold."""

import itertools
import shutil
import signal
import time

import pytest

from dynkv.cli.exit_codes import Exit
from tests.cluster.history import History
from tests.cluster.load import BUCKET, check_history
from tests.cluster.processes import Cluster, Node
from tests.cluster.views import wait_no_hints
from tests.support import eventually

KEYS = 60
# Heartbeats go four times a second.
HEARTBEATS_S = 1.5


def write(history: History, node: Node, key: str, value: bytes) -> None:
    """Replace what is there, with its context."""
    read = node.http.get(BUCKET, key)
    seen = read.values()
    history.attempt(key, value, seen)
    reply = node.http.put(BUCKET, key, value, read.context)
    assert reply.ok, reply
    history.applied(key, value)


def write_all(history: History, nodes: list[Node], word: str) -> None:
    for i in range(KEYS):
        node = nodes[i % len(nodes)]
        write(history, node, f"k{i}", f"{word} {i} at {node.name}".encode())


def check_all(cluster: Cluster, history: History) -> None:
    """Every node shows everything at the default levels, at once; and at r=1 once those reads have repaired it.

    Not at r=3: a node that has lost what it acknowledged does not count to a read until it is refilled as a whole.
    """
    assert check_history(history, cluster.nodes) == []
    wait_no_hints(cluster)
    eventually(lambda: check_history(history, cluster.nodes, r=1) == [], 30, "every node shows everything")


def test_a_damaged_directory_is_refused_with_the_command_that_rebuilds_it(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    history = History()
    write_all(history, cluster.nodes, "before")
    n1.kill()
    (n1.data / "db" / "CURRENT").unlink()
    n1.start()
    assert n1.wait_exit() == Exit.DIRECTORY_DAMAGED
    assert "--rebuild" in n1.tail()
    write_all(history, [n2, n3], "while n1 is out of order")
    n1.options.append("--rebuild")
    n1.start()
    n1.wait_ready()
    n1.options.remove("--rebuild")
    check_all(cluster, history)


def test_a_deleted_directory_loses_nothing_that_another_node_has(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    history = History()
    write_all(history, cluster.nodes, "before")
    n3.kill()
    # Acknowledged by n1 and n2 alone; then n1 forgets, and with it the hints that it kept for n3.
    write_all(history, [n1, n2], "without n3")
    n1.kill()
    shutil.rmtree(n1.data)
    for node in (n1, n3):
        node.start()
    for node in (n1, n3):
        node.wait_ready()
    check_all(cluster, history)


@pytest.mark.parametrize("starts_since", [1, 2])
def test_an_old_copy_of_a_directory_brings_nothing_back(cluster: Cluster, starts_since: int) -> None:
    n1, n2, _ = cluster.nodes
    history = History()
    write_all(history, cluster.nodes, "before")
    assert n1.http.put(BUCKET, "gone", b"deleted below").ok
    assert n1.stop() == 0
    old = n1.data.with_name("old copy")
    shutil.copytree(n1.data, old)
    for life in range(starts_since):
        n1.start()
        n1.wait_ready()
        write_all(history, [n1], f"life {life} after the copy")
        wait_no_hints(cluster)
        if life == 0:
            assert n2.http.delete(BUCKET, "gone").ok
        assert n1.stop() == 0
    shutil.rmtree(n1.data)
    old.rename(n1.data)
    n1.start()
    eventually(lambda: "went back in time" in n1.log_text(), what="n1 is found out")
    n1.wait_ready()
    assert check_history(history, cluster.nodes) == []
    for node in cluster.nodes:
        assert node.http.get(BUCKET, "gone").status == 404
    # New writes through the forgetful node meet no dot of its former life.
    write_all(history, [n1], "at last")
    check_all(cluster, history)


@pytest.mark.parametrize("whole", [True, False], ids=["the directory", "the database alone"])
def test_a_young_snapshot_of_a_running_node_is_told_by_what_its_peers_have_heard(cluster: Cluster, whole: bool) -> None:
    """Started as often as the node that it is of, or the database as it was at the last start: only the peers know that
    there was more."""
    n1, n2, _ = cluster.nodes
    history = History()
    write_all(history, cluster.nodes, "before")
    wait_no_hints(cluster)
    snapshot, place = n1.data.with_name("snapshot"), n1.data if whole else n1.data / "db"
    if whole:
        n1.signal(signal.SIGSTOP)
        shutil.copytree(place, snapshot)
        n1.signal(signal.SIGCONT)
    else:
        assert n1.stop() == 0
        shutil.copytree(place, snapshot)
        n1.start()
        n1.wait_ready()
    end = time.monotonic() + HEARTBEATS_S
    for count in itertools.count():
        write_all(history, cluster.nodes, f"since, {count}")
        if time.monotonic() > end:
            break
    assert n2.http.put(BUCKET, "last", b"acknowledged by all", w=3).ok
    n1.kill()
    shutil.rmtree(place)
    snapshot.rename(place)
    n1.start()
    n1.wait_ready()
    assert "the database has forgotten changes that were durable" in n1.log_text()
    assert check_history(history, cluster.nodes) == []
    eventually(lambda: "everything that was lost and that a replica has is back" in n1.log_text(), 30, "n1 is refilled")
    assert n1.http.get(BUCKET, "last", r=1).values() == [b"acknowledged by all"]
    assert not list(n1.data.glob("db.aside-*")), "what it has is true, only not all"
    check_all(cluster, history)
