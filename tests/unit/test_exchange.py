"""Exchanges between nodes in memory: what is merged, what is left alone, and what is not believed."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from antientropy import FANOUT, HashTree
from dynkv.core.bucket import BucketSettings
from dynkv.core.survey import PairState
from dynkv.peer.many_messages import ApplyMany, ReadMany
from dynkv.peer.messages import Compare, Compared, Comparison, Found, Keys, Leaves, ListKeys, Request, TreeLeaves
from dynkv.peer.transport import Failure
from dynkv.repair import exchange
from dynkv.repair.reconcile import Reconciler
from dynkv.storage.keys import place_of, record_key
from ring.tokens import partition_of, token
from tests.unit.cluster_in_memory import BUCKET, PARTITIONS, Caller, Cluster, Verdict, run
from tests.unit.menders import cycle, keys_of, menders, plant

# In an even partition the lesser id begins: n1 with both others.
EVEN = 4
DIGEST = b"d" * 16


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SETTLE_S", 0.0)


def once(kind: type[Request], then: Callable[[Caller], Verdict]) -> Callable[[Caller], Verdict]:
    """A rule that meddles with the first call of a kind."""
    met: list[Caller] = []

    def rule(call: Caller) -> Verdict:
        if isinstance(call.message, kind) and not met:
            met.append(call)
            return then(call)
        return None

    return rule


def asked(c: Cluster, kind: type[Request]) -> int:
    return sum(isinstance(call.message, kind) for call in c.calls)


def test_what_differs_is_merged_both_ways_and_the_next_cycle_finds_nothing() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = [b"k%d" % number for number in range(40)]
        for key in keys:
            await c.put("n1", key, b"same")
        await c.pay()
        for number, key in enumerate(keys):
            plant(c, f"n{number % 3 + 1}", key, b"newer %d" % number)
        plant(c, "n1", keys[1], b"beside")
        plant(c, "n1", b"only n1", b"1")
        plant(c, "n2", b"only n2", b"2")
        m = await menders(c)
        await cycle(m)
        await cycle(m)  # what n1 got from n3 last, n2 has from n1 now
        moved = {name: mender.moved() for name, mender in m.items()}
        await cycle(m)
        assert {name: mender.moved() for name, mender in m.items()} == moved
        assert {state for mender in m.values() for state in mender.states()} == {PairState.IN_STEP}
        for name in c.names:
            assert c.held_by(name, b"only n1") == [b"1"]
            assert c.held_by(name, b"only n2") == [b"2"]
            assert c.held_by(name, keys[0]) == [b"newer 0"]
            assert c.held_by(name, keys[1]) == [b"beside", b"newer 1"]
            m[name].check_trees()

    run(main)


def test_each_pair_has_one_that_begins() -> None:
    async def main() -> None:
        c = Cluster(5)
        m = await menders(c)
        begun = [
            (pair.partition, pair.n, *sorted((name, pair.peer)))
            for name, mender in m.items()
            for pair in mender.pairing.pairs(lambda partition: False)
        ]
        assert len(begun) == len(set(begun)) == 3 * 16
        assert {pair[1] for pair in begun} == {3}

    run(main)


@pytest.mark.parametrize("at", ["n1", "n2"])
def test_a_key_that_moved_on_since_it_was_listed_is_left_alone(at: str) -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        # More than are repaired at once, so that the last one is still to come when the first is asked for.
        keys = sorted(keys_of(c, EVEN, 40), key=lambda key: record_key(EVEN, BUCKET, key))
        for key in keys:
            plant(c, "n2", key, b"old")
            plant(c, "n1", key, b"other")
        last = keys[-1]

        def write(call: Caller) -> Verdict:
            plant(c, at, last, b"newer")
            return None

        c.rule = once(ReadMany, write)
        await m["n1"].compare("n2")
        assert m["n1"].standing(last, "n2").state == PairState.APART
        assert m["n1"].standing(last, "n2").apart == 1
        assert m["n1"].moved() == (39, 39)
        assert {at: [b"newer"], "n1" if at == "n2" else "n2": [b"old" if at == "n1" else b"other"]} == {
            name: c.held_by(name, last) for name in ("n1", "n2")
        }
        await m["n1"].compare("n2")
        assert c.held_by("n1", last) == c.held_by("n2", last)
        assert m["n1"].standing(last, "n2").state == PairState.IN_STEP

    run(main)


def test_a_key_that_has_arrived_since_it_was_missing_is_not_pushed() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        record = plant(c, "n1", key, b"v")

        def arrives(call: Caller) -> Verdict:
            c.nodes["n2"].replica.apply(BUCKET, key, record)
            return None

        c.rule = once(ReadMany, arrives)
        await m["n1"].compare("n2")
        assert m["n1"].moved() == (0, 0)
        assert asked(c, ApplyMany) == 0

    run(main)


def test_a_write_under_way_settles_and_no_key_is_listed() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        record = plant(c, "n1", key, b"v")
        seen = 0

        def rule(call: Caller) -> Verdict:
            nonlocal seen
            seen += isinstance(call.message, TreeLeaves)
            if seen == 2:
                c.nodes["n2"].replica.apply(BUCKET, key, record)
            return None

        c.rule = rule
        await m["n1"].compare("n2")
        assert (seen, asked(c, ListKeys), m["n1"].moved()) == (2, 0, (0, 0))
        assert m["n1"].standing(key, "n2").state == PairState.IN_STEP

    run(main)


def test_leaves_that_differ_where_no_key_does_are_looked_into() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n1", key, b"v")
        await m["n1"].compare("n2")
        tree = c.nodes["n1"].trees.tree(EVEN, 3)
        assert not isinstance(tree, str)
        tree.update(5, None, DIGEST)  # a tree that is wrong, however that came about
        await m["n1"].compare("n2")
        assert m["n1"].comparer.doubtful == {EVEN}
        assert not m["n1"].refill.lacking(EVEN)
        while m["n1"].comparer.doubtful or m["n1"].scrub._walk is not None:
            await m["n1"].scrub.step()
        assert m["n1"].scrub.corrected == 1
        assert m["n1"].refill.lacking(EVEN)
        m["n1"].check_trees()

    run(main)


@pytest.mark.parametrize("whose", ["n1", "n2"])
def test_a_tree_that_is_not_known_is_unknown_and_never_in_step(whose: str) -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n1", key, b"v")
        c.nodes[whose].trees.doubt(EVEN, "it is being rebuilt")
        await m["n1"].compare("n2")
        standing = m["n1"].standing(key, "n2")
        assert standing.state == PairState.UNKNOWN
        assert standing.why == f"{'here' if whose == 'n1' else 'n2'}: it is being rebuilt"
        assert standing.compared_ms == 0
        await m[whose].build()
        await m["n1"].compare("n2")
        assert m["n1"].standing(key, "n2").state == PairState.IN_STEP
        assert c.held_by("n2", key) == [b"v"]

    run(main)


@pytest.mark.parametrize(("kind", "keys"), [(Compare, 1), (TreeLeaves, 1), (ListKeys, 1), (ReadMany, 1), (Compare, 0)])
def test_a_tree_that_is_replaced_in_the_middle_ends_the_exchange_as_unknown(kind: type[Request], keys: int) -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        for _ in range(keys):
            plant(c, "n2", key, b"v")

        def rebuild(call: Caller) -> Verdict:
            trees = c.nodes["n1"].trees
            trees.doubt(EVEN, "the disk failed")
            trees.begin_census(EVEN)
            trees.end_census(EVEN)  # another tree, and a wrong one
            return None

        c.rule = once(kind, rebuild)
        await m["n1"].compare("n2")
        standing = m["n1"].standing(key, "n2")
        assert (standing.state, standing.why) == (PairState.UNKNOWN, "here: the tree is being rebuilt")
        assert type(c.calls[-1].message) is kind  # nothing was asked for after that

    run(main)


def test_a_peer_whose_tree_goes_in_the_middle_says_so() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n2", key, b"v")

        def doubt(call: Caller) -> Verdict:
            c.nodes["n2"].trees.doubt(EVEN, "the disk failed")
            return None

        c.rule = once(ListKeys, doubt)
        await m["n1"].compare("n2")
        standing = m["n1"].standing(key, "n2")
        assert (standing.state, standing.why) == (PairState.UNKNOWN, "n2: the disk failed")

    run(main)


def beside(key: bytes, bucket: str, partition: int = EVEN) -> bytes:
    """The place of a key of `bucket` in this partition, in the leaf of `key`."""
    leaf = HashTree.leaf_of(token(BUCKET, key))
    for number in count():
        other = b"%d" % number
        name = token(bucket, other)
        if partition_of(name, PARTITIONS) == partition and HashTree.leaf_of(name) == leaf:
            return place_of(record_key(partition, bucket, other))
    raise AssertionError("there is one")


def lies(key: bytes) -> dict[str, tuple[type[Request], Verdict]]:
    """Answers that no honest peer gives, by what is wrong with them."""
    place = place_of(record_key(EVEN, BUCKET, key))
    elsewhere = place_of(record_key(EVEN, BUCKET, key + b"elsewhere"))
    return {
        "another kind": (Compare, Found(DIGEST, b"", True)),
        "no comparison": (Compare, Compared(())),
        "of another partition": (Compare, Compared((Comparison(EVEN + 1, 3, b"", ""),))),
        "too few inner nodes": (Compare, Compared((Comparison(EVEN, 3, bytes(8 * FANOUT - 8), ""),))),
        "half an inner node": (Compare, Compared((Comparison(EVEN, 3, bytes(7), ""),))),
        "no leaves": (TreeLeaves, Leaves(b"")),
        "half a leaf": (TreeLeaves, Leaves(bytes(8 * FANOUT - 1))),
        "leaves and more": (TreeLeaves, Leaves(bytes(8 * FANOUT + 8))),
        "keys for leaves": (TreeLeaves, Keys((), b"")),
        "a key twice": (ListKeys, Keys(((place, DIGEST), (place, DIGEST)), b"")),
        "a key that was not asked for": (ListKeys, Keys(((elsewhere, DIGEST),), b"")),
        "a key of another partition": (ListKeys, Keys(((beside(key, BUCKET, 7), DIGEST),), b"")),
        "a key of no bucket": (ListKeys, Keys(((beside(key, "no bucket"), DIGEST),), b"")),
        "a key of a bucket of another n": (ListKeys, Keys(((beside(key, "two"), DIGEST),), b"")),
        "no key at all": (ListKeys, Keys(((b"", DIGEST),), b"")),
        "a key that cannot be parsed": (ListKeys, Keys(((b"\xff", DIGEST),), b"")),
        "no way on": (ListKeys, Keys((), place[:1])),
        "silence": (ListKeys, Failure("timed out", True)),
    }


@pytest.mark.parametrize("what", lies(b"any"))
def test_a_peer_that_lies_costs_its_comparison_and_nothing_else(what: str) -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        c.nodes["n1"].membership.set_bucket("two", BucketSettings(2, 2, 2))
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n1", key, b"v")
        kind, answer = lies(key)[what]
        c.rule = lambda call: answer if type(call.message) is kind else None
        await m["n1"].compare("n2")
        assert m["n1"].standing(key, "n2").state == PairState.UNKNOWN
        assert m["n1"].moved() == (0, 0)
        assert asked(c, ApplyMany) == 0
        c.rule = lambda call: None
        await m["n1"].compare("n2")
        assert m["n1"].standing(key, "n2").state == PairState.IN_STEP
        assert c.held_by("n2", key) == [b"v"]
        assert c.nodes["n1"].tasks.failures == 0

    run(main)


def test_a_defect_in_the_middle_of_a_batch_does_not_keep_its_pairs_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n1", key, b"v")
        with monkeypatch.context() as patches:
            patches.setattr(c.nodes["n1"].wire, "request", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await m["n1"].compare("n2")
        await m["n1"].compare("n2")
        assert c.held_by("n2", key) == [b"v"]

    run(main)


def test_only_what_a_node_lost_is_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    urgent: list[bool] = []
    repair = Reconciler.repair

    async def noted(self: Reconciler, *what: Any, **how: Any) -> int:
        urgent.append(how["urgent"])
        return await repair(self, *what, **how)

    async def main() -> None:
        monkeypatch.setattr(Reconciler, "repair", noted)
        c = Cluster(3)
        m = await menders(c)
        first, second = keys_of(c, EVEN, 2)
        plant(c, "n2", first, b"v")
        await m["n1"].compare("n2")
        assert urgent == [False]
        plant(c, "n2", second, b"v")
        m["n1"].refill.lost(EVEN)
        await m["n1"].compare("n2")
        assert urgent == [False, True]
        assert c.held_by("n1", second) == [b"v"]

    run(main)


def test_reads_and_writes_of_peers_are_counted_as_asked_and_comparisons_are_not() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        await c.put("n1", b"k", b"v")
        await c.until(lambda: c.nodes["n2"].inbound.asked == 1)
        await m["n1"].compare("n2")
        assert c.nodes["n2"].inbound.asked == 1

    run(main)
