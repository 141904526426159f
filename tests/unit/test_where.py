"""Looking where a key is, in a cluster: all members are asked, nothing is healed, and a tombstone says why it stays."""

from dynkv.coordinator.where import Where
from dynkv.core.errors import NotFormed
from dynkv.core.whereabouts import Whereabouts
from dynkv.core.write import Write
from dynkv.peer.messages import Apply, Failed, Read
from dynkv.peer.reaping_messages import Holding
from dynkv.peer.transport import Failure
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, Verdict, run
from tests.unit.reaping_cluster import ReapingCluster

KEY = b"k"


def plant(c: Cluster, name: str, value: bytes, *hints: str) -> None:
    c.nodes[name].replica.coordinate(Write(BUCKET, KEY, (), value, "", value), "siblings", hints)


async def look(c: ReapingCluster, at: str, timeout_s: float = 1.0) -> Whereabouts:
    node = c.nodes[at]
    grace_s, why = c.pace.grace_s, c.reapers[at].why
    where = Where(at, node.replica, node.membership, node.wire, node.clock, grace_s, why)
    return await where.look(BUCKET, KEY, timeout_s)


def states(found: Whereabouts) -> dict[str, str]:
    return {holder.node: holder.state for holder in found.holders}


def test_everybody_is_asked_and_nothing_is_healed() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        plan = c.plan(KEY)
        first, second, third = plan.primaries
        plant(c, first, b"a")
        plant(c, second, b"b")
        plant(c, plan.fallbacks[0], b"c", third)
        for at in c.names:
            found = await look(c, at)
            assert states(found) == {
                first: "apart",
                second: "apart",
                third: "absent",
                plan.fallbacks[0]: "apart",
                plan.fallbacks[1]: "absent",
            }
            assert found.record is not None
            assert [sibling.value for sibling in found.record.siblings if sibling.value] != []
            assert len(found.record.siblings) == 3
            assert found.tombstone is None
        assert not any(isinstance(call.message, Apply) for call in c.calls)
        assert c.held_by(first, KEY) == [b"a"]
        assert c.held_by(third, KEY) is None

    run(main)


def test_who_cannot_say_is_said() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        plan = c.plan(KEY)
        first, second, third = plan.primaries
        near, far = plan.fallbacks
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        c.away.add(far)
        c.nodes[third].identity.complete = False
        verdicts: dict[str, Verdict] = {
            near: Failure("timed out", True),
            second: Failed("damaged", "a bit changed", False),
        }
        c.rule = lambda call: verdicts.get(call.target)
        found = await look(c, first)
        assert [(holder.state, holder.why) for holder in found.holders] == [
            ("same", ""),
            ("unreadable", "a bit changed"),
            ("same", "it is being refilled"),
            ("unreachable", "timed out"),
            ("unreachable", "down or suspected"),
        ]
        c.disks[first].unreadable.add(record_key(plan.partition, BUCKET, KEY))
        c.nodes[first].replica.forget_memory()
        assert states(await look(c, first))[first] == "unreadable"

    run(main)


def test_who_does_not_answer_in_time_is_not_waited_for() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        c.rule = lambda call: HOLD if isinstance(call.message, Read) and call.target == second else None
        assert states(await look(c, first, 0.05)) == {first: "same", second: "unreachable", third: "same"}

    run(main)


def test_a_tombstone_says_why_whichever_node_is_asked() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        plan = c.plan(KEY)
        first, second, third = plan.primaries
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        assert (await look(c, first)).tombstone is None
        await c.delete(KEY)
        await c.make_equal(KEY)
        assert (await look(c, second)).tombstone == f"nothing is in its way: {first} is about to see to it"
        c.nodes[third].replica.owe(second, BUCKET, KEY)
        await c.reap(KEY, until=f"{third} holds a hint for {second}")
        for at in c.names:
            assert (await look(c, at)).tombstone == f"{third} holds a hint for {second}"
        c.rule = lambda call: Failure("timed out", True) if isinstance(call.message, Holding) else None
        for at in (second, third):
            assert "did not answer" in str((await look(c, at)).tombstone)
        c.rule = lambda call: None
        c.away.add(third)
        for at in (first, second):
            assert (await look(c, at)).tombstone == f"{third} is down"
        c.away.clear()
        await c.pay()
        await c.reap(KEY)
        found = await look(c, second)
        assert (found.record, found.tombstone) == (None, None)
        assert set(states(found).values()) == {"absent"}

    run(main)


def test_looking_at_a_stray_copy_does_not_claim_it() -> None:
    async def main() -> None:
        c = ReapingCluster(5)
        plan = c.plan(KEY)
        first, second, _ = plan.primaries
        stray = plan.fallbacks[0]
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        c.nodes[stray].replica.apply(BUCKET, KEY, c.record(first, KEY))
        await c.make_equal(KEY)
        for at in (second, stray):
            assert (await look(c, at)).tombstone == f"{stray}, which is no primary, holds a copy"
        assert not any(c.debtors(KEY, target) for target in c.names)

    run(main)


def test_the_grace_period_is_told_by_every_node() -> None:
    async def main() -> None:
        c = ReapingCluster(3, grace_s=3 * 3600)
        await c.put("n1", KEY, b"v")
        await c.delete(KEY)
        for at in c.names:
            assert (await look(c, at)).tombstone == "grace: 3 h left"

    run(main)


def test_a_cluster_that_is_not_formed_cannot_say() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        c.nodes["n1"].membership.placement = None
        refused = False
        try:
            await look(c, "n1")
        except NotFormed:
            refused = True
        assert refused

    run(main)
