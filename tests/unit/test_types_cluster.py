"""Updates of typed values on real nodes in one loop: coordinated where the key lies, forwarded, repeated, refused."""

import asyncio
from typing import Any

import msgspec
import pytest

from dynkv.coordinator.results import WriteResult
from dynkv.core import record as records
from dynkv.core.errors import QuorumUnmet, TooLarge, WriteIdReused, WrongType
from dynkv.core.levels import Levels
from dynkv.core.record import Vector
from dynkv.core.types import lineage
from dynkv.core.types.operation import KINDS, encode, parse
from dynkv.core.types.reading import presented, read
from dynkv.core.types.state import decode
from dynkv.core.write import Write
from dynkv.peer.messages import Apply, Failed, Forward, Forwarded
from dynkv.replica import ReplicaLimits
from dynkv.runtime import SystemRandom
from tests.unit.cluster_in_memory import BUCKET, HOLD, LOSE_ANSWER, Caller, Cluster, Verdict, run

KEY = b"k"


async def update(
    c: Cluster,
    at: str,
    kind: str,
    said: dict[str, Any],
    *,
    write_id: bytes | None = None,
    context: Vector = (),
    levels: Levels | None = None,
    returns: bool = False,
) -> WriteResult:
    form = KINDS[kind]
    write = Write(
        BUCKET,
        KEY,
        context,
        encode(parse(form, said)),
        form.content_type,
        write_id or SystemRandom().token(8),
        update=kind,
        returns=returns,
    )
    return await c.nodes[at].coordinator.put(write, levels or c.levels(), "siblings")


async def value(c: Cluster, at: str, kind: str, levels: Levels | None = None) -> Any:
    state = read((await c.get(at, KEY, levels)).record, KINDS[kind])
    return None if state is None else state.show()


def held(c: Cluster, name: str) -> records.Record | None:
    replica = c.nodes[name].replica
    copy = replica.read(replica.partition(BUCKET, KEY), BUCKET, KEY)
    return None if copy is None else records.decode(copy.record)


def outsider(c: Cluster) -> str:
    return c.plan(KEY).fallbacks[-1]


def test_increments_at_the_same_time_through_all_nodes_are_one_value_that_counts_all() -> None:
    async def main() -> None:
        c = Cluster(5)
        for round_number in range(4):
            await asyncio.gather(*(update(c, name, "counter", {"increment": 1}) for name in c.names))
            for name in c.names:
                assert await value(c, name, "counter") == (round_number + 1) * 5
        await update(c, "n1", "counter", {"increment": -20}, levels=c.levels(w=3))
        await c.until(lambda: all(held(c, name) == held(c, "n1") for name in c.plan(KEY).primaries))
        record = held(c, c.plan(KEY).primaries[0])
        assert record is not None
        assert len(record.siblings) == 1, "an update replaces what it has joined"
        assert await value(c, "n2", "counter") == 0

    run(main)


def test_two_siblings_of_one_type_are_shown_as_one_value() -> None:
    async def main() -> None:
        c = Cluster(3)
        strict = c.levels(w=1, sloppy=False)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        await update(c, "n1", "set", {"add": ["a"]}, levels=strict)
        await update(c, "n2", "set", {"add": ["b"]}, levels=strict)
        c.rule = lambda call: None
        c.release()
        found = (await c.get("n3", KEY, c.levels(r=3))).record
        assert found is not None
        assert len(found.siblings) == 2
        (shown,) = presented(found)
        assert shown.content_type == "application/vnd.dynkv.set"
        assert shown.value is not None
        assert decode(shown.value).show() == ["a", "b"]
        result = await update(c, "n3", "set", {"remove": ["a"]}, context=found.vector)
        assert result.siblings == 1
        assert await value(c, "n1", "set", c.levels(r=3)) == ["b"]

    run(main)


@pytest.mark.parametrize("at", ["primary", "outsider"])
def test_what_an_update_makes_of_the_value_comes_back_if_asked_for(at: str) -> None:
    async def main() -> None:
        c = Cluster(5)
        node = outsider(c) if at == "outsider" else c.plan(KEY).primaries[0]
        first = await update(c, node, "set", {"add": ["a"]}, returns=True, write_id=b"once")
        assert decode(first.state).show() == ["a"]
        again = await update(c, node, "set", {"add": ["a"]}, returns=True, write_id=b"once")
        assert decode(again.state).show() == ["a"]
        assert (await update(c, node, "set", {"add": ["b"]})).state == b""
        emptied = await update(c, node, "set", {"remove": ["a"]}, context=first.context, returns=True)
        assert decode(emptied.state).show() == ["b"], "its context covers what it showed"

    run(main)


# --- repetitions ------------------------------------------------------------------------------------------------------


def test_an_increment_that_is_forwarded_twice_counts_once_and_says_that_it_is_repeated() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, _ = c.plan(KEY).primaries

        def rule(call: Caller) -> Verdict:
            if isinstance(call.message, Apply) and call.source == a:
                return HOLD  # what it took in stays with it for now
            return LOSE_ANSWER if isinstance(call.message, Forward) and call.target == a else None

        c.rule = rule
        await update(c, outsider(c), "counter", {"increment": 5})
        forwards = [(call.target, call.message) for call in c.calls if isinstance(call.message, Forward)]
        assert [(target, message.repeated) for target, message in forwards] == [(a, False), (b, True)]
        c.rule = lambda call: None
        c.release()
        assert await value(c, outsider(c), "counter", c.levels(r=3)) == 5
        first = held(c, a)
        assert first is not None
        assert len(first.siblings) == 2, "it was taken in twice indeed"

    run(main)


def test_a_repetition_is_known_by_the_record_alone() -> None:
    """Neither a sibling has its id any more, nor does a node that was restarted remember it."""

    async def main() -> None:
        c = Cluster(3)
        first = await update(c, "n1", "counter", {"increment": 5}, write_id=b"once", levels=c.levels(w=3))
        await update(c, "n2", "counter", {"increment": 1}, levels=c.levels(w=3))
        c.restart("n3", clean=False)
        again = await update(c, "n3", "counter", {"increment": 5}, write_id=b"once", returns=True)
        assert (again.actor, again.counter) == (first.actor, first.counter), "its receipt is the first one's"
        assert decode(again.state).show() == 6
        assert await value(c, "n3", "counter", c.levels(r=3)) == 6

    run(main)


def test_an_update_is_in_doubt_until_its_quorum_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends without one, many others follow, and its repetition elsewhere is heard of only then: it counts once."""
    monkeypatch.setattr(lineage, "RECENT", 3)

    async def main() -> None:
        c = Cluster(3)
        cut = True

        def rule(call: Caller) -> Verdict:
            return HOLD if cut and "n1" in (call.source, call.target) else None

        c.rule = rule
        with pytest.raises(QuorumUnmet) as unmet:
            await update(c, "n1", "counter", {"increment": 100}, write_id=b"once", levels=c.levels(timeout_ms=100))
        assert unmet.value.outcome == "ambiguous"
        await update(c, "n2", "counter", {"increment": 100}, write_id=b"once")
        for _ in range(10):
            await update(c, "n1", "counter", {"increment": 1}, levels=c.levels(w=1))
        cut = False
        c.release()
        assert await value(c, "n3", "counter", c.levels(r=3)) == 110
        assert len(c.nodes["n1"].replica._doubts) == 1, "those with a quorum are in doubt no more"

    run(main)


def test_a_node_that_lost_its_actor_counts_on_under_another() -> None:
    async def main() -> None:
        c = Cluster(3)
        await update(c, "n1", "counter", {"increment": 5}, levels=c.levels(w=3))
        for restarts in range(1, 4):
            c.restart("n1", clean=False)
            c.nodes["n1"].identity.confirmed = True
            for _ in range(2):
                await update(c, "n1", "counter", {"increment": 1}, levels=c.levels(w=3))
            record = held(c, "n1")
            assert record is not None
            state = read(record, KINDS["counter"])
            assert state is not None
            assert len(state.runs) == 1 + restarts
            assert state.show() == 5 + 2 * restarts

    run(main)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["primary", "outsider"])
def test_a_key_that_holds_something_else_says_what(at: str) -> None:
    async def main() -> None:
        c = Cluster(5)
        node = outsider(c) if at == "outsider" else c.plan(KEY).primaries[0]
        await c.put(node, KEY, b"plain")
        with pytest.raises(WrongType, match=r"holds a plain value \(text/plain\)") as refused:
            await update(c, node, "counter", {"increment": 1})
        assert refused.value.limit == "keys that hold nothing or a counter"
        seen = (await c.get(node, KEY)).record
        assert seen is not None
        await c.put(node, KEY, None, context=seen.vector)
        await update(c, node, "counter", {"increment": 1})
        with pytest.raises(WrongType, match="holds a counter"):
            await update(c, node, "set", {"add": ["x"]})
        assert await value(c, node, "counter") == 1
        await c.put(node, KEY, b"plain")  # blind: it stands beside
        with pytest.raises(WrongType, match="holds a plain value"):
            await update(c, node, "counter", {"increment": 1})

    run(main)


def test_bytes_under_a_types_name_that_are_none_are_a_plain_value() -> None:
    async def main() -> None:
        c = Cluster(3)
        for at, broken in (("n1", b""), ("n2", b"\x94\x01\x90\x90\x92\x02\x90"), ("n3", b"\xc1" * 100)):
            write = Write(BUCKET, KEY, (), broken, "application/vnd.dynkv.counter", SystemRandom().token(8))
            await c.nodes[at].coordinator.put(write, c.levels(), "siblings")
        found = (await c.get("n1", KEY, c.levels(r=3))).record
        assert found is not None
        assert len(presented(found)) == 3
        with pytest.raises(WrongType, match="holds bytes that say counter and are none"):
            await update(c, "n1", "counter", {"increment": 1})

    run(main)


def test_a_state_over_its_limit_is_refused_before_anything_is_written() -> None:
    async def main() -> None:
        c = Cluster(3, limits=ReplicaLimits(state_bytes_max=300))
        first = await update(c, "n1", "set", {"add": ["x" * 100, "y" * 100]})
        before = held(c, "n1")
        with pytest.raises(TooLarge, match="value: would have"):
            await update(c, "n1", "set", {"add": ["z" * 100]})
        assert held(c, "n1") == before
        await update(c, "n1", "set", {"remove": ["x" * 100]}, context=first.context)
        await update(c, "n1", "set", {"add": ["z" * 100]})

    run(main)


def test_a_sum_that_leaves_its_range_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        c = Cluster(3)
        for _ in range(512):
            await update(c, "n1", "counter", {"increment": 2**53})
        with pytest.raises(TooLarge, match="increment: would take the counter out of its range"):
            await update(c, "n1", "counter", {"increment": 1})
        assert await value(c, "n1", "counter") == 2**62

    run(main)


def test_a_write_id_is_of_a_value_or_of_an_update() -> None:
    async def main() -> None:
        c = Cluster(3)
        await update(c, "n1", "counter", {"increment": 1}, write_id=b"id")
        with pytest.raises(WriteIdReused):
            await c.put("n1", KEY, b"plain", write_id=b"id")
        with pytest.raises(WriteIdReused):
            await update(c, "n1", "set", {"add": [1]}, write_id=b"id")
        assert await value(c, "n1", "counter") == 1

    run(main)


GOOD = Forward(
    BUCKET,
    KEY,
    (),
    encode(parse(KINDS["set"], {"add": ["x"]})),
    "application/vnd.dynkv.set",
    b"id",
    3,
    2,
    0,
    True,
    "siblings",
    update="set",
)


@pytest.mark.parametrize(
    "changed",
    [
        {"update": "sets"},
        {"update": "counter"},
        {"content_type": "text/plain"},
        {"content_type": ""},
        {"value": None},
        {"value": b""},
        {"value": b"\xff"},
        {"value": encode(parse(KINDS["flag"], {"enable": True}))},
        {"value": b"\x93\x02\x92\xa1b\xa1a\x90"},  # elements that do not ascend
        {"value": b"\x93\x02\x91\xc4\x01\x01\x91\xc4\x01\x01"},  # one that is added and removed
        {"value": b"\x93\x02\x91\xc4\x01\x90\x90"},  # a list as an element
        {"conflict": "lww"},
    ],
)
def test_what_a_peer_forwards_is_checked_like_what_a_client_says(changed: dict[str, Any]) -> None:
    async def main() -> None:
        c = Cluster(3)
        good = await c.nodes["n1"].coordinator.serve_forward(GOOD, 1.0)
        assert isinstance(good, Forwarded)
        before = held(c, "n1")
        bad = msgspec.structs.replace(GOOD, write_id=b"other", **changed)
        refused = await c.nodes["n1"].coordinator.serve_forward(bad, 1.0)
        assert isinstance(refused, Failed), refused
        assert refused.code == "bad request: bad-parameter"
        assert not refused.done
        assert held(c, "n1") == before

    run(main)
