"""Flipped bits in a node's table files: found out by reading, never served, and healed without a hand.

What becomes of the records that the salvage could not read is not the question here: the node is incomplete, and its
replicas fill it again.
"""

import http.client
import json
import random
from typing import Any

from dynkv.cli.exit_codes import Exit
from tests.cluster.history import History
from tests.cluster.load import BUCKET, Load, check_history
from tests.cluster.processes import Cluster, Node
from tests.support import eventually

KEYS = 150


def write_all(history: History, nodes: list[Node]) -> None:
    """Values that are not compressed, so that the tables have many blocks."""
    chance = random.Random(1)
    for i in range(KEYS):
        key, value = f"k{i}", chance.randbytes(1_500)
        history.attempt(key, value)
        assert nodes[i % len(nodes)].http.put(BUCKET, key, value).ok
        history.applied(key, value)


def flip(node: Node, *places: float) -> None:
    """Flip a bit at these places (0: the first byte, 1: the end) of the largest table, in the file as it lies there."""
    table = max((node.data / "db").glob("*.sst"), key=lambda path: path.stat().st_size)
    size = table.stat().st_size
    with table.open("r+b") as file:
        for place in places:
            file.seek(int(size * place))
            byte = file.read(1)[0]
            file.seek(int(size * place))
            file.write(bytes([byte ^ 0x10]))


def said(node: Node, event: str) -> list[dict[str, Any]]:
    """What the node's log says of this event, in order."""
    lines = [json.loads(line) for line in node.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def read_all(history: History, node: Node) -> list[str]:
    """Read every key at this node alone (r=1), and at the default levels; what was shown wrongly. No answer, or one
    that says that it cannot be known, is no wrong one."""
    wrong = []
    for key in history.acknowledged_keys():
        for levels in ({"r": 1}, {}):
            try:
                reply = node.http.get(BUCKET, key, **levels)
            except (OSError, http.client.HTTPException):
                continue
            if reply.status in (200, 300):
                wrong += history.faults(key, reply.values())
            elif reply.status == 404 and not levels:
                wrong.append(f"{key}: not found")
            elif reply.status not in (404, 503):
                wrong.append(f"{key}: {reply.status} {reply.body[:300]!r}")
    return wrong


def test_flipped_bits_are_found_by_reading_and_the_node_salvages_itself(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    history = History()
    write_all(history, cluster.nodes)
    assert n1.stop() == 0
    before = json.loads((n1.data / "identity.json").read_bytes())
    flip(n1, 0.3, 0.5, 0.52, 0.8)
    with Load([n2, n3]) as load:
        n1.start()

        def found_out() -> bool:
            assert read_all(history, n1) == []
            return bool(said(n1, "the database is damaged"))

        eventually(found_out, 30, "the damage is read")
        eventually(lambda: not said(n1, "serving")[-1]["complete"], 30, "the next life serves")
        n1.wait_ready()
        assert read_all(history, n1) == []
        load.run_until_acknowledged(50)
    assert load.failures_of([n2, n3]) == []
    (report,) = said(n1, "salvaged")
    assert 0 < report["unreadable"] <= 4
    assert report["records"] > KEYS * 3 // 4
    healed = said(n1, "serving")[-1]
    assert healed["start_count"] == before["start_count"] + 2  # one met the damage
    assert int(healed["incarnation"], 16) != before["incarnation"]
    assert (n1.data / "db.aside-1").is_dir()
    for heard in (history, load.history):
        assert check_history(heard, cluster.nodes) == []
    assert n1.stop() == 0
    n1.start()
    n1.wait_ready()
    assert len(said(n1, "salvaged")) == 1
    for heard in (history, load.history):
        assert check_history(heard, cluster.nodes) == []


def test_a_node_that_meets_damage_while_it_starts_salvages_itself_too(cluster: Cluster) -> None:
    n1, *others = cluster.nodes
    history = History()
    write_all(history, others)
    assert n1.stop() == 0
    flip(n1, 0.0)  # the first block: what the node knows of the cluster
    n1.start()
    n1.wait_ready()
    assert len(said(n1, "salvaged")) == 1
    assert len(said(n1, "serving")) == 2  # the life that met the damage never got so far
    assert check_history(history, cluster.nodes) == []
    write_all(late := History(), [n1])
    assert check_history(late, cluster.nodes) == []


def test_what_cannot_be_salvaged_ends_the_node_with_the_way_out(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    history = History()
    write_all(history, cluster.nodes)
    assert n1.stop() == 0
    n1.start()
    n1.wait_ready()  # all is sound, and nothing of it in memory
    (n1.data / "db" / "CURRENT").unlink()
    flip(n1, *(part / 20 for part in range(1, 18)))
    assert read_all(history, n1) == []
    assert n1.wait_exit() == Exit.DIRECTORY_DAMAGED
    assert "dynkv serve --rebuild" in n1.tail()
    assert check_history(history, [n2, n3]) == []
    n1.options.append("--rebuild")
    n1.start()
    n1.wait_ready()
    assert check_history(history, cluster.nodes) == []
