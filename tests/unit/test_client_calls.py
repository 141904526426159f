"""Calls over nodes that fail: whom they go to, what they are told twice, and what is said if all is in vain."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv.client import (
    AsyncClient,
    BadContext,
    BadRequest,
    ClientError,
    Overloaded,
    QuorumUnmet,
    Refused,
    TooLarge,
    TooManySiblings,
    Unauthorized,
    Unavailable,
    Unreachable,
    WriteIdReused,
)
from tests.support import eventually_async, free_port
from tests.unit.client_fakes import (
    APPLY_AND_HANG_UP,
    HANG,
    HANG_UP,
    LONG_PAUSES,
    Asked,
    FakeCluster,
    LongestRandom,
    Said,
    StoppedClock,
    client_of,
    fake_cluster,
    problem,
)

Story = Callable[[FakeCluster, AsyncClient], Awaitable[None]]


def play(story: Story, count: int = 3, *, known: bool = True, **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster(count) as cluster, client_of(cluster, known=known, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


def nodes_of(requests: list[Asked]) -> list[str]:
    return [asked.node for asked in requests]


def _asked(cluster: FakeCluster, count: int) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return len(cluster.requests()) >= count

    return asked


# --- whom -------------------------------------------------------------------------------------------------------------


def test_a_request_goes_straight_to_the_first_primary_of_its_key() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        for i in range(30):
            await client.put("b", f"k{i}", b"v")
            assert (await client.get("b", f"k{i}")).value == b"v"
        assert nodes_of(cluster.requests()) == [cluster.primary("b", f"k{i}") for i in range(30) for _ in range(2)]

    play(story)


def test_where_nothing_is_known_the_addresses_given_are_asked_in_turn() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.ring = False
        for _ in range(6):
            await client.get("b", "k", default=0)
        assert sorted(nodes_of(cluster.requests())) == ["n1", "n1", "n2", "n2", "n3", "n3"]

    play(story, known=False)


def test_a_dead_primary_is_passed_by_under_the_same_write_id_and_then_not_tried_first() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n2")
        await cluster["n2"].stop()
        receipt = await client.put("b", key, b"v")
        assert receipt.outcome == "applied"
        assert nodes_of(cluster.requests()) == ["n3"]
        assert cluster.requests()[0].write_id == receipt.write_id
        await client.get("b", key)
        assert nodes_of(cluster.requests()) == ["n3", "n3"]

    play(story)


def test_a_node_that_came_back_is_asked_again() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n2")
        await cluster["n2"].stop()
        await client.put("b", key, b"v")
        await cluster["n2"].start()
        async with asyncio.timeout(10):
            while "n2" not in nodes_of(cluster.requests()):
                await client.get("b", key)

    play(story)


def test_a_hanging_node_costs_one_attempt_and_others_do_not_wait_for_it() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")
        cluster.rule = lambda asked: HANG if asked.node == "n1" else None
        await client.get("b", key)
        await asyncio.gather(*(client.get("b", key) for _ in range(20)))
        assert nodes_of(cluster.requests()).count("n1") == 1

    play(story, attempt_s=0.3, clock=StoppedClock())


# --- under one write id -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [HANG_UP, APPLY_AND_HANG_UP])
def test_a_connection_that_breaks_is_no_failure_and_no_second_write(how: str) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")
        cluster.rule = lambda asked: how if asked.node == "n1" and asked.about_a_key else None
        receipt = await client.put("b", key, b"v")
        assert receipt.siblings == 1
        assert {asked.write_id for asked in cluster.requests("PUT")} == {receipt.write_id}
        assert nodes_of(cluster.requests("PUT"))[-1] == "n2"
        assert (await client.get("b", key)).value == b"v"

    play(story)


def test_an_ambiguous_answer_is_repeated_with_the_same_id() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")

        def rule(asked: Asked) -> Said | None:
            if asked.node != "n1" or not asked.about_a_key:
                return None
            cluster.answer(asked)
            return problem("quorum-unmet", 503, {"Retry-After": "1"}, outcome="ambiguous")

        cluster.rule = rule
        receipt = await client.put("b", key, b"v", write_id="mine")
        assert receipt.write_id == "mine"
        assert [(asked.node, asked.write_id) for asked in cluster.requests()] == [("n1", "mine"), ("n2", "mine")]
        assert receipt.siblings == 1

    play(story)


def test_every_write_has_an_id_of_its_own() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        for i in range(50):
            await client.put("b", f"k{i}", b"v")
        assert len({asked.write_id for asked in cluster.requests()}) == 50

    play(story)


# --- when all is in vain ----------------------------------------------------------------------------------------------


def test_nobody_is_there() -> None:
    async def main() -> None:
        address = f"127.0.0.1:{free_port()}"
        async with AsyncClient(address, timeout_s=1.0, random=LongestRandom(), **LONG_PAUSES) as client:
            with pytest.raises(Unreachable) as read:
                await client.get("b", "k")
            assert read.value.outcome is None
            assert read.value.retry_helps
            with pytest.raises(Unreachable) as write:
                await client.put("b", "k", b"v", write_id="w")
            assert write.value.outcome == "not_applied"  # no connection ever came about
            assert write.value.write_id == "w"
            assert len(write.value.attempts) > 1
            assert "not_applied" in str(write.value)

    asyncio.run(main())


def test_an_address_that_swallows_connections_has_got_nothing() -> None:
    async def main() -> None:
        with socket.socket() as full, contextlib.ExitStack() as fillers:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):  # its queue is full, and the kernel drops what comes
                filler = fillers.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            async with AsyncClient(f"127.0.0.1:{full.getsockname()[1]}", route=False, attempt_s=0.2) as client:
                with pytest.raises(Unreachable) as failed:
                    await client.put("b", "k", b"v", timeout=0.5)
                assert failed.value.outcome == "not_applied"
                assert failed.value.attempts

    asyncio.run(main())


def test_a_hanging_cluster_fails_at_the_deadline_and_a_write_is_then_ambiguous() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: HANG
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(Unreachable) as failed:
            await client.put("b", "k", b"v", timeout=0.3)
        assert 0.1 < loop.time() - started < 1.0
        assert failed.value.outcome == "ambiguous"
        assert len(failed.value.attempts) >= 2
        assert len({attempt.node for attempt in failed.value.attempts}) >= 2

    play(story, attempt_s=0.1)


def test_what_may_have_happened_once_stays_ambiguous_whatever_comes_after() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")

        def rule(asked: Asked) -> Said | str:
            if asked.node == "n1":
                return HANG_UP
            return problem(
                "quorum-unmet", 503, {"Retry-After": "1"}, outcome="not_applied", needed={"w": 2}, got={"w": 0}
            )

        cluster.rule = rule
        with pytest.raises(QuorumUnmet) as failed:
            await client.put("b", key, b"v", timeout=0.5)
        assert failed.value.outcome == "ambiguous"

        cluster.rule = lambda asked: problem("too-many-siblings", 409, outcome="not_applied")
        with pytest.raises(TooManySiblings) as refused:
            await client.put("b", key, b"v")
        assert refused.value.outcome == "not_applied"
        assert len(cluster.requests()[-1:]) == 1

    play(story)


def test_an_unmet_quorum_says_who_said_what() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        said = {"needed": {"r": 2}, "got": {"r": 1}, "replicas": {"n1": "ok", "n2": "timed out"}, "help": "Repeat it."}
        cluster.rule = lambda asked: problem("quorum-unmet", 503, {"Retry-After": "1"}, **said)
        with pytest.raises(QuorumUnmet) as failed:
            await client.get("b", "k", timeout=0.2)
        error = failed.value
        assert (error.kind, error.status, error.help) == ("quorum-unmet", 503, "Repeat it.")
        assert (error.needed, error.got) == ({"r": 2}, {"r": 1})
        assert error.replicas == {"n1": "ok", "n2": "timed out"}
        assert error.outcome is None
        assert error.retry_helps
        assert isinstance(error, Unavailable)

    play(story)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("bad-parameter", 400, BadRequest),
        ("bad-context", 400, BadContext),
        ("too-many-siblings", 409, TooManySiblings),
        ("write-id-reused", 422, WriteIdReused),
        ("too-large", 413, TooLarge),
        ("unauthorized", 401, Unauthorized),
        ("forbidden", 403, Unauthorized),
        ("something-new", 418, Refused),
    ],
)
def test_what_repeating_cannot_help_is_not_repeated(kind: str, status: int, error: type[ClientError]) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: problem(kind, status, outcome="not_applied", field="x", limit="y")
        with pytest.raises(error) as refused:
            await client.put("b", "k", b"v")
        assert len(cluster.requests()) == 1
        assert not refused.value.retry_helps
        assert refused.value.outcome == "not_applied"
        assert (refused.value.problem.field, refused.value.problem.limit) == ("x", "y")
        assert refused.value.detail == f"{kind}!"

    play(story)


# --- nodes that want to be left alone ---------------------------------------------------------------------------------


def test_who_says_retry_after_is_not_asked_before_and_another_is_asked_at_once() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        key = cluster.key_of("n1")
        cluster.rule = lambda asked: problem("overloaded", 503, {"Retry-After": "30"}) if asked.node == "n1" else None
        for _ in range(5):
            await client.get("b", key)
        assert nodes_of(cluster.requests()) == ["n1", "n2", "n2", "n2", "n2", "n2"]

    play(story)


def test_if_all_want_to_be_left_alone_longer_than_there_is_time_the_call_fails_at_once() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: problem("overloaded", 503, {"Retry-After": "30"}, outcome="not_applied")
        started = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded) as failed:
            await client.put("b", "k", b"v", timeout=20)
        assert asyncio.get_running_loop().time() - started < 2
        assert failed.value.problem.retry_after_s == 30
        assert failed.value.outcome == "not_applied"
        assert sorted(nodes_of(cluster.requests())) == ["n1", "n2", "n3"]

    play(story)


def test_a_lone_node_is_waited_for_as_long_as_it_says() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        times: list[float] = []

        def rule(asked: Asked) -> Said | None:
            times.append(asyncio.get_running_loop().time())
            return problem("overloaded", 503, {"Retry-After": "1"}) if len(times) == 1 else None

        cluster.rule = rule
        await client.get("b", "k", default=0)
        assert times[1] - times[0] >= 1.0

    play(story, count=1)


def test_calls_beyond_what_goes_at_once_wait_for_their_turn_and_give_up_having_done_nothing() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: HANG if asked.about_a_key else None
        hanging = asyncio.gather(*(client.get("b", f"k{i}", timeout=0.5) for i in range(2)), return_exceptions=True)
        await eventually_async(_asked(cluster, 2))
        with pytest.raises(Unreachable, match="no turn") as failed:
            await client.put("b", "k", b"v", timeout=0.2)
        assert failed.value.outcome == "not_applied"
        assert failed.value.attempts == ()
        assert len(cluster.requests()) == 2
        assert all(isinstance(error, Unreachable) for error in await hanging)

    play(story, concurrency=2)
