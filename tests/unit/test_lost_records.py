"""Records that are damaged, gone or old at one node: found by the scrub, not spoken for, and back from the replicas."""

import pytest

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import DamagedRecord
from dynkv.core.survey import PairState
from dynkv.peer.messages import Absent, Compare, Found, Read
from dynkv.repair import exchange
from dynkv.storage.keys import hint_key
from tests.unit.cluster_in_memory import BUCKET, Caller, Cluster, Verdict, run
from tests.unit.menders import Mender, alter, cycle, keys_of, menders, plant, remove

EVEN = 4


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SETTLE_S", 0.0)


async def equal(c: Cluster, keys: list[bytes]) -> dict[str, Mender]:
    """All nodes hold the keys, and know it."""
    for key in keys:
        await c.put("n1", key, b"v", levels=c.levels(w=c.defaults.n))
    return await menders(c)


def vote(c: Cluster, name: str, key: bytes) -> bool:
    """Whether the answer of this node counts to a read."""
    answers: list[object] = []
    c.nodes[name].inbound.handle("n9", Read(BUCKET, key, False), 1e9, answers.append)
    (answer,) = answers
    assert isinstance(answer, Found | Absent)
    return answer.complete


# --- what the scrub finds ---------------------------------------------------------------------------------------------


def test_what_was_removed_is_found_and_the_partition_is_refilled_before_it_counts() -> None:
    async def main() -> None:
        c = Cluster(3)
        key, other = keys_of(c, EVEN, 2)
        (elsewhere,) = keys_of(c, EVEN + 1, 1)
        m = await equal(c, [key, other, elsewhere])
        remove(c, "n1", key)
        assert vote(c, "n1", other)
        await m["n1"].scrub_all()
        assert m["n1"].said == [False]
        assert (vote(c, "n1", other), vote(c, "n1", elsewhere)) == (False, True)
        assert m["n1"].refill.progress() == (15, 16)
        await m["n1"].compare("n2")
        assert c.held_by("n1", key) == [b"v"]
        assert not vote(c, "n1", other)  # n3 may have what n2 has not
        await m["n1"].compare("n3")
        assert vote(c, "n1", other)
        assert c.nodes["n1"].identity.complete
        assert m["n1"].said == [False, True]
        await m["n1"].scrub_all()
        assert m["n1"].scrub.corrected == 1
        m["n1"].check_trees()

    run(main)


def test_writes_while_a_scrub_walks_are_no_losses() -> None:
    async def main() -> None:
        c = Cluster(1, defaults=BucketSettings(1, 1, 1))
        keys = [b"k%d" % number for number in range(2000)]
        for key in keys[::2]:
            plant(c, "n1", key, b"v")
        m = await menders(c)
        left = iter(keys)

        def write() -> None:
            for _ in range(40):
                key = next(left, keys[0])
                plant(c, "n1", key, b"newer " + key)

        for _ in range(2):
            await m["n1"].scrub_all(write)
        assert m["n1"].scrub.corrected == 0
        m["n1"].check_trees()

    run(main)


def test_an_exchange_begun_before_a_loss_proves_nothing() -> None:
    async def main() -> None:
        c = Cluster(3)
        (key,) = keys_of(c, EVEN, 1)
        m = await equal(c, [key])
        m["n1"].refill.lost(EVEN)
        lost = False

        def lose(call: Caller) -> Verdict:
            nonlocal lost
            if isinstance(call.message, Compare) and not lost:
                lost = True
                m["n1"].refill.lost(EVEN)
            return None

        c.rule = lose
        m["n1"].comparer.hurry()
        await m["n1"].comparer.step("n2")
        await m["n1"].comparer.step("n3")
        assert m["n1"].refill.lacking(EVEN)  # the exchange with n2 began before it
        await m["n1"].compare("n2")
        assert not m["n1"].refill.lacking(EVEN)

    run(main)


def test_who_is_refilled_does_not_speak_to_who_is_whole_but_to_who_is_refilled_too() -> None:
    async def main() -> None:
        c = Cluster(3)
        (key,) = keys_of(c, EVEN, 1)
        m = await equal(c, [key])
        remove(c, "n2", key)
        await m["n2"].scrub_all()
        await m["n1"].compare("n2")
        standing = m["n1"].standing(key, "n2")
        assert (standing.state, standing.why) == (PairState.UNKNOWN, "n2: it is being refilled")
        remove(c, "n1", key)
        await m["n1"].scrub_all()
        await cycle(m)
        await cycle(m)
        assert all(c.held_by(name, key) == [b"v"] for name in c.names)
        assert all(c.nodes[name].identity.complete for name in c.names)

    run(main)


def test_what_nobody_else_has_is_not_waited_for() -> None:
    async def main() -> None:
        c = Cluster(1, defaults=BucketSettings(1, 1, 1))
        m = await menders(c)
        m["n1"].refill.lost(EVEN)
        assert not c.nodes["n1"].identity.complete
        await m["n1"].refill.step()
        assert c.nodes["n1"].identity.complete

    run(main)


# --- damaged records --------------------------------------------------------------------------------------------------


def test_a_damaged_record_is_replaced_once_every_other_primary_has_answered() -> None:
    async def main() -> None:
        c = Cluster(3)
        key, other = keys_of(c, EVEN, 2)
        m = await equal(c, [key, other])
        newer = plant(c, "n3", key, b"newer")
        alter(c, "n1", key)
        await m["n1"].scrub_all()
        assert m["n1"].scrub.damaged == 1
        c.away.add("n3")
        await m["n1"].damaged.step()
        with pytest.raises(DamagedRecord):
            c.held_by("n1", key)
        assert isinstance(c.nodes["n1"].trees.tree(EVEN, 3), str)
        assert c.held_by("n1", other) == [b"v"]
        c.away.clear()
        await m["n1"].damaged.step()
        copy = c.nodes["n1"].replica.read(EVEN, BUCKET, key)
        assert copy is not None
        assert (copy.record, copy.actor) == (newer, 0)
        assert (m["n1"].damaged.replaced, m["n1"].damaged.lost) == (1, 0)
        m["n1"].check_trees()

    run(main)


def test_a_damaged_record_that_no_replica_has_is_said_to_be_lost() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        key, other = keys_of(c, EVEN, 2)
        plant(c, "n1", key, b"v")
        plant(c, "n1", other, b"v")
        alter(c, "n1", key)
        await m["n1"].scrub_all()
        await m["n1"].damaged.step()
        assert (m["n1"].damaged.replaced, m["n1"].damaged.lost) == (0, 1)
        assert m["n1"].journal.log[-1].result == "a damaged record is lost: no replica holds it"
        assert c.held_by("n1", key) is None
        m["n1"].check_trees()
        await cycle(m)
        assert c.nodes["n1"].identity.complete

    run(main)


def test_damage_at_two_nodes_heals_though_neither_is_whole() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 3)
        m = await equal(c, keys)
        for name, harmed in (("n1", keys[:2]), ("n2", keys[1:])):
            for key in harmed:
                alter(c, name, key)
            await m[name].scrub_all()
        for name in "n1", "n2":
            await m[name].damaged.step()
        await cycle(m)
        await cycle(m)
        for name in c.names:
            assert [c.held_by(name, key) for key in keys] == [[b"v"]] * 3
            assert c.nodes[name].identity.complete
            m[name].check_trees()

    run(main)


def test_a_peer_that_sends_nonsense_for_a_damaged_record_is_not_believed() -> None:
    async def main() -> None:
        c = Cluster(3)
        (key,) = keys_of(c, EVEN, 1)
        m = await menders(c)
        record = plant(c, "n1", key, b"v")
        alter(c, "n1", key)
        await m["n1"].scrub_all()
        for answer in Found(b"d" * 16, b"nonsense", True), Found(b"d" * 16, record, True):
            c.rule = lambda call: answer if call.target == "n2" else None  # noqa: B023  # it is used in this turn only
            await m["n1"].damaged.step()
            assert (m["n1"].damaged.replaced, m["n1"].damaged.lost) == (0, 0)
        c.rule = lambda call: None
        c.nodes["n2"].replica.apply(BUCKET, key, record)
        await m["n1"].damaged.step()
        assert c.held_by("n1", key) == [b"v"]

    run(main)


def test_reading_a_damaged_record_again_and_again_does_not_keep_it_from_being_found() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 200)
        m = await equal(c, keys)
        alter(c, "n1", keys[50])

        def read() -> None:
            with pytest.raises(DamagedRecord):
                c.held_by("n1", keys[50])

        read()
        steps = 0

        def read_each_time() -> None:
            nonlocal steps
            steps += 1
            assert steps < 1000, "it never ends"
            read()

        await m["n1"].scrub_all(read_each_time)
        assert len(c.nodes["n1"].trees.unreadable(EVEN)) == 1
        await m["n1"].damaged.step()
        m["n1"].check_trees()

    run(main)


def test_damage_that_comes_behind_a_walk_has_the_walk_begin_anew() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 200)
        m = await equal(c, keys)
        trees = c.nodes["n1"].trees
        trees.doubt(EVEN, "to be walked")
        await m["n1"].scrub.step()
        await m["n1"].scrub.step()
        first = min(keys)  # counted already: stored keys of one bucket lie in the order of keys
        alter(c, "n1", first)
        with pytest.raises(DamagedRecord):
            c.held_by("n1", first)
        assert not trees.counting(EVEN)
        await m["n1"].build()
        assert len(trees.unreadable(EVEN)) == 1

    run(main)


@pytest.mark.parametrize("record", ["replaced", "lost"])
def test_a_damaged_record_replaced_while_it_is_scrubbed_again_is_in_the_tree_once(record: str) -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = sorted(keys_of(c, EVEN, 200))
        m = await equal(c, keys if record == "replaced" else keys[1:])
        if record == "lost":
            plant(c, "n1", keys[0], b"v")
        alter(c, "n1", keys[0])
        await m["n1"].scrub_all()
        m["n1"].scrub.start_cycle()
        while m["n1"].scrub._walk is None or m["n1"].scrub._walk.partition != EVEN:
            await m["n1"].scrub.step()
        await m["n1"].damaged.step()
        while m["n1"].scrub.fraction() < 1:
            await m["n1"].scrub.step()
        assert not c.nodes["n1"].trees.unreadable(EVEN)
        await m["n1"].damaged.step()
        m["n1"].check_trees()
        assert m["n1"].scrub.corrected == 1

    run(main)


# --- strays -----------------------------------------------------------------------------------------------------------


def test_a_copy_at_a_fallback_of_which_the_hint_is_lost_comes_home() -> None:
    async def main() -> None:
        c = Cluster(5)
        plan = c.plan(b"k")
        away, stand_in = plan.primaries[2], plan.fallbacks[0]
        c.away.add(away)
        await c.put(plan.primaries[0], b"k", b"v", levels=c.levels(w=3))
        node = c.nodes[stand_in]
        assert (c.held_by(stand_in, b"k"), node.owes()) == ([b"v"], {away: 1})
        m = await menders(c)
        await m[stand_in].scrub_all()
        assert m[stand_in].strays.found == 0  # it has its hint
        node.store.write([(hint_key(away, plan.partition, BUCKET, b"k"), None)])
        node.hints.count_anew()
        await m[stand_in].scrub_all()
        assert m[stand_in].strays.found == 1
        assert node.owes() == dict.fromkeys(plan.primaries, 1)
        c.away.clear()
        await c.pay()
        assert c.holders(b"k") == set(plan.primaries)
        await m[stand_in].scrub_all()
        assert m[stand_in].strays.found == 1

    run(main)


# --- buckets of another n ---------------------------------------------------------------------------------------------


def test_damage_in_a_bucket_of_one_replica_does_not_hide_the_others() -> None:
    async def main() -> None:
        c = Cluster(3)
        m = await menders(c)
        c.nodes["n1"].membership.set_bucket("one", BucketSettings(1, 1, 1))
        c.gossip()
        partition, home, key = next(
            (plan.partition, plan.primaries[0], key)
            for number in range(1000)
            if (plan := c.nodes["n1"].membership.plan("one", key := b"k%d" % number, 1)).partition == EVEN
        )
        plant(c, home, key, b"v", "one")
        alter(c, home, key, "one")
        await m[home].scrub_all()
        await m[home].damaged.step()  # there is nobody to ask
        trees = c.nodes[home].trees
        assert trees.tree(partition, 1) == "1 damaged records are being replaced"
        assert not isinstance(trees.tree(partition, 3), str)
        await cycle(m)
        await cycle(m)
        assert all(mender.states() <= {PairState.IN_STEP} for mender in m.values())
        assert c.nodes[home].identity.complete

    run(main)


def test_records_that_came_before_the_settings_of_their_bucket_are_counted_by_them() -> None:
    async def main() -> None:
        c = Cluster(5)
        m = await menders(c)
        c.nodes["n1"].membership.set_bucket("two", BucketSettings(2, 2, 2))
        key = b"k"
        plan = c.nodes["n1"].membership.plan("two", key, 2)
        one, other = plan.primaries
        if one == "n1":
            one, other = other, one
        # `one` has not heard of the bucket's n when a write of it comes.
        record = plant(c, other, key, b"v", "two")
        c.nodes[one].replica.apply("two", key, record)
        c.gossip()
        await m[one].build()
        plant(c, one, key, b"newer", "two")
        await m[one].build()
        m[one].check_trees()
        await m[one].scrub_all()
        assert m[one].scrub.corrected == 0

    run(main)
