"""Writes across nodes: exactly three outcomes, and each primary has the write or is owed it by somebody who has."""

import itertools
from typing import Any

import pytest

from dynkv.core import record as records
from dynkv.core.errors import QuorumUnmet, TooManySiblings, WriteIdReused
from dynkv.peer.messages import Apply, Failed
from dynkv.peer.transport import Failure
from dynkv.replica import ReplicaLimits
from tests.unit.cluster_in_memory import HOLD, LOSE_ANSWER, Caller, Cluster, Verdict, run, values

KEY = b"k"

FAULTS: dict[str, Verdict] = {
    "none": None,
    "unreachable": Failure("unreachable", False),
    "connection lost": Failure("connection lost", True),
    "silent": HOLD,
    "answer lost": LOSE_ANSWER,
    "refused": Failed("store failed", "read only", False),
    "overloaded": Failure("overloaded", False),
}


def coordinator(c: Cluster) -> str:
    """A node that stores KEY, to coordinate."""
    return c.plan(KEY).primaries[0]


def unsafe(c: Cluster) -> set[str]:
    """Primaries that neither have the record nor are owed it."""
    return {name for name in c.plan(KEY).primaries if c.held_by(name, KEY) is None and not c.debtors(KEY, name)}


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("b_has", "c_has"), list(itertools.combinations_with_replacement(FAULTS, 2)))
def test_each_primary_acknowledged_or_is_owed(size: int, b_has: str, c_has: str) -> None:
    async def main() -> None:
        c = Cluster(size)
        a, second, third = c.plan(KEY).primaries
        bad = {second: FAULTS[b_has], third: FAULTS[c_has]}

        def rule(call: Caller) -> Verdict:
            return bad.get(call.target) if isinstance(call.message, Apply) else None

        c.rule = rule
        outcome: str | None = "applied"
        try:
            await c.put(a, KEY, b"v", levels=c.levels(timeout_ms=120))
        except QuorumUnmet as error:
            outcome = error.outcome
        can_meet = size == 5 or "none" in (b_has, c_has)
        assert outcome == ("applied" if can_meet else "ambiguous")
        await c.until(lambda: not unsafe(c))
        c.rule = lambda call: None
        c.release()
        await c.pay()
        await c.until(lambda: c.holders(KEY) == set(c.plan(KEY).primaries), "exactly the primaries hold it")

    run(main)


def test_a_write_that_cannot_meet_its_quorum_leaves_nothing_anywhere() -> None:
    async def main() -> None:
        for away, levels in ((2, {"w": 2}), (1, {"w": 3}), (1, {"w": 2, "pw": 3}), (2, {"sloppy": False})):
            c = Cluster(3)
            c.away.update(c.plan(KEY).primaries[3 - away :])
            with pytest.raises(QuorumUnmet) as unmet:
                await c.put(coordinator(c), KEY, b"v", levels=c.levels(**levels))
            assert unmet.value.outcome == "not_applied"
            assert unmet.value.got == {"w": 0, "pw": 0}
            assert {unmet.value.replicas[name] for name in c.away} == {"unreachable"}
            c.away.clear()
            assert c.holders(KEY) == set()
            assert all(not node.owes() for node in c.nodes.values())
            assert not c.calls

    run(main)


def test_stand_ins_keep_hints_and_count_unless_strict() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, third = c.plan(KEY).primaries
        c.away.update((b, third))
        with pytest.raises(QuorumUnmet, match="cannot be met"):
            await c.put(a, KEY, b"v", levels=c.levels(sloppy=False))
        with pytest.raises(QuorumUnmet, match="cannot be met"):
            await c.put(a, KEY, b"v", levels=c.levels(pw=2))
        await c.put(a, KEY, b"v", levels=c.levels(w=3))
        assert c.holders(KEY) == {a, *c.plan(KEY).fallbacks}
        assert c.debtors(KEY, b) | c.debtors(KEY, third) == set(c.plan(KEY).fallbacks)

    run(main)


def test_the_coordinators_own_hint_is_in_the_records_batch_and_no_vote() -> None:
    async def main() -> None:
        c = Cluster(3)
        a, _, third = c.plan(KEY).primaries
        c.away.add(third)
        written: list[int] = []
        store: Any = c.nodes[a].store
        write = store.write

        def counted(changes: list[tuple[bytes, bytes | None]]) -> None:
            written.append(len(changes))
            write(changes)

        store.write = counted
        result = await c.put(a, KEY, b"v")
        assert written == [2]
        assert "ok" not in result.replicas.get(third, "")
        assert c.debtors(KEY, third) == {a}
        with pytest.raises(QuorumUnmet) as unmet:
            await c.put(a, KEY, b"v2", levels=c.levels(w=3))
        assert unmet.value.outcome == "not_applied"

    run(main)


@pytest.mark.parametrize("size", [3, 5])
def test_a_failed_own_sync_is_no_acknowledgement_and_others_owe_this_node(size: int) -> None:
    async def main() -> None:
        c = Cluster(size)
        a = coordinator(c)
        c.disks[a].sync_error = OSError("EIO")
        result = await c.put(a, KEY, b"v")
        assert result.replicas.get(a) != "ok"
        await c.until(lambda: c.debtors(KEY, a) - {a}, "somebody else owes it to the coordinator")
        c.disks[a].sync_error = None
        await c.until(lambda: c.nodes[a].store.status().healthy)
        assert c.held_by(a, KEY) is None  # the disk lost it
        await c.pay()
        assert c.held_by(a, KEY) == [b"v"]
        c.disks[a].sync_error = OSError("EIO")
        with pytest.raises(QuorumUnmet):
            await c.put(a, KEY, b"v", levels=c.levels(w=3, sloppy=False, timeout_ms=200))

    run(main)


def test_a_lagging_primary_is_stood_in_for_before_its_time_out() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, third = c.plan(KEY).primaries
        c.rule = lambda call: HOLD if call.target in (b, third) else None
        clock = c.nodes[a].clock
        began = clock.now()
        await c.put(a, KEY, b"v", levels=c.levels(timeout_ms=2000))
        assert clock.now() - began < 1
        assert c.nodes[a].counters.hedged_writes == 2

    run(main)


def test_w_of_all_waits_for_all() -> None:
    async def main() -> None:
        c = Cluster(3)
        result = await c.put(coordinator(c), KEY, b"v", levels=c.levels(w=3))
        assert set(result.replicas.values()) == {"ok"}
        assert c.holders(KEY) == set(c.names)

    run(main)


def test_a_retry_with_one_write_id_is_one_value() -> None:
    async def main() -> None:
        c = Cluster(3)
        first = await c.put("n1", KEY, b"v", write_id=b"id")
        again = await c.put("n1", KEY, b"v", write_id=b"id")
        assert (again.actor, again.counter) == (first.actor, first.counter)
        assert c.nodes["n1"].counters.retries_known == 0
        await c.until(lambda: c.held_by("n2", KEY))
        elsewhere = await c.put("n2", KEY, b"v", write_id=b"id")
        assert (elsewhere.actor, elsewhere.counter) == (first.actor, first.counter)
        with pytest.raises(WriteIdReused):
            await c.put("n2", KEY, b"other", write_id=b"id")
        await c.put("n1", KEY, b"new", context=first.context)
        late = await c.put("n1", KEY, b"v", write_id=b"id")
        assert (late.actor, late.counter) == (0, 0)
        assert values((await c.get("n1", KEY)).record) == [b"new"]
        assert c.nodes["n1"].counters.retries_known == 1

    run(main)


def test_one_write_through_two_nodes_that_do_not_see_each_other_is_shown_once() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.rule = lambda call: HOLD
        for name in ("n1", "n2"):
            with pytest.raises(QuorumUnmet) as unmet:
                await c.put(name, KEY, b"v", write_id=b"id", levels=c.levels(timeout_ms=60))
            assert unmet.value.outcome == "ambiguous"
        c.rule = lambda call: None
        await c.pay()
        found = (await c.get("n3", KEY, c.levels(r=3))).record
        assert found is not None
        assert len(found.siblings) == 2
        assert [sibling.value for sibling in records.shown(found)] == [b"v"]
        after = await c.put("n3", KEY, b"new", context=found.vector)
        assert after.siblings == 1

    run(main)


def test_an_lww_write_covers_what_it_meets() -> None:
    async def main() -> None:
        c = Cluster(3)
        await c.put("n1", KEY, b"one")
        await c.put("n2", KEY, b"two", levels=c.levels(w=3))
        assert len(values((await c.get("n1", KEY)).record)) == 2
        await c.put("n1", KEY, b"three", conflict="lww")
        assert values((await c.get("n1", KEY)).record) == [b"three"]

    run(main)


def test_the_ceiling_of_siblings_refuses_and_a_context_helps() -> None:
    async def main() -> None:
        c = Cluster(3, limits=ReplicaLimits(siblings_warn=1, siblings_max=2))
        await c.put("n1", KEY, b"one", levels=c.levels(w=3))
        await c.put("n1", KEY, b"two", levels=c.levels(w=3))
        with pytest.raises(TooManySiblings):
            await c.put("n1", KEY, b"three")
        found = (await c.get("n1", KEY)).record
        assert found is not None
        assert values(found) == [b"one", b"two"]
        await c.put("n1", KEY, b"three", context=found.vector)
        assert values((await c.get("n1", KEY)).record) == [b"three"]

    run(main)
