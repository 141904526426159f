"""Writes of many keys together have the outcomes that each would have alone, whatever befalls some of them."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from dynkv.coordinator.results import WriteResult
from dynkv.coordinator.together import MESSAGE_BYTES, Ask, Together, parted
from dynkv.core.errors import NotFormed, QuorumUnmet, TooManySiblings, WriteIdReused
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.session import Demand
from dynkv.core.write import Write
from dynkv.peer.many_messages import APPLIED_MAX, AppliedMany, ApplyMany
from dynkv.peer.messages import Answer, Applied, Apply
from dynkv.replica import ReplicaLimits
from dynkv.runtime import SystemRandom
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, HOLD, Caller, Cluster, Verdict, run, values
from tests.unit.test_coordinated_write import FAULTS

COUNT = 8


def keys_like(c: Cluster, count: int = COUNT) -> list[bytes]:
    """Keys of the same primaries."""
    first = c.plan(b"k0").primaries
    keys = (b"k%d" % number for number in itertools.count())
    return list(itertools.islice((key for key in keys if set(c.plan(key).primaries) == set(first)), count))


def write_of(key: bytes, value: bytes | None = b"v", write_id: bytes = b"", **more: Any) -> Write:
    return Write(BUCKET, key, (), value, "text/plain", write_id or SystemRandom().token(8), **more)


async def put_many(
    c: Cluster, at: str, writes: Sequence[Write], levels: Levels | None = None
) -> list[WriteResult | Exception]:
    asked = [(write, levels or c.levels(), "siblings") for write in writes]
    return await c.nodes[at].coordinator.put_many(asked)  # type: ignore[arg-type]  # a literal in a list is a str


def applied(outcomes: Sequence[WriteResult | Exception]) -> list[WriteResult]:
    assert all(isinstance(outcome, WriteResult) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, WriteResult)]


def at_home(c: Cluster, keys: Sequence[bytes]) -> bool:
    """Whether each key is at its primaries and nowhere else."""
    return all(c.holders(key) == set(c.plan(key).primaries) for key in keys)


def sent(c: Cluster, *kinds: type) -> list[Caller]:
    return [call for call in c.calls if isinstance(call.message, kinds)]


def test_what_goes_together_is_one_message_and_one_sync_for_each_replica() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = [b"k%d" % number for number in range(100)]
        syncs = {name: node.store.status().syncs for name, node in c.nodes.items()}
        results = applied(await put_many(c, "n1", [write_of(key) for key in keys]))
        await c.until(lambda: all(c.holders(key) == {"n1", "n2", "n3"} for key in keys))
        assert sorted(call.target for call in sent(c, ApplyMany)) == ["n2", "n3"]
        assert not sent(c, Apply)
        for name, node in c.nodes.items():
            assert node.store.status().syncs - syncs[name] <= 2
        for key, result in zip(keys, results, strict=True):
            record = (await c.get("n2", key)).record
            assert record is not None
            assert record.vector == ((result.actor, result.counter),) == result.context
            assert result.replicas["n1"] == "ok" or list(result.replicas.values()).count("ok") >= 2
            assert result.siblings == 1
        assert c.nodes["n1"].counters.writes == 100

    run(main)


def test_one_key_many_times_is_as_many_writes() -> None:
    async def main() -> None:
        c = Cluster(3)
        values_ = [b"%d" % number for number in range(5)]
        results = applied(await put_many(c, "n1", [write_of(b"k", value) for value in values_]))
        assert [result.siblings for result in results] == [1, 2, 3, 4, 5]
        await c.until(lambda: all(c.held_by(name, b"k") == values_ for name in c.names))
        again = write_of(b"k", b"x", b"mine")
        first, retry, other = await put_many(c, "n1", [again, again, write_of(b"k", b"y", b"mine")])
        assert isinstance(first, WriteResult)
        assert isinstance(retry, WriteResult)
        assert (first.actor, first.counter) == (retry.actor, retry.counter)
        assert isinstance(other, WriteIdReused)

    run(main)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("b_has", "c_has"), list(itertools.combinations_with_replacement(FAULTS, 2)))
def test_each_primary_acknowledged_or_is_owed(size: int, b_has: str, c_has: str) -> None:
    async def main() -> None:
        c = Cluster(size)
        keys = keys_like(c)
        a, second, third = c.plan(keys[0]).primaries
        bad = {second: FAULTS[b_has], third: FAULTS[c_has]}

        def rule(call: Caller) -> Verdict:
            return bad.get(call.target) if isinstance(call.message, Apply | ApplyMany) else None

        def unsafe() -> list[tuple[bytes, str]]:
            primaries = c.plan(keys[0]).primaries
            return [
                (key, name)
                for key in keys
                for name in primaries
                if c.held_by(name, key) is None and not c.debtors(key, name)
            ]

        c.rule = rule
        outcomes = await put_many(c, a, [write_of(key) for key in keys], c.levels(timeout_ms=120))
        said = {outcome.outcome if isinstance(outcome, QuorumUnmet) else "applied" for outcome in outcomes}
        can_meet = size == 5 or "none" in (b_has, c_has)
        assert said == {"applied" if can_meet else "ambiguous"}
        assert len(outcomes) == COUNT
        await c.until(lambda: not unsafe())
        c.rule = lambda call: None
        c.release()
        await c.pay()
        await c.until(lambda: at_home(c, keys), "exactly the primaries hold them")

    run(main)


def test_one_that_a_replica_knows_more_of_leaves_and_is_repaired() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = [b"k%d" % number for number in range(4)]
        c.nodes["n2"].replica.coordinate(write_of(keys[1], b"theirs"), "siblings", ())
        results = applied(await put_many(c, "n1", [write_of(key, b"ours") for key in keys]))
        assert len(results) == 4
        await c.until(lambda: all(c.held_by(name, keys[1]) == [b"ours", b"theirs"] for name in ("n1", "n2")))
        assert all(c.held_by("n1", key) == [b"ours"] for key in keys if key != keys[1])

    run(main)


@pytest.mark.parametrize("w", [2, 3])
def test_one_that_a_replica_cannot_merge_is_that_replicas_failure_alone(w: int) -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_like(c, 3)
        partition = c.plan(keys[1]).partition
        store = c.nodes["n3"].store
        store.write(((record_key(partition, BUCKET, keys[1]), b"no record"),))
        outcomes = await put_many(c, "n1", [write_of(key) for key in keys], c.levels(w=w, timeout_ms=200))
        assert isinstance(outcomes[0], WriteResult)
        assert isinstance(outcomes[2], WriteResult)
        if w == 2:
            assert isinstance(outcomes[1], WriteResult)
        else:
            assert isinstance(outcomes[1], QuorumUnmet)
            assert outcomes[1].outcome == "ambiguous"
            assert "merged" in outcomes[1].replicas["n3"]
        await c.until(lambda: bool(c.debtors(keys[1], "n3")))
        assert not c.debtors(keys[0], "n3")

    run(main)


def test_answers_that_do_not_fit_are_failures() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_like(c, 3)
        every: tuple[Answer, ...] = (AppliedMany((b"x",)), AppliedMany(()), Applied(b"x"))
        for lie in every:

            def lies(call: Caller, lie: Answer = lie) -> Verdict:
                return lie if isinstance(call.message, ApplyMany) and call.target == "n2" else None

            c.rule = lies
            outcomes = await put_many(c, "n1", [write_of(key) for key in keys], c.levels(w=3, timeout_ms=150))
            assert all(isinstance(outcome, QuorumUnmet) for outcome in outcomes)
            assert all(c.debtors(key, "n2") for key in keys)

    run(main)


def test_a_replica_that_lags_is_stood_in_for_within_the_hedge_delay() -> None:
    async def main() -> None:
        c = Cluster(5)
        keys = keys_like(c)
        a, *others = c.plan(keys[0]).primaries
        c.rule = lambda call: HOLD if call.target in others and isinstance(call.message, ApplyMany) else None
        applied(await put_many(c, a, [write_of(key) for key in keys], c.levels(timeout_ms=5000)))
        assert {call.target for call in sent(c, Apply)} <= set(c.plan(keys[0]).fallbacks)
        assert c.nodes[a].counters.hedged_writes >= COUNT
        c.rule = lambda call: None
        c.release()
        await c.pay()
        assert at_home(c, keys)

    run(main)


@pytest.mark.parametrize(("size", "sloppy"), [(3, True), (5, False)])
def test_replicas_that_lag_where_nobody_can_stand_in_are_waited_for_together(
    size: int, sloppy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Together] = []
    too_late = Together._too_late

    def noted(together: Together) -> None:
        late.append(together)
        too_late(together)

    monkeypatch.setattr(Together, "_too_late", noted)

    async def main() -> None:
        c = Cluster(size)
        c.hedge_s = 0.0
        keys = keys_like(c)
        a, *others = c.plan(keys[0]).primaries
        c.rule = lambda call: HOLD if call.target in others else None
        levels = c.levels(timeout_ms=5000, sloppy=sloppy)
        waiting = asyncio.ensure_future(put_many(c, a, [write_of(key) for key in keys], levels))
        await c.until(lambda: late)
        assert not waiting.done()
        assert all(one.alone is None for one in late[0]._begun)
        c.rule = lambda call: None
        c.release()
        applied(await waiting)
        assert not sent(c, Apply)
        c.rule = lambda call: HOLD if call.target in others else None
        outcomes = await put_many(c, a, [write_of(key) for key in keys], c.levels(timeout_ms=200, sloppy=sloppy))
        assert [getattr(outcome, "outcome", "") for outcome in outcomes] == ["ambiguous"] * COUNT
        c.release()

    run(main)


def test_a_disk_that_refuses_leaves_it_to_other_replicas() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_like(c)
        c.disks["n1"].stalled = True
        applied(await put_many(c, "n1", [write_of(key) for key in keys]))
        assert not sent(c, ApplyMany)
        c.disks["n1"].stalled = False
        assert all({"n2", "n3"} <= c.holders(key) for key in keys)

    run(main)


def test_a_sync_that_fails_is_no_acknowledgement() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_like(c)
        c.disks["n1"].sync_error = OSError(5, "EIO")
        results = applied(await put_many(c, "n1", [write_of(key) for key in keys]))
        assert all(result.replicas["n2"] == result.replicas["n3"] == "ok" for result in results)
        c.disks["n1"].sync_error = None
        await c.until(lambda: all(c.debtors(key, "n1") - {"n1"} for key in keys), "somebody else owes them to it")

    run(main)


def test_what_cannot_begin_is_that_ones_error() -> None:
    async def main() -> None:
        c = Cluster(3, limits=ReplicaLimits(siblings_warn=1, siblings_max=2))
        for number in range(2):
            await c.put("n1", b"full", b"%d" % number)
        outcomes = await put_many(c, "n1", [write_of(b"a"), write_of(b"full"), write_of(b"z")])
        assert isinstance(outcomes[1], TooManySiblings)
        assert [type(outcome) for outcome in (outcomes[0], outcomes[2])] == [WriteResult] * 2
        (only,) = await put_many(c, "n1", [write_of(b"full")])
        assert isinstance(only, TooManySiblings)
        assert await put_many(c, "n1", []) == []

    run(main)


def test_keys_of_other_nodes_and_levels_go_their_own_ways() -> None:
    async def main() -> None:
        c = Cluster(5)
        c.hedge_s = 5.0  # however slow this machine is, nobody stands in
        keys = [b"k%d" % number for number in range(60)]
        applied(await put_many(c, "n1", [write_of(key) for key in keys]))
        for key in keys:
            assert values((await c.get("n4", key)).record) == [b"v"]
        await c.until(lambda: at_home(c, keys))
        ours = [key for key in keys if "n1" in c.plan(key).primaries]
        records = [len(call.message.records) for call in c.calls if isinstance(call.message, ApplyMany)]
        assert sum(records) == 2 * len(ours)
        assert 0 < len(ours) < len(keys)
        c.nodes["n1"].membership.placement = None
        c.nodes["n1"].membership._plans.clear()
        with pytest.raises(NotFormed):
            await put_many(c, "n1", [write_of(b"k")])

    run(main)


def test_a_member_away_or_a_quorum_out_of_reach() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_like(c)
        c.away.add("n3")
        applied(await put_many(c, "n1", [write_of(key) for key in keys]))
        assert not sent(c, ApplyMany)
        assert all(c.debtors(key, "n3") for key in keys)
        outcomes = await put_many(c, "n1", [write_of(key) for key in keys], c.levels(w=3))
        assert {getattr(outcome, "outcome", "") for outcome in outcomes} == {"not_applied"}

    run(main)


def test_parts_are_of_one_kind_and_fit_a_message() -> None:
    async def main() -> None:
        around = Cluster(4).nodes["n1"].around
        levels = Levels(3, 2, 0, 2, 0, 1000, True)
        here, there = Plan(1, ("n1", "n2", "n3"), ()), Plan(2, ("n3", "n1", "n2"), ())
        other, elsewhere = Plan(3, ("n1", "n2", "n4"), ()), Plan(4, ("n2", "n3", "n4"), ())
        small = [Ask(n, write_of(b"k"), levels, "siblings", here if n % 2 else there) for n in range(APPLIED_MAX + 1)]
        assert [len(part) for part in parted(around, small)[0]] == [APPLIED_MAX, 1]
        large = [Ask(n, write_of(b"k", bytes(MESSAGE_BYTES // 3)), levels, "siblings", here) for n in range(5)]
        assert [len(part) for part in parted(around, large)[0]] == [2, 2, 1]
        huge = [Ask(n, write_of(b"k", bytes(MESSAGE_BYTES * 2)), levels, "siblings", here) for n in range(2)]
        assert [len(part) for part in parted(around, huge)[0]] == [1, 1]
        mixed = [
            Ask(0, write_of(b"k"), levels, "siblings", here),
            Ask(1, write_of(b"k"), levels, "siblings", other),
            Ask(2, write_of(b"k"), levels._replace(w=1), "siblings", here),
            Ask(3, write_of(b"k"), levels, "siblings", there),
            Ask(4, write_of(b"k"), levels, "siblings", elsewhere),
            Ask(5, write_of(b"k", demand=Demand((), (), False, 0)), levels, "siblings", here),
        ]
        parts, alone = parted(around, mixed)
        assert [[ask.number for ask in part] for part in parts] == [[0, 3], [1], [2]]
        assert [ask.number for ask in alone] == [4, 5]

    run(main)
