"""update: nothing that was updated is lost, whoever else writes meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.client import AsyncClient, ClientError, ConflictError, Contended, QuorumUnmet, Unreachable, union, union_with
from tests.support import eventually_async
from tests.unit.client_fakes import (
    APPLY_AND_HANG_UP,
    HANG,
    HANG_UP,
    Asked,
    FakeCluster,
    LongestRandom,
    Said,
    client_of,
    fake_cluster,
)
from tests.unit.client_fakes import problem as refusal

UPDATERS = 32


def run(main: Callable[[FakeCluster], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with fake_cluster() as cluster:
            await main(cluster)

    asyncio.run(whole())


def add(item: Any) -> Callable[[set[Any]], set[Any]]:
    return lambda items: items | {item}


# --- contention -------------------------------------------------------------------------------------------------------


def test_32_updaters_of_one_client_count_exactly() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            done = await asyncio.gather(
                *(client.update("b", "k", lambda value: value + 1, default=0) for _ in range(UPDATERS))
            )
            assert sorted(updated.value for updated in done) == list(range(1, UPDATERS + 1))
            assert {updated.rounds for updated in done} == {1}
            assert (await client.get("b", "k")).value == UPDATERS
            assert not len(client._core().turns)

    run(main)


def test_32_clients_lose_no_increment() -> None:
    """They may count one twice: see the text of `dynkv.client.update`."""

    async def main(cluster: FakeCluster) -> None:
        done = await _by_clients(cluster, lambda i: lambda value: value + 1, default=0, resolve="maximum", timeout=60)
        assert any(updated.rounds > 1 for updated in done), "they did not meet, so nothing was shown"
        assert max(updated.rounds for updated in done) < 100, "they kept out of each other's way too little"
        async with client_of(cluster) as client:
            assert (await client.get("b", "k")).value >= UPDATERS  # and one value: the last to write has seen all

    run(main)


def test_32_clients_lose_nothing_that_they_put_into_a_set_and_do_it_once() -> None:
    async def main(cluster: FakeCluster) -> None:
        settings: dict[str, Any] = {"objects": "application/cbor", "resolve": "union"}
        done = await _by_clients(cluster, add, default=set(), settings=settings)
        assert {updated.rounds for updated in done} == {1}
        async with client_of(cluster, **settings) as client:
            assert (await client.get("b", "k")).value == set(range(UPDATERS))

    run(main)


def test_32_clients_put_lines_into_a_list_and_none_is_there_twice() -> None:
    async def main(cluster: FakeCluster) -> None:
        await _by_clients(cluster, lambda i: lambda lines: [*lines, i], default=[], resolve=union)
        async with client_of(cluster) as client:
            assert sorted((await client.get("b", "k", resolve=union)).value) == list(range(UPDATERS))

    run(main)


async def _by_clients(
    cluster: FakeCluster, make: Callable[[int], Any], *, settings: dict[str, Any] | None = None, **how: Any
) -> list[Any]:
    async def one(i: int) -> Any:
        async with client_of(cluster, known=False, **(settings or {})) as client:
            return await client.update("b", "k", make(i), **how)

    return await asyncio.gather(*(one(i) for i in range(UPDATERS)))


@given(st.lists(st.sampled_from(["", HANG_UP, APPLY_AND_HANG_UP, "ambiguous", "refused"]), max_size=8))
@settings(max_examples=25)
def test_whatever_breaks_on_the_way_an_update_takes_effect_once(fates: list[str]) -> None:
    """Of one client, over one store: a write that was repeated is one write."""

    async def main(cluster: FakeCluster) -> None:
        left = list(fates)

        def rule(asked: Asked) -> Said | str | None:
            if asked.method != "PUT" or not left:
                return None
            fate = left.pop()
            if fate == "ambiguous":
                cluster.answer(asked)
                return refusal("quorum-unmet", 503, outcome="ambiguous")
            return refusal("overloaded", 503, outcome="not_applied") if fate == "refused" else fate or None

        cluster.rule = rule
        async with client_of(cluster) as client:
            for _ in range(3):
                await client.update("b", "k", lambda value: value + 1, default=0, timeout=30)
            assert (await client.get("b", "k")).value == 3

    run(main)


# --- rounds -----------------------------------------------------------------------------------------------------------


def _intruder(cluster: FakeCluster, client: AsyncClient, times: int) -> Callable[[Any], Awaitable[Any]]:
    """Adds one; somebody else writes meanwhile, `times` times."""
    left = [times]

    async def change(value: int) -> int:
        if left[0]:
            left[0] -= 1
            await client.put("b", "k", value + 100)
        return value + 1

    return change


def test_a_round_that_met_another_write_is_followed_by_one_that_has_seen_it() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", 1)
            seen = (await client.get("b", "k")).context
            updated = await client.update("b", "k", _intruder(cluster, client, 2), resolve="maximum")
            assert updated.rounds == 3
            entry = await client.get("b", "k")
            assert entry.value == updated.value == 202
            assert entry.context != seen

    run(main)


def test_a_merging_resolver_needs_no_second_round() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", {"a": 1})

            async def change(value: dict[str, int]) -> dict[str, int]:
                await client.put("b", "k", {"b": 2})
                return value | {"c": 3}

            updated = await client.update("b", "k", change, resolve=union_with(lambda siblings: 0))
            assert (updated.rounds, updated.receipt.siblings) == (1, 2)
            assert (await client.get("b", "k", resolve=union)).value == {"a": 1, "b": 2, "c": 3}

    run(main)


def test_without_a_resolver_a_conflict_is_told_with_what_became_of_the_update() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", 1)
            with pytest.raises(ConflictError) as met:
                await client.update("b", "k", _intruder(cluster, client, 1))
            assert met.value.outcome == "applied"
            assert sorted(met.value.values) == [2, 101]
            with pytest.raises(ConflictError) as again:
                await client.update("b", "k", lambda value: value + 1)
            assert again.value.outcome is None

    run(main)


def test_who_never_gets_through_is_told_that_the_last_write_stands() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster, pause_s=0.1, pause_max_s=60.0, random=LongestRandom()) as client:
            change = _intruder(cluster, client, 10_000)
            with pytest.raises(Contended) as failed:
                await client.update("b", "k", change, default=0, resolve="latest", timeout=1.0)
            assert failed.value.outcome == "applied"
            assert failed.value.retry_helps
            rounds = len(cluster.requests("PUT")) // 2  # each was one of its own, and one of the intruder's
            assert rounds >= 4
            assert f"in each of {rounds} rounds" in str(failed.value)

    run(main)


def test_a_full_key_is_read_again_and_its_siblings_replaced() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", 1)
            full = [2]

            def rule(asked: Asked) -> Said | None:
                if asked.method == "PUT" and full[0]:
                    full[0] -= 1
                    return refusal("too-many-siblings", 409, outcome="not_applied")
                return None

            cluster.rule = rule
            updated = await client.update("b", "k", lambda value: value + 1, resolve="maximum")
            assert (updated.value, updated.rounds) == (2, 3)

    run(main)


# --- the function -----------------------------------------------------------------------------------------------------


def test_the_function_gets_a_default_of_its_own_each_time() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            default: list[int] = []

            def change(value: list[int]) -> list[int]:
                value.append(1)
                return value

            full = [1]

            def rule(asked: Asked) -> Said | None:
                if asked.method == "PUT" and full[0]:
                    full[0] -= 1
                    return refusal("too-many-siblings", 409, outcome="not_applied")
                return None

            cluster.rule = rule
            assert (await client.update("b", "k", change, default=default)).value == [1]
            assert default == []

    run(main)


def test_a_function_that_returns_nothing_or_fails_has_changed_nothing() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", [1])
            with pytest.raises(TypeError, match="returned None"):
                await client.update("b", "k", lambda value: value.append(2))
            for error in (ZeroDivisionError(), TimeoutError(), asyncio.CancelledError()):
                with pytest.raises(type(error)):
                    await client.update("b", "k", _raising(error))
            assert (await client.get("b", "k")).value == [1]
            assert not len(client._core().turns)

    run(main)


def _raising(error: BaseException) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        raise error

    return change


def test_the_content_type_stays_unless_another_is_given() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.put("b", "k", {1}, content_type="application/cbor")
            await client.update("b", "k", add(2))
            assert (await client.get("b", "k")).content_type == "application/cbor"
            await client.update("b", "k", list, content_type="application/json")
            entry = await client.get("b", "k")
            assert (entry.content_type, entry.value) == ("application/json", [1, 2])

    run(main)


# --- when it cannot be ------------------------------------------------------------------------------------------------


def test_levels_go_with_reads_and_writes() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            await client.update("b", "k", lambda value: 1, r="all", pr=1, w=3, pw=2, sloppy=False)
            read, write = cluster.requests()
            assert {name: read.query[name] for name in ("r", "pr", "sloppy")} == {
                "r": "all",
                "pr": "1",
                "sloppy": "false",
            }
            assert {name: write.query[name] for name in ("w", "pw", "sloppy")} == {
                "w": "3",
                "pw": "2",
                "sloppy": "false",
            }

    run(main)


def test_a_write_that_fails_says_its_outcome() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            cluster.rule = lambda asked: (
                refusal("quorum-unmet", 503, outcome="not_applied") if asked.method == "PUT" else None
            )
            with pytest.raises(QuorumUnmet) as failed:
                await client.update("b", "k", lambda value: 1, timeout=0.2)
            assert failed.value.outcome == "not_applied"
            cluster.rule = lambda asked: HANG if asked.method == "GET" else None
            with pytest.raises(Unreachable) as unread:
                await client.update("b", "k", lambda value: 1, timeout=0.2)
            assert unread.value.outcome is None

    run(main)


def test_a_failure_after_a_round_that_was_applied_says_so() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster, attempt_s=0.1) as client:
            await client.put("b", "k", 1)
            change = _intruder(cluster, client, 1)

            async def then_nobody_answers(value: int) -> int:
                result: int = await change(value)
                cluster.rule = lambda asked: HANG if asked.method == "GET" else None
                return result

            with pytest.raises(ClientError) as failed:
                await client.update("b", "k", then_nobody_answers, resolve="latest", timeout=0.5)
            assert failed.value.outcome == "applied"

    run(main)


def test_waiting_for_ones_own_turn_ends_at_the_deadline() -> None:
    async def main(cluster: FakeCluster) -> None:
        async with client_of(cluster) as client:
            entered, leave = asyncio.Event(), asyncio.Event()

            async def slow(value: int) -> int:
                entered.set()
                await leave.wait()
                return value + 1

            first = asyncio.gather(client.update("b", "k", slow, default=0))
            await entered.wait()
            with pytest.raises(Contended) as failed:
                await client.update("b", "k", lambda value: value + 1, default=0, timeout=0.05)
            assert failed.value.outcome is None
            await client.update("b", "other", lambda value: value + 1, default=0)
            leave.set()
            assert (await first)[0].value == 1

    run(main)


def test_an_update_waits_until_the_ring_is_known_so_that_all_meet_at_one_coordinator() -> None:
    async def main(cluster: FakeCluster) -> None:
        key = cluster.key_of("n3")

        async def one() -> None:
            async with client_of(cluster, known=False) as client:
                await client.update("b", key, lambda value: 1, resolve="latest")

        await asyncio.gather(*(one() for _ in range(5)))
        await eventually_async(_at_least(cluster, 10))
        assert {asked.node for asked in cluster.requests()} == {"n3"}

    run(main)


def _at_least(cluster: FakeCluster, count: int) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return len(cluster.requests()) >= count

    return asked
