"""Tombstones go when nothing needs them any more, stay and say why until then, and nothing comes back or is lost."""

from dynkv.core.errors import StoreBusy
from dynkv.core.record import Vector
from dynkv.core.write import Write
from dynkv.peer.messages import Apply
from dynkv.peer.reaping_messages import TOMBSTONES_MAX, Holding, Reap
from dynkv.peer.transport import Failure
from dynkv.repair.reap import WRITTEN
from dynkv.storage.keys import hint_key, record_key
from dynkv.storage.memory import MemoryDisk
from tests.support import eventually_async
from tests.unit.cluster_in_memory import BUCKET, HOLD, Caller, Verdict, run
from tests.unit.reaping_cluster import ReapingCluster

KEY = b"k"


def plant(c: ReapingCluster, name: str, value: bytes | None, *hints: str, context: Vector = ()) -> bytes:
    """A write that one node alone has; its record."""
    write = Write(BUCKET, KEY, context, value, "", value or b"deletion")
    return c.nodes[name].replica.coordinate(write, "siblings", hints).record


def asked(c: ReapingCluster, kind: type) -> int:
    return sum(isinstance(call.message, kind) for call in c.calls)


def roots(c: ReapingCluster, key: bytes) -> set[int]:
    """The roots of the key's trees at its primaries, which are exact from the start here."""
    return {
        tree.root
        for name in c.plan(key).primaries
        if not isinstance(tree := c.nodes[name].trees.tree(c.plan(key).partition, 3), str)
    }


def test_what_is_deleted_everywhere_goes_everywhere() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        for node in c.nodes.values():  # nothing is stored yet, so the trees are known at once
            for partition in range(node.trees.partitions):
                node.trees.begin_census(partition)
                node.trees.end_census(partition)
        empty = roots(c, KEY)
        await c.put("n1", KEY, b"v")
        await c.delete(KEY)
        assert roots(c, KEY) != empty
        await c.reap(KEY)
        assert roots(c, KEY) == empty
        reaper = c.reaper(KEY)
        assert (reaper.reaped, len(reaper.known), reaper.counts()) == (1, 0, {})
        assert (await c.get("n2", KEY, c.levels(r=3))).record is None
        assert asked(c, Holding) == 8  # twice, of the four others
        assert asked(c, Reap) == 2

    run(main)


def test_a_member_that_is_away_keeps_it_and_its_old_copy_brings_nothing_back() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, away, _ = c.plan(KEY).primaries
        await c.put(first, KEY, b"old", levels=c.levels(w=3))
        c.away.add(away)
        await c.delete(KEY)
        await c.reap(KEY, until=f"{away} is down")
        await c.reaper(KEY).step()  # it is over its grace period, and nobody is asked
        assert c.reaper(KEY).counts() == {"member away": 1}
        assert not asked(c, Holding)
        c.away.clear()
        await c.reap(KEY, until=f"{away} differs")
        assert c.reaper(KEY).counts() == {"differs": 1}
        await c.pay()
        await c.reap(KEY)
        assert (await c.get(away, KEY, c.levels(r=3))).record is None

    run(main)


def test_a_primary_that_differs_keeps_it() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, _, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"old", levels=c.levels(w=3))
        c.rule = lambda call: Failure("timed out", True) if _is_write_to(call, third) else None
        await c.delete(KEY)
        c.rule = lambda call: None
        node = c.nodes[first]
        partition = c.plan(KEY).partition
        await c.until(lambda: node.hints.get(third, partition, BUCKET, KEY))
        marker = node.hints.get(third, partition, BUCKET, KEY)
        assert marker is not None
        settled = node.hints.settle(third, partition, BUCKET, KEY, marker)  # as if the hint had never been written
        node.store.write((settled.change,))
        await c.reap(KEY, until=f"{third} differs")
        assert c.reaper(KEY).counts() == {"differs": 1}
        assert c.held_by(third, KEY) == [b"old"]
        await c.make_equal(KEY)
        await c.reap(KEY)

    run(main)


def _is_write_to(call: Caller, node: str) -> bool:
    return call.target == node and isinstance(call.message, Apply)


def test_a_fallback_with_an_old_hint_keeps_it() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        plan = c.plan(KEY)
        first, second, _ = plan.primaries
        fallback = plan.fallbacks[0]
        plant(c, fallback, b"old", second)
        await c.put(first, KEY, b"new", levels=c.levels(w=3))
        await c.delete(KEY, first)
        await c.reap(KEY, until=f"{fallback} holds a hint for {second}")
        assert c.holders(KEY) == {*plan.primaries, fallback}
        await c.pay()
        await c.make_equal(KEY)  # the old value was never read, so it stands beside the deletion
        assert c.held_by(first, KEY) == [None, b"old"]
        await c.reaper(KEY).step()
        await c.delete(KEY, first)
        await c.reap(KEY)

    run(main)


def test_a_copy_at_a_fallback_that_lost_its_hint_is_told_and_claimed() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        first, second, _ = c.plan(KEY).primaries
        fallback = c.plan(KEY).fallbacks[1]
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        c.nodes[fallback].replica.apply(BUCKET, KEY, c.record(second, KEY))
        await c.reap(KEY, until=f"{fallback}, which is no primary, holds a copy")
        assert c.debtors(KEY, first) == {fallback}
        await c.pay()
        assert c.held_by(fallback, KEY) is None
        await c.reap(KEY)

    run(main)


def test_a_write_in_the_middle_survives() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"old", levels=c.levels(w=3))
        await c.delete(KEY)

        def hold(call: Caller) -> Verdict:
            return HOLD if isinstance(call.message, Reap) and call.target == third else None

        c.rule = hold
        reaper = c.reaper(KEY)

        async def step() -> bool:
            await reaper.step()
            return reaper.known.obstacle((BUCKET, KEY)) == WRITTEN

        stepping = c.nodes[first].tasks.start("reap", eventually_async(step))
        await c.until(lambda: c.held)
        assert c.held_by(second, KEY) is None
        write = Write(BUCKET, KEY, await c.context(third, KEY), b"new", "", b"new")
        c.nodes[third].replica.coordinate(write, "siblings", ())
        c.nodes[first].replica.apply(BUCKET, KEY, c.record(third, KEY))
        c.rule = lambda call: None
        c.release()
        await stepping
        assert c.held_by(first, KEY) == c.held_by(third, KEY) == [b"new"]
        reaper.hurry()
        await reaper.step()
        assert len(reaper.known) == 0
        await c.make_equal(KEY)
        assert (await c.get(second, KEY, c.levels(r=3))).record is not None
        assert c.why(KEY) == ""

    run(main)


def test_one_primary_that_does_not_let_go_keeps_ours() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        late = Failure("timed out", True)
        c.rule = lambda call: late if isinstance(call.message, Reap) and call.target == third else None
        await c.reap(KEY, until=f"{third} did not answer: timed out")
        assert c.holders(KEY) == {first, third}
        c.rule = lambda call: None
        c.nodes[second].replica.apply(BUCKET, KEY, c.record(third, KEY))
        await c.reap(KEY)

    run(main)


def test_the_grace_period_is_waited_for() -> None:
    async def main() -> None:
        c = ReapingCluster(3, grace_s=3 * 3600)
        await c.put("n1", KEY, b"v")
        await c.delete(KEY)
        await c.reap(KEY, until="grace: 3 h left")
        await c.reaper(KEY).step()
        assert c.reaper(KEY).counts() == {"grace": 1}
        assert not asked(c, Holding)
        c.reaper(KEY).known.hurry()  # who is in grace is not hurried by anybody's return
        assert c.reaper(KEY).known.take(c.nodes["n1"].clock.now(), 1, ()) is None

    run(main)


def test_who_cannot_read_its_copy_or_is_being_refilled_confirms_nothing() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, _ = c.plan(KEY).primaries
        partition = c.plan(KEY).partition
        await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        identity = c.nodes[second].identity
        identity.complete = False
        await c.reap(KEY, until=f"{second} is being refilled")
        assert c.reaper(KEY).counts() == {"refilling": 1}
        identity.refilled.add(partition)  # of this partition it has all again
        identity.confirmed = False
        await c.reap(KEY, until=f"{second} is being refilled")
        identity.confirmed = True
        for name in (second, first):
            c.disks[name].unreadable.add(record_key(partition, BUCKET, KEY))
            c.nodes[name].replica.forget_memory()
            await c.reap(KEY, until=f"{name} cannot read its copy")
            await c.reaper(KEY).step()
            assert c.reaper(KEY).counts() == {"unreadable": 1}
        for name in (second, first):
            c.disks[name].unreadable.clear()
        await c.reap(KEY)

    run(main)


def test_a_key_that_is_written_again_is_no_tombstone_any_more() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        await c.put("n1", KEY, b"v")
        await c.delete(KEY)
        reaper = c.reaper(KEY)
        assert len(reaper.known) == 1
        await c.put("n1", KEY, b"again", context=await c.context("n1", KEY))
        await reaper.step()
        assert len(reaper.known) == 0
        assert c.why(KEY) == ""
        assert not asked(c, Holding)

    run(main)


def test_many_go_in_few_messages_and_batches() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        keys = [key for number in range(9_000) if c.plan(key := b"k%d" % number).partition == 3]
        keys = keys[: 2 * TOMBSTONES_MAX + 9]
        for key in keys:
            record = c.nodes["n1"].replica.coordinate(Write(BUCKET, key, (), None, "", b"w"), "siblings", ()).record
            for name in ("n2", "n3"):
                c.nodes[name].replica.apply(BUCKET, key, record)
        reaper = c.reaper(keys[0])
        writes = {name: node.store.status().writes for name, node in c.nodes.items()}

        async def gone() -> bool:
            await reaper.step()
            return reaper.reaped == len(keys)

        await eventually_async(gone)
        assert not any(c.holders(key) for key in keys)
        assert asked(c, Holding) == 2 * 2 * 3  # rounds, others, messages
        assert asked(c, Reap) == 2 * 3
        assert all(node.store.status().writes - writes[name] == 3 for name, node in c.nodes.items())

    run(main)


def test_only_the_first_primary_keeps_account() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        first = c.plan(KEY).primaries[0]
        assert {name for name, reaper in c.reapers.items() if len(reaper.known)} == {first}
        assert {name for name, reaper in c.reapers.items() if reaper.why(BUCKET, KEY)} == {first}

    run(main)


def _stall(call: Caller, disk: MemoryDisk) -> None:
    """From the first Reap on the disk takes no writes."""
    disk.stalled = disk.stalled or isinstance(call.message, Reap)


def test_a_disk_that_fails_in_the_middle_ends_the_trial_and_not_the_reaping() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, _ = c.plan(KEY).primaries
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        reaper, partition = c.reaper(KEY), c.plan(KEY).partition
        other = c.key(lambda plan: plan.partition == partition)
        c.nodes[first].replica.coordinate(Write(BUCKET, other, (), b"v", "", b"w"), "siblings", (second,))
        c.disks[first].unreadable.add(hint_key(second, partition, BUCKET, other))
        await c.reap(KEY, until=f"{first} failed: store failed")
        c.disks[first].unreadable.clear()
        c.rule = lambda call: _stall(call, c.disks[first])

        async def fails() -> bool:
            c.look_again(KEY)
            try:
                await reaper.step()
            except StoreBusy:
                return True
            return False

        await eventually_async(fails)
        assert c.held_by(first, KEY) == [None]
        assert len(reaper.known) == 1
        c.rule = lambda call: None
        c.disks[first].stalled = False
        await c.make_equal(KEY)
        await c.reap(KEY)

    run(main)
