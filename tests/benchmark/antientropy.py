"""What anti-entropy costs, and how fast it is: prints the table of the README's page on it.

    python -m tests.benchmark.antientropy [--records 1000000] [--keys 100000] [--dir .]

Real nodes on this machine's disk, the load generator beside them. About six minutes on two processors.

- trees: all nodes are killed, their stores are given the same million records. They start and build their trees; then
  one of them is given ten records that the others lack, or have in an older version, and all pairs are compared.
- refill: one of three nodes loses its data directory under a steady load, and gets everything back.
- spread: one of three nodes has keys that the two others lack, who take them in under a steady load; a twentieth as
  many as nodes do it, all of them at full speed. Nothing else happens meanwhile: no node was away or starts.
- upkeep: what the trees add to a write, and what one takes in memory.
"""

import argparse
import json
import shutil
import tempfile
import time
import timeit
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from antientropy import HashTree
from dynkv.cli import load
from dynkv.config import AntiEntropy
from dynkv.trees import Trees
from tests.benchmark.measure import Workload, measure
from tests.benchmark.offline import BUCKET, change, partitions_of, small_record, write
from tests.benchmark.paced import Latencies, Paced
from tests.benchmark.stray import give
from tests.benchmark.systems import Dynkv, DynkvPut, cpu_s
from tests.cluster.processes import Cluster, Node
from tests.support import eventually

DIFFERENCES = 10
FOREGROUND_PER_S = 500
FILLED = 20_000
SETTLED_S = 3.0
# Between two looks at how far nodes are, while a load is measured: to ask for all metrics holds a node for 2 ms, which
# a 99th percentile shows.
RARELY_S = 20.0
STEADY_S = 8.0
LONG_STEADY_S = 20.0
LONG_S = 600.0

Row = tuple[str, str]


def main() -> None:
    """Run all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="small records at each node, for the trees")
    parser.add_argument("--keys", type=int, default=100_000, help="keys of 1 KiB, for the refill")
    parser.add_argument("--dir", type=Path, default=Path(), help="where the data lies while this runs")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for part in (
        lambda folder: trees(folder, arguments.records),
        lambda folder: refill(folder, arguments.keys),
        lambda folder: spread(folder, arguments.keys // 20, AntiEntropy().share_beside_clients),
        lambda folder: spread(folder, arguments.keys, 1.0),
        upkeep,
    ):
        with tempfile.TemporaryDirectory(dir=arguments.dir, prefix=".bench-") as folder:
            rows += part(Path(folder))
    print("\n| | |\n| --- | ---: |")
    for what, figure in rows:
        print(f"| {what} | {figure} |")


# --- trees ------------------------------------------------------------------------------------------------------------


def trees(folder: Path, count: int) -> list[Row]:
    """Building, finding ten differences among a million records, and a cycle without any."""
    # A cycle far longer than this run: what is compared is compared because it was asked for.
    cluster = Cluster(folder, 3, options=["--set", "antientropy.cycle_s=86400"]).start()
    try:
        cluster.kill()
        for node in cluster.nodes:
            _fill(node, count)
        began = time.monotonic()
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.wait_ready(LONG_S)
        _until(cluster, lambda view: all(node["trees"]["exact"] == view["partitions"] for node in view["nodes"]))
        built_s = time.monotonic() - began
        stalls = {node.name: _metric(node, "dynkv_loop_stall_p999_seconds") for node in cluster.nodes}
        _until(cluster, lambda view: view["verdict"]["state"] == "agree")
        found_s, moved = _find_differences(cluster, count)
        cycle_bytes, cycle_s = _one_cycle(cluster)
        return [
            (f"trees of {count:,} records built at each of three nodes at once", f"{built_s:.1f} s"),
            ("loop stalls meanwhile, 99.9th percentile, worst node", f"≤ {max(stalls.values()) * 1000:g} ms"),
            (f"{DIFFERENCES} differences among {count:,} records found and repaired", f"{found_s:.2f} s"),
            ("all that nodes said to each other meanwhile", f"{moved / 1000:.0f} KB"),
            ("one cycle without a difference, all that nodes said to each other", f"{cycle_bytes / 1000:.0f} KB"),
            ("and its time", f"{cycle_s:.2f} s"),
        ]
    finally:
        cluster.close()


def _fill(node: Node, count: int) -> None:
    partitions = partitions_of(node)
    write(node, (change(partitions, _key(number), small_record(number, b"a small value")) for number in range(count)))


def _key(number: int) -> bytes:
    return b"key-%d" % number


def _find_differences(cluster: Cluster, count: int) -> tuple[float, int]:
    """Half of them new at one replica, half newer there: seconds until all have them, and bytes between nodes."""
    numbers = [count + number if number % 2 else number * (count // DIFFERENCES) for number in range(DIFFERENCES)]
    strays = {_key(number): small_record(number, b"another value", counter=2) for number in numbers}
    give(cluster.nodes[0], "n2", strays)
    before, began = _links_bytes(cluster), time.monotonic()
    cluster.nodes[0].http.request("POST", "/antientropy/run")
    eventually(lambda: _all_have(cluster, numbers), 60, "all replicas have them")
    return time.monotonic() - began, _links_bytes(cluster) - before


def _all_have(cluster: Cluster, numbers: Sequence[int]) -> bool:
    """Whether exchanges gave both other nodes every one of them, as the nodes count them."""
    repaired = sum(
        int(float(line.split()[1]))
        for node in cluster.nodes
        for line in node.http.request("GET", "/metrics").body.decode().splitlines()
        if line.startswith("dynkv_exchange_keys_total{")
    )
    return repaired >= 2 * len(numbers)


def _one_cycle(cluster: Cluster) -> tuple[int, float]:
    """Bytes between nodes while every pair is compared once, without those of a quiet time as long; and seconds."""
    quiet_at, quiet = time.monotonic(), _links_bytes(cluster)
    eventually(lambda: time.monotonic() - quiet_at > SETTLED_S, 60, "a quiet time is over")
    idle_per_s = (_links_bytes(cluster) - quiet) / (time.monotonic() - quiet_at)
    before, comparisons, began = _links_bytes(cluster), _comparisons(cluster), time.monotonic()
    begun = cluster.nodes[0].http.request("POST", "/antientropy/run").json()
    pairs = 3 * _view(cluster)["partitions"]
    eventually(lambda: _comparisons(cluster) >= comparisons + pairs, 60, f"all pairs are compared ({begun})")
    seconds = time.monotonic() - began
    return max(0, _links_bytes(cluster) - before - int(idle_per_s * seconds)), seconds


# --- refill -----------------------------------------------------------------------------------------------------------


def refill(folder: Path, count: int) -> list[Row]:
    """A deleted data directory under a steady load. With a node away every quorum is of the two that are left, so the
    slower of them is waited for: what repair adds is told by the load while it is away, and not only before."""
    cluster = Cluster(folder, 3).start()
    try:
        targets = [node.address for node in cluster.nodes]
        report = load.run(load.Load(targets, load.Counting(DynkvPut("fill", 1024), 48, count), 48, None))
        assert report.failed == 0, report
        lost = cluster.nodes[1]
        others = [node.address for node in cluster.nodes if node is not lost]
        with Paced(others, lambda number: _mixed(number, count), FOREGROUND_PER_S) as foreground:
            _for(SETTLED_S)
            foreground.since_last()
            _for(STEADY_S)
            before = foreground.since_last()
            lost.stop()
            _for(SETTLED_S)
            foreground.since_last()
            _for(STEADY_S)
            away = foreground.since_last()
            shutil.rmtree(lost.data)
            lost.start()
            lost.wait_ready()
            foreground.since_last()
            began, cpu = time.monotonic(), cpu_s(_pids(cluster))
            eventually(lambda: _complete(lost), LONG_S, "everything is back")
            seconds, cpu = time.monotonic() - began, cpu_s(_pids(cluster)) - cpu
            during = foreground.since_last()
        return [
            (
                f"{count:,} keys of 1 KiB, deleted at a node, back beside {FOREGROUND_PER_S} requests/s",
                f"{seconds:.1f} s",
            ),
            ("processor time of all nodes for that", f"{cpu:.1f} s"),
            ("foreground before, with three nodes, p50 and p99", _words(before)),
            ("foreground while the node is away", _words(away)),
            ("foreground during the refill", _words(during)),
            (
                "the load's own lateness, which is in these, p99",
                ", ".join(f"{one.late_p99_ms:.1f}" for one in (before, away, during)) + " ms",
            ),
        ]
    finally:
        cluster.close()


def spread(folder: Path, count: int, share: float) -> list[Row]:
    """All three nodes answer, and two of them take in what only the third has; `share`: how fast, beside clients."""
    cluster = Cluster(folder, 3, options=["--set", f"antientropy.share_beside_clients={share}"]).start()
    try:
        *others, one = cluster.nodes
        targets = [node.address for node in cluster.nodes]
        report = load.run(load.Load(targets, load.Counting(DynkvPut("fill", 1024), 48, FILLED), 48, None))
        assert report.failed == 0, report
        value = bytes(range(256)) * 4
        strays = {_key(number): small_record(number, value) for number in range(count)}
        with Paced(targets[:2], lambda number: _mixed(number, FILLED), FOREGROUND_PER_S) as foreground:
            _for(SETTLED_S)
            foreground.since_last()
            _for(LONG_STEADY_S)
            before = foreground.since_last()
            began = time.monotonic()
            give(one, others[1].name, strays)
            _for(SETTLED_S)
            foreground.since_last()
            assert not _all_have(cluster, range(count)), "repaired before it could be measured"
            while not _all_have(cluster, range(count)):
                assert time.monotonic() - began < LONG_S
                _for(RARELY_S)
            seconds, during = time.monotonic() - began, foreground.since_last()
            _for(SETTLED_S)
            foreground.since_last()
            _for(LONG_STEADY_S)
            after = foreground.since_last()
        return [
            (
                f"{count:,} keys of 1 KiB that one node has, at the {len(others)} others, share {share:g}",
                f"≤ {seconds:.0f} s",
            ),
            ("foreground before, p50 and p99", _words(before)),
            ("foreground during that repair", _words(during)),
            ("foreground after it", _words(after)),
        ]
    finally:
        cluster.close()


def _mixed(number: int, count: int) -> bytes:
    """Every second request is a write."""
    if number % 2:
        return load.request("GET", f"/kv/{BUCKET}/fill{number * 7919 % count}")
    return DynkvPut("paced", 1024)(number)


def _words(latencies: Latencies) -> str:
    failed = f", {latencies.failed} failed" if latencies.failed else ""
    return f"{latencies.p50_ms:.1f} and {latencies.p99_ms:.1f} ms{failed}"


# --- upkeep -----------------------------------------------------------------------------------------------------------


def upkeep(folder: Path) -> list[Row]:
    """What trees add to a write of a new key, and what they take."""
    result = measure(Dynkv(folder / "data", 1024, "synced"), Workload(48, 6.0, 9_600), writes=True)
    trees = Trees(1, 256, lambda bucket: 3)
    for partition in range(256):
        trees.begin_census(partition)
        trees.end_census(partition)
    names, digest = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(1000)], b"d" * 16

    def thousand() -> None:
        for name in names:
            trees.changed(name >> 56, "bench", name, b"r..", None, digest)

    update_us = min(timeit.repeat(thousand, number=20, repeat=5)) / 20 / 1000 * 1e6
    tracemalloc.start()
    kept = [HashTree(number) for number in range(256)]
    for tree in kept:
        tree.update(1, None, digest)
        assert tree.root
    each = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    share = 3 * update_us / result.server_us
    return [
        ("a write's entry in the tree, at each of three nodes", f"{update_us:.2f} µs"),
        (f"of the {result.server_us:.0f} µs that a synced write takes at all three together", f"{share * 100:.1f} %"),
        ("memory of a partition's tree", f"{each / 1024:.1f} KiB"),
    ]


# --- looking ----------------------------------------------------------------------------------------------------------


def _view(cluster: Cluster) -> Any:
    return json.loads(cluster.nodes[0].http.request("GET", "/antientropy").body)


def _until(cluster: Cluster, true: Callable[[Any], bool]) -> None:
    eventually(lambda: true(_view(cluster)), LONG_S, "the cluster is as it should be")


def _comparisons(cluster: Cluster) -> float:
    return sum(_metric(node, "dynkv_comparisons_total") for node in cluster.nodes)


def _links_bytes(cluster: Cluster) -> int:
    return int(sum(_metric(node, "dynkv_links_bytes_out_total") for node in cluster.nodes))


def _metric(node: Node, name: str) -> float:
    for line in node.http.request("GET", "/metrics").body.decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def _complete(node: Node) -> bool:
    return bool(next(row for row in node.get("/nodes")["nodes"] if row["id"] == node.name)["complete"])


def _pids(cluster: Cluster) -> list[int]:
    return [node.process.pid for node in cluster.nodes if node.process is not None]


def _for(seconds: float) -> None:
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= until, seconds + 10, "the time is over")


if __name__ == "__main__":
    main()
