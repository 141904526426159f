"""Whether replicas have become equal by themselves: as the nodes say, as their counters say, and as their disks say.

No key is read by a client here, for a read repairs what it finds.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.cluster.processes import Cluster, Node
from tests.cluster.stores import copies
from tests.cluster.views import no_hints
from tests.support import eventually

# Few partitions, so that each holds several keys, and a cycle that a test can wait for.
PARTITIONS = 64
CYCLE_S = 2.0
OPTIONS = (f"--partitions={PARTITIONS}", f"--set=antientropy.cycle_s={CYCLE_S}")

HEALED_S = 60.0

Where = Mapping[tuple[str, bytes], set[str]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def overview(node: Node) -> Any:
    """The cluster as all nodes tell it, asked of this one."""
    return node.get("/antientropy")


def wait_healed(cluster: Cluster) -> None:
    """Until every node has all its data back and has read all of it once, nothing is owed, and all pairs of replicas
    have been compared since and agree."""
    first = cluster.nodes[0]
    eventually(lambda: _is_whole(cluster), HEALED_S, "every node is whole")
    since = now_ms()
    eventually(lambda: _agree(first, since), HEALED_S, "all replicas agree")


def _is_whole(cluster: Cluster) -> bool:
    nodes = overview(cluster.nodes[0])["nodes"]
    return all(_has_all(node) for node in nodes) and no_hints(cluster)


def _has_all(node: Mapping[str, Any]) -> bool:
    assert node["state"] == "up", node
    assert node["complete"], f"{node['id']} is being refilled: {node['refill']}"
    assert node["trees"]["exact"] == PARTITIONS, f"{node['id']}: {node['trees']}"
    scrub = node["scrub"]
    assert scrub["cycle"] >= 1, f"{node['id']}: {scrub}"
    assert scrub["fraction"] == 1, f"{node['id']}: {scrub}"
    return True


def _agree(node: Node, since: int) -> bool:
    """Whether all pairs have been compared after `since` and are in step."""
    view = overview(node)
    assert view["verdict"]["state"] == "agree", [view["verdict"], view["log"][:5]]
    assert view["counts"]["in_step"] == view["counts"]["total"] > 0
    return bool(view["verdict"]["as_of_ms"] >= since)


def repaired(cluster: Cluster) -> dict[str, dict[str, int]]:
    """By node: the keys that its exchanges repaired since its start, by direction."""
    return {node.name: _by_label(node, "dynkv_exchange_keys_total") for node in cluster.nodes}


def repaired_in_all(cluster: Cluster) -> int:
    return sum(sum(keys.values()) for keys in repaired(cluster).values())


def metric(node: Node, name: str) -> int:
    """A counter or gauge of one value."""
    return _by_label(node, name)[""]


def _by_label(node: Node, name: str) -> dict[str, int]:
    """The values of a metric by its label's value."""
    page = node.http.request("GET", "/metrics").body.decode()
    found = {}
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name:
            found[series.partition('"')[2].partition('"')[0]] = int(float(value))
    assert found, f"{node.name} has no metric {name}"
    return found


def another_cycle_repairs_nothing(cluster: Cluster) -> None:
    """Compare everything once more, now, and hold that there was nothing to do."""
    before, since = repaired(cluster), now_ms()
    reply = cluster.nodes[0].http.request("POST", "/antientropy/run")
    assert reply.ok, reply
    assert all(pairs is not None for pairs in reply.json().values()), reply
    eventually(lambda: _agree(cluster.nodes[0], since), HEALED_S, "all pairs are compared once more")
    assert repaired(cluster) == before


def placed(cluster: Cluster, keys: Mapping[tuple[str, bytes], int]) -> dict[tuple[str, bytes], set[str]]:
    """Where each of these keys, given with its bucket's n, belongs: its primaries."""
    node = cluster.nodes[0]
    where = {}
    for (bucket, key), n in keys.items():
        found = node.get(f"/ring?bucket={bucket}&key={key.decode()}")
        assert len(found["primaries"]) == n, found
        where[bucket, key] = set(found["primaries"])
    return where


def check_disks(cluster: Cluster, where: Where) -> None:
    """Stop all nodes; hold that each of these keys lies at its primaries and nowhere else, that no other key lies
    anywhere, and that all copies of a key are equal."""
    cluster.stop()
    held: dict[tuple[str, bytes], dict[str, bytes]] = defaultdict(dict)
    for name, records in copies(cluster).items():
        for key, digest in records.items():
            held[key][name] = digest
    assert held.keys() == where.keys(), sorted(held.keys() ^ where.keys())[:20]
    wrong = [
        f"{key}: at {sorted(held[key])}, not {sorted(home)}" for key, home in where.items() if set(held[key]) != home
    ]
    wrong += [f"{key}: copies differ: {at}" for key, at in held.items() if len(set(at.values())) > 1]
    assert not wrong, "\n".join(wrong[:20])
