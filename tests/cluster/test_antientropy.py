"""Replicas that differ, for whatever reason, find out and become equal: no client reads, and nobody gives a hand.

Every story ends alike (`healing`): all nodes whole, all pairs compared and in step, one more cycle that finds nothing
to repair, and disks that hold the same at every primary and nothing elsewhere.
"""

import json
import random
import shutil

from dynkv.storage.envelope import unpack
from dynkv.storage.keys import parse_record_key, partition_in
from tests.cluster.healing import (
    OPTIONS,
    PARTITIONS,
    another_cycle_repairs_nothing,
    check_disks,
    metric,
    overview,
    placed,
    repaired,
    repaired_in_all,
    wait_healed,
)
from tests.cluster.load import BUCKET, Load, check_history
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.stores import change, copies, stored_hints, stored_records
from tests.cluster.test_damage import flip, said
from tests.cluster.views import wait_no_hints
from tests.support import eventually

KEYS = 90


def write_all(cluster: Cluster, word: str, keys: int = KEYS) -> None:
    """Write every key anew, the first through n1, the second through n2 and so on."""
    for i in range(keys):
        http = cluster.nodes[i % len(cluster.nodes)].http
        reply = http.put(BUCKET, f"k{i}", f"{word} {i}".encode(), http.get(BUCKET, f"k{i}").context, w=3)
        assert reply.ok, reply
    wait_no_hints(cluster)


def homes(cluster: Cluster, keys: int = KEYS) -> dict[tuple[str, bytes], set[str]]:
    return placed(cluster, {(BUCKET, b"k%d" % i): 3 for i in range(keys)})


def number_of(stored_key: bytes) -> int:
    """The i of the key k{i}."""
    return int(parse_record_key(stored_key)[2][1:])


def values(node: Node, key: str) -> list[bytes]:
    return node.http.get(BUCKET, key).values()


def spoil(n1: Node, old: dict[bytes, bytes]) -> tuple[set[bytes], list[int]]:
    """Harm three records of four in four partitions of five, n1 being stopped: removed, replaced by what `old` says,
    or altered. The harmed stored keys, and the numbers of those that are old now."""
    now = stored_records(n1)
    chosen = [key for key in sorted(now) if partition_in(key) % 5]
    removed, reverted, altered = chosen[0::4], chosen[1::4], chosen[2::4]
    changes: dict[bytes, bytes | None] = dict.fromkeys(removed)
    changes |= {key: old[key] for key in reverted}
    changes |= {key: now[key][:-1] + bytes((now[key][-1] ^ 1,)) for key in altered}
    change(n1, changes)
    return set(changes), [number_of(key) for key in reverted]


def test_records_removed_old_or_altered_behind_the_stores_back(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    n1, n2, n3 = cluster.nodes
    write_all(cluster, "old")
    assert n1.stop() == 0
    old = stored_records(n1)
    n1.start()
    n1.wait_ready()
    write_all(cluster, "new")
    where = homes(cluster)
    assert n1.stop() == 0
    harmed, reverted = spoil(n1, old)
    places = {partition_in(key) for key in harmed}
    assert n2.stop() == 0  # so that n1 cannot be refilled yet
    n1.start()
    n1.wait_ready()
    eventually(lambda: metric(n1, "dynkv_scrub_trees_corrected_total") == len(places), what="n1 finds out")
    # What is unharmed tells whether n1 counts: its vote is needed while n2 is away.
    for key in old.keys() - harmed:
        status = n3.http.get(BUCKET, f"k{number_of(key)}", r=2, timeout=300).status
        assert status == (503 if partition_in(key) in places else 200), key
    # A write that n1 counts on its old copy must not take the name of one that it has forgotten.
    late = [i for i in reverted if i % 3 == 0][:5]
    for i in late:
        assert n1.http.put(BUCKET, f"k{i}", b"late", w=1).ok
    n2.start()
    n2.wait_ready()
    wait_healed(cluster)
    assert metric(n1, "dynkv_scrub_replaced_total") > 0
    assert metric(n1, "dynkv_scrub_lost_total") == 0
    another_cycle_repairs_nothing(cluster)
    for i in range(KEYS):
        assert values(n1, f"k{i}") == [b"late", b"new %d" % i][i not in late :], i
    check_disks(cluster, where)


def test_a_deleted_directory_and_after_it_another_one(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    n1, _, n3 = cluster.nodes
    write_all(cluster, "first")
    where = homes(cluster)
    n1.kill()
    shutil.rmtree(n1.data)
    n1.start()
    n1.wait_ready()
    wait_healed(cluster)
    assert sum(repaired(cluster)["n1"].values()) >= KEYS
    another_cycle_repairs_nothing(cluster)
    # What n1 holds now came by exchange alone, and some of it is all that is left once n3 is gone, too.
    n3.kill()
    shutil.rmtree(n3.data)
    n3.start()
    n3.wait_ready()
    wait_healed(cluster)
    another_cycle_repairs_nothing(cluster)
    for i in range(KEYS):
        assert values(n3, f"k{i}") == [b"first %d" % i]
    check_disks(cluster, where)


def test_two_nodes_incomplete_at_once_become_complete(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    n1, n2, n3 = cluster.nodes
    write_all(cluster, "first")
    where = homes(cluster)
    cluster.kill()  # n3, too: they cannot have been refilled one after the other
    for node in n1, n2:
        shutil.rmtree(node.data)
    cluster.start()
    wait_healed(cluster)
    assert [said(node, "serving")[-1]["complete"] for node in cluster.nodes] == [False, False, True]
    another_cycle_repairs_nothing(cluster)
    # The same with records that are damaged at both, some of them at the same keys, and removed at both.
    for node in n1, n2:
        assert node.stop() == 0
    records = [stored_records(node) for node in (n1, n2)]
    keys = sorted(records[0])
    for node, stored, shift in zip((n1, n2), records, (0, 2), strict=True):
        spoiled = {key: stored[key][:-1] + bytes((stored[key][-1] ^ 1,)) for key in keys[shift::6] + keys[4::6]}
        change(node, spoiled | dict.fromkeys(keys[5::6]))
    for node in n1, n2:
        node.start()
    for node in n1, n2:
        node.wait_ready()
    wait_healed(cluster)
    assert all(metric(node, "dynkv_scrub_replaced_total") == KEYS // 3 for node in (n1, n2))
    another_cycle_repairs_nothing(cluster)
    check_disks(cluster, where)
    assert {unpack(value).record for value in stored_records(n1).values()} == {
        unpack(value).record for value in stored_records(n3).values()
    }


def is_complete(node: Node) -> bool:
    """Whether the node says of itself that it has lost nothing."""
    own = next(entry for entry in node.get("/nodes")["nodes"] if entry["id"] == node.name)
    return bool(own["complete"])


def test_flipped_bits_in_a_table_are_found_without_a_read(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    n1 = cluster.nodes[0]
    chance = random.Random(1)
    for i in range(KEYS):
        assert cluster.nodes[i % 3].http.put(BUCKET, f"k{i}", chance.randbytes(1_500), w=3).ok
    where = homes(cluster)
    assert n1.stop() == 0
    flip(n1, 0.3, 0.5, 0.52, 0.8)
    n1.start()
    eventually(lambda: said(n1, "salvaged"), 30, "the damage is found")
    n1.wait_ready()
    wait_healed(cluster)
    (report,) = said(n1, "salvaged")
    assert report["unreadable"] > 0
    assert not said(n1, "serving")[-1]["complete"]
    assert is_complete(n1)
    assert sum(repaired(cluster)["n1"].values()) == KEYS - report["records"] > 0
    another_cycle_repairs_nothing(cluster)
    check_disks(cluster, where)


def test_a_write_at_one_replica_of_which_nobody_keeps_a_hint(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    n1, n2, n3 = cluster.nodes
    write_all(cluster, "first")
    where = homes(cluster)
    for node in n2, n3:
        assert node.stop() == 0
    for i in range(0, KEYS, 3):
        assert n1.http.put(BUCKET, f"k{i}", b"second %d" % i, w=1, sloppy="false").ok
    assert n1.http.put(BUCKET, f"k{KEYS}", b"lost", w=1, sloppy="false").ok
    assert n1.stop() == 0
    owed = stored_hints(n1)
    assert len(owed) == 2 * KEYS // 3 + 2
    change(n1, dict.fromkeys(owed))
    (lost,) = ((key, value) for key, value in stored_records(n1).items() if number_of(key) == KEYS)
    change(n1, {lost[0]: lost[1][:-1] + bytes((lost[1][-1] ^ 1,))})
    cluster.start()
    wait_healed(cluster)
    assert metric(n1, "dynkv_scrub_lost_total") == 1
    assert sum(repaired(cluster)["n1"].values()) + sum(repaired(cluster)["n2"].values()) > 0
    assert repaired_in_all(cluster) >= 2 * KEYS // 3
    another_cycle_repairs_nothing(cluster)
    for i in range(0, KEYS, 3):
        assert values(n3, f"k{i}") == [b"first %d" % i, b"second %d" % i]
    check_disks(cluster, where)


def test_buckets_of_other_n_are_compared_among_their_own_primaries(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(5, options=OPTIONS).start()
    _, n2, _, n4, n5 = cluster.nodes
    n_of = {BUCKET: 3, "two": 2, "one": 1}
    for bucket in "two", "one":
        n = n_of[bucket]
        settings = json.dumps({"n": n, "r": n, "w": n}).encode()
        assert n4.http.request("PUT", f"/buckets/{bucket}", settings).ok
    for i in range(KEYS):
        for bucket, n in n_of.items():
            assert cluster.nodes[i % 5].http.put(bucket, f"k{i}", b"first %d" % i, w=n).ok
    wait_no_hints(cluster)
    where = placed(cluster, {(bucket, b"k%d" % i): n for bucket, n in n_of.items() for i in range(KEYS)})
    wait_healed(cluster)
    assert repaired_in_all(cluster) == 0
    # n2 loses everything, and n5 a third of each bucket; what nobody else has is gone for good.
    n2.kill()
    shutil.rmtree(n2.data)
    assert n5.stop() == 0
    removed = {key for key in stored_records(n5) if number_of(key) % 3 == 0}
    change(n5, dict.fromkeys(removed))
    names = {parse_record_key(key)[1:] for key in removed}
    gone = {key for key, home in where.items() if home <= ({"n2", "n5"} if key in names else {"n2"})}
    assert {bucket for bucket, _ in names} == set(n_of)
    assert {bucket for bucket, _ in gone} == {"one", "two"}
    cluster.start()
    wait_healed(cluster)
    another_cycle_repairs_nothing(cluster)
    check_disks(cluster, {key: home for key, home in where.items() if key not in gone})


def test_all_nodes_die_under_load_and_writes_in_flight_are_no_differences(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(options=OPTIONS).start()
    with Load(cluster.nodes) as load:  # through the dead time, too: its failures then are no news
        load.run_until_acknowledged(500)
        cluster.kill()
        cluster.start()
        load.run_until_acknowledged(200)  # while trees are built anew
        eventually(lambda: verdict(cluster) == "agree", 60, "all replicas agree")
        before, compared = repaired_in_all(cluster), comparisons(cluster)
        eventually(lambda: comparisons(cluster) >= compared + 3 * 3 * PARTITIONS, 60, "three cycles under load")
        assert repaired_in_all(cluster) == before
    assert all("records were lost" not in node.log_text() for node in cluster.nodes)
    wait_healed(cluster)
    another_cycle_repairs_nothing(cluster)
    assert check_history(load.history, cluster.nodes[:1]) == []
    cluster.stop()
    assert len({tuple(sorted(held.items())) for held in copies(cluster).values()}) == 1


def comparisons(cluster: Cluster) -> int:
    return sum(metric(node, "dynkv_comparisons_total") for node in cluster.nodes)


def verdict(cluster: Cluster) -> str:
    return str(overview(cluster.nodes[0])["verdict"]["state"])
