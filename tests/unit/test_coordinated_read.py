"""Reads across nodes: who has a vote, what is merged, who is repaired, and what an unmet quorum says."""

import itertools
from collections.abc import Sequence

import pytest

from dynkv.coordinator.agreed import agreed
from dynkv.coordinator.read import ReadRequest
from dynkv.core.errors import QuorumUnmet
from dynkv.core.write import Write
from dynkv.peer.messages import Absent, Apply, Found, Read
from dynkv.peer.transport import Failure
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, HOLD, Caller, Cluster, Verdict, run, values

KEY = b"k"


def plant(c: Cluster, value: bytes, *names: str) -> bytes:
    """A value that these nodes alone hold; the record."""
    first, *rest = names
    written = c.nodes[first].replica.coordinate(Write(BUCKET, KEY, (), value, "", value), "siblings", ())
    for name in rest:
        c.nodes[name].replica.apply(BUCKET, KEY, written.record)
    return written.record


def damage(c: Cluster, name: str) -> None:
    """The disk block of this node's copy cannot be read any more."""
    c.disks[name].unreadable.add(record_key(c.plan(KEY).partition, BUCKET, KEY))
    c.nodes[name].replica.forget_memory()


def full_reads(c: Cluster, name: str) -> Sequence[Caller]:
    return [call for call in c.calls if call.target == name and isinstance(call.message, Read) and call.message.full]


def test_the_fast_way_says_what_the_general_way_says_or_nothing() -> None:
    async def main() -> None:
        for one, two, three in itertools.product((b"", b"x", b"y"), repeat=3):
            c = Cluster(3)
            for value in (b"x", b"y"):
                names = [name for name, held in zip(c.names, (one, two, three), strict=True) if held == value]
                if names:
                    plant(c, value, *names)
            first = next(name for name in c.plan(KEY).primaries if name != "n1")
            ours, theirs = c.held_by("n1", KEY), c.held_by(first, KEY)  # before anybody repairs them
            quick = (await agreed(c.nodes["n1"].around, BUCKET, KEY, c.levels())).result
            around = c.nodes["n1"].around
            general = await ReadRequest(around, BUCKET, KEY, c.levels(), None, around.clock.now()).run()
            assert quick is None or quick == general
            assert (quick is not None) == (ours is not None and ours == theirs)

    run(main)


def test_the_fast_way_leaves_all_else_to_the_general_one() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", *c.names)
        around = c.nodes["n1"].around
        assert (await agreed(around, BUCKET, KEY, c.levels())).result is not None
        assert (await agreed(around, BUCKET, KEY, c.levels(r=3))).result is None
        c.rule = lambda call: HOLD
        assert (await agreed(around, BUCKET, KEY, c.levels())).result is None
        c.rule = lambda call: Failure("connection lost", True)
        assert (await agreed(around, BUCKET, KEY, c.levels())).result is None
        c.rule = lambda call: None
        c.nodes["n2"].identity.complete = c.nodes["n3"].identity.complete = False
        assert (await agreed(around, BUCKET, KEY, c.levels())).result is None
        c.nodes["n2"].identity.complete = c.nodes["n3"].identity.complete = True
        c.nodes["n1"].identity.complete = False
        assert (await agreed(around, BUCKET, KEY, c.levels())).result is None

    run(main)


def test_different_values_are_merged_and_all_replicas_repaired() -> None:
    async def main() -> None:
        c = Cluster(3)
        for value, name in zip((b"x", b"y", b"z"), c.names, strict=True):
            plant(c, value, name)
        result = await c.get("n1", KEY, c.levels(r=3))
        assert values(result.record) == [b"x", b"y", b"z"]
        await c.until(lambda: all(c.held_by(name, KEY) == [b"x", b"y", b"z"] for name in c.names))

    run(main)


def test_a_late_answer_that_differs_is_repaired_too() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.hedge_s = 0.001
        plant(c, b"old", "n3")
        plant(c, b"v", "n1", "n2")
        c.rule = lambda call: HOLD if isinstance(call.message, Read) and call.target == "n3" else None
        request = ReadRequest(c.nodes["n1"].around, BUCKET, KEY, c.levels(r=2), None, c.nodes["n1"].around.clock.now())
        c.sluggish.add("n2")  # so n3 is asked first
        assert values((await request.run()).record) == [b"v"]
        c.rule = lambda call: None
        c.release()
        await c.until(lambda: all(c.held_by(name, KEY) == [b"old", b"v"] for name in ("n1", "n3")))

    run(main)


def test_a_fallbacks_not_found_never_counts() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, d_away = c.plan(KEY).primaries
        c.away.update((b, d_away))
        with pytest.raises(QuorumUnmet) as unmet:
            await c.get(a, KEY)
        assert unmet.value.outcome is None
        assert unmet.value.needed == {"r": 2, "pr": 0}
        assert unmet.value.got == {"r": 1, "pr": 1}
        said = unmet.value.replicas
        assert said[b] == said[d_away] == "unreachable"
        assert said[a] == "not found"
        assert all("does not count" in said[name] for name in c.plan(KEY).fallbacks)

    run(main)


def test_a_record_is_lent_to_a_fallback_with_a_hint() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, d_away = c.plan(KEY).primaries
        plant(c, b"v", a)
        c.away.update((b, d_away))
        assert values((await c.get(a, KEY)).record) == [b"v"]
        (borrower,) = c.holders(KEY) - {a}
        assert borrower in c.plan(KEY).fallbacks
        assert c.debtors(KEY, b) | c.debtors(KEY, d_away) == {borrower}
        assert c.nodes[a].counters.lent == 1
        with pytest.raises(QuorumUnmet):
            await c.get(a, KEY, c.levels(sloppy=False))

    run(main)


def test_a_fallback_that_cannot_borrow_has_no_vote_and_the_next_is_asked() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, d_away = c.plan(KEY).primaries
        d, e = c.plan(KEY).fallbacks
        plant(c, b"v", a)
        c.away.update((b, d_away))
        c.rule = lambda call: (
            Failure("connection lost", True) if isinstance(call.message, Apply) and call.target == d else None
        )
        assert values((await c.get(a, KEY)).record) == [b"v"]
        assert c.holders(KEY) == {a, e}

    run(main)


def test_a_silent_replica_is_hedged_and_costs_no_error() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", *c.names)
        second = c.plan(KEY).primaries[0] if c.plan(KEY).primaries[0] != "n1" else c.plan(KEY).primaries[1]
        c.rule = lambda call: HOLD if call.target == second else None
        assert values((await c.get("n1", KEY)).record) == [b"v"]
        assert c.nodes["n1"].counters.hedged_reads == 1

    run(main)


def test_nobody_answers_until_the_deadline() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", *c.names)
        c.rule = lambda call: HOLD
        with pytest.raises(QuorumUnmet) as unmet:
            await c.get("n1", KEY, c.levels(timeout_ms=100))
        assert unmet.value.got == {"r": 1, "pr": 1}
        assert {unmet.value.replicas["n2"], unmet.value.replicas["n3"]} <= {"no answer yet", "timed out"}

    run(main)


def test_a_read_error_is_no_not_found() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", "n2")
        damage(c, "n1")
        c.away.add("n2")
        with pytest.raises(QuorumUnmet) as unmet:  # n3 alone says "not found"
            await c.get("n1", KEY)
        assert unmet.value.got["r"] == 1
        assert unmet.value.replicas["n1"] == "read failed"
        with pytest.raises(QuorumUnmet) as unmet:  # and so does a peer's
            await c.get("n3", KEY)
        assert unmet.value.got["r"] == 1

    run(main)


def test_an_incomplete_replica_is_merged_and_never_counts() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", "n2")
        c.nodes["n1"].identity.complete = c.nodes["n2"].identity.complete = False
        with pytest.raises(QuorumUnmet) as unmet:
            await c.get("n1", KEY, c.levels(r=2))
        assert unmet.value.got == {"r": 1, "pr": 1}
        assert "refilled" in unmet.value.replicas["n2"]
        assert values((await c.get("n3", KEY, c.levels(r=1, pr=1))).record) == []
        c.nodes["n1"].identity.complete = True
        assert values((await c.get("n1", KEY, c.levels(r=2))).record) in ([], [b"v"])

    run(main)


def test_who_is_refilled_is_asked_last_until_it_may_be_whole_again() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", "n1", "n2", "n3")
        plan = c.plan(KEY)
        coordinator, first, second = "n1", *(name for name in plan.primaries if name != "n1")

        async def asked() -> list[str]:
            c.calls.clear()
            assert values((await c.get(coordinator, KEY)).record) == [b"v"]
            return [call.target for call in c.calls if isinstance(call.message, Read)]

        assert await asked() == [first]
        c.nodes[first].identity.complete = False
        assert await asked() == [first, second]
        assert await asked() == [second]
        c.away.add(second)
        with pytest.raises(QuorumUnmet):
            await asked()
        c.away.clear()
        now = c.nodes[coordinator].clock.now()
        assert c.nodes[coordinator].around.refilling.last([first, second], now + 10) == [first, second]

    run(main)


def test_pr_wants_primaries() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, d_away = c.plan(KEY).primaries
        plant(c, b"v", a, c.plan(KEY).fallbacks[0])
        c.away.update((b, d_away))
        assert values((await c.get(a, KEY, c.levels(r=2, pr=1))).record) == [b"v"]
        with pytest.raises(QuorumUnmet) as unmet:
            await c.get(a, KEY, c.levels(r=2, pr=2))
        assert unmet.value.needed == {"r": 2, "pr": 2}
        assert unmet.value.got["pr"] == 1

    run(main)


@pytest.mark.parametrize("then", [Failure("connection lost", True), Absent(True), Found(b"other", b"", True)])
def test_a_digest_whose_record_never_comes_is_asked_for_once(then: Failure | Absent | Found) -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, d = c.plan(KEY).primaries
        fallback = c.plan(KEY).fallbacks[0]
        plant(c, b"v", a, d)
        plant(c, b"gone", fallback)
        c.away.add(b)
        c.hedge_s = 0.1

        def rule(call: Caller) -> Verdict:
            if not isinstance(call.message, Read) or call.target == a:
                return None
            if call.target == d and not call.message.full:
                return Found(b"digest of what is gone", b"", True)
            return then if call.message.full else None

        c.rule = rule
        result = await c.get(a, KEY)
        assert b"v" in values(result.record)
        assert len(full_reads(c, d)) == 1  # more would be a loop until the deadline

    run(main)


def test_a_damaged_record_of_a_peer_is_a_failed_answer() -> None:
    async def main() -> None:
        c = Cluster(5)
        outside = c.plan(KEY).fallbacks[-1]
        plant(c, b"v", *c.plan(KEY).primaries)
        first = c.plan(KEY).primaries[0]
        c.rule = lambda call: Found(b"d", b"no record", True) if call.target == first else None
        assert values((await c.get(outside, KEY)).record) == [b"v"]

    run(main)


def test_who_lags_costs_one_hedge_delay_and_not_two() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, b"v", *c.names)
        asked = [name for name in c.plan(KEY).primaries if name != "n1"]
        c.rule = lambda call: HOLD if call.target == asked[0] else None
        result = await c.get("n1", KEY)
        assert values(result.record) == [b"v"]
        # Once, for the look; the request that goes on from it asks the other one, and is done.
        assert [call.target for call in c.calls] == asked
        assert c.nodes["n1"].counters.hedged_reads == 1

    run(main)
