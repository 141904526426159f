"""What is owed: noted, counted, paid once, and never forgotten, whatever the disk or a restart does in between."""

import pytest

from dynkv.core.errors import QuorumUnmet, StoreBusy, Unconfirmed
from dynkv.core.write import Write
from dynkv.peer.messages import Apply
from dynkv.peer.transport import Failure
from dynkv.runtime import Tasks
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, Node, run, values

KEY = b"k"


def owe(c: Cluster, name: str, target: str, key: bytes = KEY, value: bytes = b"v") -> None:
    """A record that `name` holds and owes."""
    c.nodes[name].replica.coordinate(Write(BUCKET, key, (), value, "", value), "siblings", (target,))


def counts(node: Node, target: str) -> tuple[int, int, int]:
    backlog = node.hints.backlogs[target]
    return backlog.count, backlog.bytes, backlog.oldest_ms


def test_counts_bytes_and_age_are_right_after_a_restart() -> None:
    async def main() -> None:
        c = Cluster(3)
        for number in range(300):  # more than one step of counting
            owe(c, "n1", "n2", b"k%d" % number)
        owe(c, "n1", "n2", b"k1", b"more")  # renewed, not doubled
        before = counts(c.nodes["n1"], "n2")
        assert before[0] == 300
        node = c.restart("n1")
        await node.hints.count()
        assert counts(node, "n2") == before
        assert node.hints.total() == 300

    run(main)


def test_hints_survive_a_restart_of_either_side() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.away.add("n2")
        await c.put("n1", KEY, b"v")
        await c.until(lambda: not c.disks["n1"].tail)
        c.restart("n2", clean=False)
        node = c.restart("n1")
        await node.hints.count()
        assert node.owes() == {"n2": 1}
        c.away.clear()
        await c.pay()
        assert c.held_by("n2", KEY) == [b"v"]
        assert c.held_by("n1", KEY) == [b"v"]  # a primary keeps its copy

    run(main)


def test_a_marker_renewed_while_its_record_is_on_the_way_stays() -> None:
    async def main() -> None:
        c = Cluster(3)
        owe(c, "n1", "n2")
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        tasks = Tasks()
        step = tasks.start("step", c.nodes["n1"].handoffs["n2"].step())
        await c.until(lambda: c.held)
        owe(c, "n1", "n2", KEY, b"newer")
        c.rule = lambda call: None
        c.release()
        await step
        assert c.nodes["n1"].owes() == {"n2": 1}
        assert c.held_by("n2", KEY) == [b"v"]
        await c.pay()
        assert c.held_by("n2", KEY) == [b"newer", b"v"]
        assert not c.nodes["n1"].owes()

    run(main)


def test_a_copy_kept_for_others_goes_with_the_last_marker() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, _ = c.plan(KEY).primaries
        d = c.plan(KEY).fallbacks[0]
        owe(c, d, a)
        owe(c, d, b, KEY, b"w")
        c.away.add(b)
        await c.pay()
        assert c.held_by(d, KEY) == [b"v", b"w"]  # b is still owed it
        c.away.clear()
        await c.pay()
        assert c.held_by(d, KEY) is None
        assert c.held_by(a, KEY) == c.held_by(b, KEY) == [b"v", b"w"]

    run(main)


WRITE = Write(BUCKET, KEY, (), b"y", "", b"y")


def test_an_actor_goes_with_its_copy() -> None:
    async def main() -> None:
        c = Cluster(5)
        a = c.plan(KEY).primaries[0]
        d = c.plan(KEY).fallbacks[0]
        replica = c.nodes[d].replica
        first = replica.coordinate(WRITE, "siblings", (a,))
        same = replica.coordinate(Write(BUCKET, KEY, (), b"z", "", b"z"), "siblings", (a,))
        assert (same.actor, same.counter) == (first.actor, 2)
        await c.pay()
        assert c.held_by(d, KEY) is None
        fresh = replica.coordinate(Write(BUCKET, KEY, (), b"u", "", b"u"), "siblings", (a,))
        assert fresh.actor != first.actor
        c.restart(d, clean=False)
        other = c.nodes[d].replica.coordinate(Write(BUCKET, KEY, (), b"t", "", b"t"), "siblings", (a,))
        assert other.actor != fresh.actor

    run(main)


def test_a_node_that_may_be_an_old_copy_counts_nothing() -> None:
    async def main() -> None:
        c = Cluster(3)
        await c.put("n1", KEY, b"before", levels=c.levels(w=3))
        identity = c.nodes["n1"].identity
        identity.confirmed = False  # nobody has said yet that this directory is the newest
        with pytest.raises(Unconfirmed):
            c.nodes["n1"].replica.coordinate(WRITE, "siblings", ())
        written = await c.put("n1", KEY, b"through another")
        assert "n1" not in [name for name, said in written.replicas.items() if said == "acknowledged"]
        assert c.held_by("n1", KEY) == [b"before"]
        assert values((await c.get("n1", KEY, c.levels(r=1))).record) == [b"before"], "as much as was asked for"
        with pytest.raises(QuorumUnmet):
            await c.get("n1", KEY, c.levels(r=3, timeout_ms=200))
        c.rule = lambda call: Failure("connection lost", reached=False)
        with pytest.raises(QuorumUnmet, match="nothing was written") as caught:
            await c.put("n1", KEY, b"alone", levels=c.levels(w=1))
        assert "has not heard yet" in caught.value.replicas["n1"]

    run(main)


def test_a_disk_that_refuses_changes_no_count() -> None:
    async def main() -> None:
        c = Cluster(3)
        owe(c, "n1", "n2")
        before = counts(c.nodes["n1"], "n2")
        c.disks["n1"].stalled = True
        for key in (KEY, b"another"):
            refused = False
            try:
                owe(c, "n1", "n2", key, b"x")
            except StoreBusy:
                refused = True
            assert refused
        await c.nodes["n1"].handoffs["n2"].step()  # paid, and cannot be struck out
        assert counts(c.nodes["n1"], "n2") == before
        c.disks["n1"].stalled = False
        await c.pay()  # with a count of nought nobody would look again
        assert not c.debtors(KEY, "n2")

    run(main)


def test_hints_are_counted_anew_when_the_disk_lost_some() -> None:
    async def main() -> None:
        c = Cluster(3)
        node = c.nodes["n1"]
        owe(c, "n1", "n2", b"kept")
        node.store.when_durable(lambda error: None)
        await c.until(lambda: not c.disks["n1"].tail)
        c.disks["n1"].sync_error = OSError("EIO")
        owe(c, "n1", "n2", b"lost")
        c.nodes["n1"].replica.drop(BUCKET, b"kept")
        node.store.when_durable(lambda error: None)
        assert node.owes() == {"n2": 2}
        await c.until(lambda: not node.store.status().healthy)
        c.disks["n1"].sync_error = None
        await c.until(lambda: node.store.status().healthy)
        assert node.owes() == {"n2": 1}
        assert c.held_by("n1", b"kept") == [b"v"]

    run(main)


def test_one_copy_that_cannot_be_read_holds_up_no_other() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = [b"k%d" % number for number in range(20)]
        for key in keys:
            owe(c, "n1", "n2", key)
        replica = c.nodes["n1"].replica
        bad = keys[7]
        c.disks["n1"].unreadable.add(record_key(replica.partition(BUCKET, bad), BUCKET, bad))
        replica.forget_memory()
        await c.nodes["n1"].handoffs["n2"].step()
        assert c.nodes["n1"].owes() == {"n2": 1}
        assert [key for key in keys if c.held_by("n2", key) is None] == [bad]

    run(main)


def test_a_target_that_refuses_is_tried_again() -> None:
    async def main() -> None:
        c = Cluster(3)
        owe(c, "n1", "n2")
        c.rule = lambda call: Failure("connection lost", True)
        assert await c.nodes["n1"].handoffs["n2"].step()
        assert c.nodes["n1"].owes() == {"n2": 1}
        c.rule = lambda call: None
        await c.pay()
        assert c.held_by("n2", KEY) == [b"v"]

    run(main)
