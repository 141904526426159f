"""Files of a node cut, torn, missing or altered: a start tells what only a crash can leave from what it must refuse."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dynkv.cli.exit_codes import Exit
from tests.cluster.history import History
from tests.cluster.load import BUCKET, check_history
from tests.cluster.processes import Cluster, Node
from tests.cluster.views import wait_no_hints
from tests.support import eventually

KEYS = 60
HEALED_S = 30.0


def write_all(history: History, node: Node, word: str) -> None:
    for number in range(KEYS):
        key = f"{word}{number}"
        history.attempt(key, key.encode())
        assert node.http.put(BUCKET, key, key.encode(), w=3).ok
        history.applied(key, key.encode())


def newest(node: Node, pattern: str) -> Path:
    """The largest file of the node's database that is called so."""
    return max((node.data / "db").glob(pattern), key=lambda path: path.stat().st_size)


def cut(path: Path, part: float) -> None:
    os.truncate(path, int(path.stat().st_size * part))


def alter(path: Path, part: float) -> None:
    """Flip a bit at this part of the file."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * part))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def refused_then_rebuilt(cluster: Cluster, history: History, harm: Callable[[Node], None]) -> None:
    """Harm the files of n1, which does not run; it is refused with the way out, and the way out works."""
    n1 = cluster.nodes[0]
    harm(n1)
    n1.start()
    assert n1.wait_exit() == Exit.DIRECTORY_DAMAGED
    assert "--rebuild" in n1.tail()
    n1.options.append("--rebuild")
    n1.start()
    n1.options.remove("--rebuild")
    n1.wait_ready()
    assert check_history(history, cluster.nodes) == []
    eventually(lambda: check_history(history, cluster.nodes, r=1) == [], HEALED_S, "n1 has everything again")


def test_tables_and_manifest_cut_or_gone_are_refused_with_the_way_out(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    history = History()
    write_all(history, n1, "k")
    for harm in (
        lambda node: cut(newest(node, "*.sst"), 0.5),
        lambda node: newest(node, "*.sst").unlink(),
        lambda node: cut(newest(node, "MANIFEST-*"), 0.5),
    ):
        wait_no_hints(cluster)
        assert n1.stop() == 0  # with everything in tables
        refused_then_rebuilt(cluster, history, harm)


def test_an_old_copy_of_the_database_alone_is_refused_with_the_way_out(cluster: Cluster) -> None:
    """Nothing that was deleted since comes back with it."""
    n1 = cluster.nodes[0]
    history = History()
    write_all(history, n1, "k")
    assert n1.http.put(BUCKET, "gone", b"deleted below", w=3).ok
    assert n1.stop() == 0
    copy = n1.data.with_name("copy")
    shutil.copytree(n1.data / "db", copy)
    n1.start()
    n1.wait_ready()
    write_all(history, n1, "l")
    assert n1.http.delete(BUCKET, "gone", w=3).ok
    n1.kill()
    n1.start()
    n1.wait_ready()
    n1.kill()  # what was written before the last start is known to be durable

    def put_back(node: Node) -> None:
        shutil.rmtree(node.data / "db")
        copy.rename(node.data / "db")

    refused_then_rebuilt(cluster, history, put_back)
    for node in cluster.nodes:
        assert node.http.get(BUCKET, "gone").status == 404


def test_a_log_damaged_in_its_middle_or_cut_short_of_what_was_acknowledged_is_refused(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    history = History()
    for word, harm in (
        ("middle", lambda node: alter(newest(node, "*.log"), 0.5)),
        ("cut", lambda node: cut(newest(node, "*.log"), 0.7)),
    ):
        write_all(history, cluster.nodes[1], word)
        n1.kill()  # with everything in the log
        refused_then_rebuilt(cluster, history, harm)


def test_a_log_torn_at_its_end_loses_only_what_nobody_was_told(cluster: Cluster) -> None:
    n1 = cluster.nodes[0]
    history = History()
    write_all(history, n1, "k")
    before = json.loads((n1.data / "identity.json").read_bytes())
    n1.kill()
    log = newest(n1, "*.log")
    whole = log.read_bytes()
    with log.open("ab") as file:
        file.write(whole[-200:-50])  # the beginning of a write that never came to its end
    n1.start()
    n1.wait_ready()
    after = json.loads((n1.data / "identity.json").read_bytes())
    assert after["incarnation"] != before["incarnation"]
    assert check_history(history, [n1], r=1) == []
    assert check_history(history, cluster.nodes, r=3) == []
