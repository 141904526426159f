"""Writes through a node that does not store the key, and what a coordinator makes of a peer's request."""

from typing import Any

import msgspec
import pytest

from dynkv.core.errors import QuorumUnmet, StoreReadOnly, StoreWriteFailed, WriteIdReused
from dynkv.core.record import COUNTER_MAX
from dynkv.peer.messages import Answer, Failed, Forward, Forwarded
from dynkv.peer.transport import Failure
from tests.unit.cluster_in_memory import BUCKET, HOLD, LOSE_ANSWER, Caller, Cluster, Verdict, run, values

KEY = b"k"


def outsider(cluster: Cluster) -> str:
    """A node that holds no replica of KEY."""
    return cluster.plan(KEY).fallbacks[-1]


def test_a_node_without_a_replica_forwards_and_keeps_nothing() -> None:
    async def main() -> None:
        c = Cluster(5)
        a = c.plan(KEY).primaries[0]
        result = await c.put(outsider(c), KEY, b"v")
        assert result.counter == 1
        assert result.replicas[a] == "ok"
        await c.until(lambda: c.holders(KEY) == set(c.plan(KEY).primaries))
        assert values((await c.get(outsider(c), KEY)).record) == [b"v"]

    run(main)


def test_a_target_that_dies_midway_is_replaced_and_the_value_is_shown_once() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, _ = c.plan(KEY).primaries

        def rule(call: Caller) -> Verdict:
            return LOSE_ANSWER if isinstance(call.message, Forward) and call.target == a else None

        c.rule = rule
        result = await c.put(outsider(c), KEY, b"v", write_id=b"once")
        assert result.replicas[b] == "ok"
        found = (await c.get(outsider(c), KEY)).record
        assert found is not None
        assert {sibling.write_id for sibling in found.siblings} == {b"once"}

    run(main)


def test_a_forward_without_an_answer_at_the_deadline_is_ambiguous() -> None:
    async def main() -> None:
        c = Cluster(5)
        c.rule = lambda call: HOLD if isinstance(call.message, Forward) else None
        with pytest.raises(QuorumUnmet) as unmet:
            await c.put(outsider(c), KEY, b"v", levels=c.levels(timeout_ms=150))
        assert unmet.value.outcome == "ambiguous"
        assert "no answer yet" in unmet.value.replicas.values()
        c.release()
        await c.until(lambda: c.holders(KEY))  # it was only late: "not applied" would have been a lie

    run(main)


def test_standing_in_after_an_ambiguous_try_is_ambiguous_too() -> None:
    async def main() -> None:
        c = Cluster(4)
        (d,) = c.plan(KEY).fallbacks

        def rule(call: Caller) -> Verdict:
            if isinstance(call.message, Forward):
                c.away.update(c.plan(KEY).primaries)
                return Failure("connection lost", True)
            return None

        c.rule = rule
        c.away.update(c.plan(KEY).primaries[1:])
        with pytest.raises(QuorumUnmet) as unmet:
            await c.put(d, KEY, b"v")
        assert unmet.value.outcome == "ambiguous"

    run(main)


def test_nobody_reached_is_not_applied() -> None:
    async def main() -> None:
        c = Cluster(5)
        c.away.update(c.plan(KEY).primaries)
        c.away.update(c.plan(KEY).fallbacks[:-1])
        with pytest.raises(QuorumUnmet) as unmet:
            await c.put(outsider(c), KEY, b"v")
        assert unmet.value.outcome == "not_applied"
        c.away.clear()
        assert c.holders(KEY) == set()

    run(main)


def test_the_clients_own_errors_come_through() -> None:
    async def main() -> None:
        c = Cluster(5)
        await c.put(outsider(c), KEY, b"v", write_id=b"same")
        with pytest.raises(WriteIdReused, match="another value"):
            await c.put(outsider(c), KEY, b"other", write_id=b"same")

    run(main)


def test_a_primary_whose_disk_refuses_lets_another_coordinate() -> None:
    async def main() -> None:
        c = Cluster(5)
        a, b, _ = c.plan(KEY).primaries
        c.disks[a].stalled = True
        result = await c.put(a, KEY, b"v")
        assert result.replicas[b] == "ok"
        assert c.held_by(a, KEY) is None

    run(main)


@pytest.mark.parametrize(("error", "outcome"), [(StoreReadOnly, "not_applied"), (StoreWriteFailed, "ambiguous")])
def test_a_failed_own_write_may_be_there_and_a_refused_one_is_not(error: type[Exception], outcome: str) -> None:
    async def main() -> None:
        c = Cluster(3)

        def fail(changes: object) -> None:
            raise error("no space")

        c.nodes["n1"].store.write = fail  # type: ignore[method-assign]  # the fault under test
        c.rule = lambda call: Failed("overloaded", "busy", False)
        with pytest.raises(QuorumUnmet) as unmet:
            await c.put("n1", KEY, b"v")
        assert unmet.value.outcome == outcome

    run(main)


def test_a_fallback_coordinates_for_a_lagging_primary_and_hands_its_copy_off() -> None:
    async def main() -> None:
        c = Cluster(5)
        d = c.plan(KEY).fallbacks[0]
        answer = await c.nodes[d].coordinator.serve_forward(GOOD, 1.0)
        assert isinstance(answer, Forwarded)
        assert d in c.holders(KEY)
        await c.until(lambda: c.holders(KEY) >= set(c.plan(KEY).primaries))
        await c.pay()
        assert c.holders(KEY) == set(c.plan(KEY).primaries)  # else its copy would stay for good, ever older

    run(main)


GOOD = Forward(BUCKET, KEY, (), b"v", "text/plain", b"id", 3, 2, 0, True, "siblings")

BAD: dict[str, dict[str, Any]] = {
    "bucket": {"bucket": "-/é"},
    "key empty": {"key": b""},
    "key long": {"key": b"x" * 4097},
    "context descends": {"context": ((2, 1), (1, 1))},
    "context twice": {"context": ((1, 1), (1, 2))},
    "context actor": {"context": ((0, 1),)},
    "context counter": {"context": ((1, 0),)},
    "context counter at the end": {"context": ((1, COUNTER_MAX),)},
    "write id empty": {"write_id": b""},
    "write id long": {"write_id": b"x" * 65},
    "n": {"n": 0},
    "n above the members": {"n": 6, "w": 2},
    "w": {"w": 0},
    "w above n": {"w": 4},
    "pw": {"pw": -1},
    "pw above w": {"pw": 3},
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_peer_forwards_is_checked_like_a_clients_input(case: str) -> None:
    async def main() -> None:
        c = Cluster(5)
        a = c.plan(KEY).primaries[0]
        answer = await c.nodes[a].coordinator.serve_forward(msgspec.structs.replace(GOOD, **BAD[case]), 1.0)
        assert isinstance(answer, Failed)
        assert answer.code.startswith("bad request: ")
        assert answer.done is False
        assert c.holders(KEY) == set()

    run(main)


def test_a_strict_write_is_not_coordinated_by_a_fallback() -> None:
    async def main() -> None:
        c = Cluster(5)
        d = c.plan(KEY).fallbacks[0]
        answer = await c.nodes[d].coordinator.serve_forward(msgspec.structs.replace(GOOD, sloppy=False), 1.0)
        assert isinstance(answer, Failed)
        assert not answer.done
        assert c.holders(KEY) == set()

    run(main)


def test_a_defect_of_ours_is_an_answer_too() -> None:
    async def main() -> None:
        c = Cluster(3)
        answers: list[Answer] = []

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError("a defect")

        c.nodes["n1"].replica.coordinate = fail  # type: ignore[assignment]  # the fault under test
        c.nodes["n1"].inbound.handle("n2", GOOD, c.nodes["n1"].clock.now() + 1, answers.append)
        await c.until(lambda: answers)
        assert isinstance(answers[0], Failed)
        assert answers[0].code == "internal"
        assert answers[0].done

    run(main)
