"""Sessions: the token that goes with every request and is replaced by every answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv.client import AsyncClient, AsyncSession, BadSession, NotDynkv, QuorumUnmet, SessionError, Unreachable
from dynkv.core.errors import SessionBehind
from dynkv.core.session import TOKENS_MAX
from tests.support import eventually_async
from tests.unit.client_fakes import HANG_UP, Asked, FakeCluster, Said, client_of, fake_cluster, problem
from tests.unit.http_node import HttpNode, http_node


class Tokens:
    """A rule that gives each answer about a key a token of its own: t1, t2, ... `held`: such requests wait."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.count = 0
        self.sent: list[str] = []
        self.refusals: list[Said | str] = []

    def __call__(self, asked: Asked) -> Said | str | None:
        if not asked.about_a_key:
            return None
        self.sent.append(asked.headers.get("Dynkv-Session", "-"))
        if self.refusals:
            return self.refusals.pop(0)
        self.count += 1
        said = self.cluster.answer(asked)
        return said._replace(headers={**said.headers, "Dynkv-Session": f"t{self.count}"})


def behind() -> Said:
    told: dict[str, Any] = {
        "guarantee": "read-your-writes",
        "replicas": {"n2": "unreachable"},
        "outcome": "not_applied",
    }
    return problem("session-behind", 503, {"Retry-After": "1"}, **told)


def play(story: Callable[[Tokens, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            cluster.rule = rule = Tokens(cluster)
            await story(rule, client)

    asyncio.run(main())


def test_each_answers_token_goes_with_the_next_request() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            assert s.token == "new"
            await s.put("b", "k", 1)
            assert (await s.get("b", "k")).value == 1
            assert await s.exists("b", "k")
            await s.update("b", "k", lambda value: value + 1)
            await s.delete("b", "k")
            assert not (await s.get("b", "k")).found
            assert rule.sent == ["new", "t1", "t2", "t3", "t4", "t5", "t6"]
            assert s.token == "t7"
        await client.get("b", "k")
        assert rule.sent[-1] == "-"

    play(story)


def test_a_session_goes_on_elsewhere_with_its_token() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await s.put("b", "k", 1)
        async with client.session(s.token) as other:
            await other.get("b", "k")
            assert rule.sent == ["new", "t1"]
            assert other.token == "t2"

    play(story)


def test_requests_side_by_side_each_give_a_token_and_all_of_them_go_with_the_next() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await s.put("b", "k", 1)
            await asyncio.gather(*(s.get("b", "k") for _ in range(3)))
            assert rule.sent == ["new", "t1", "t1", "t1"]
            assert set(s.token.split(".")) == {"t2", "t3", "t4"}
            await s.get("b", "k")
            assert set(rule.sent[-1].split(", ")) == {"t2", "t3", "t4"}
            assert s.token == "t5"

    play(story)


def test_no_more_tokens_than_a_node_takes_however_many_requests_are_made() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await asyncio.gather(*(s.put("b", f"k{i}", i) for i in range(60)))
            assert max(len(sent.split(", ")) for sent in rule.sent) <= TOKENS_MAX
            await s.get("b", "k0")
            # Whatever was sent side by side: the last token follows from all that were given.
            assert "." not in s.token

    play(story)


def test_a_request_that_failed_leaves_the_session_as_it_was() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await s.put("b", "k", 1)
            rule.refusals = [problem("quorum-unmet", 503, {"Retry-After": "30"})] * 9
            with pytest.raises(QuorumUnmet):
                await s.get("b", "k", timeout=0.2)
            assert s.token == "t1"

    play(story)


def test_a_retry_carries_the_same_token_and_the_same_write_id() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await s.put("b", "k", 1)
            rule.refusals = [HANG_UP]
            await s.put("b", "k", 2)
            assert rule.sent == ["new", "t1", "t1"]
            assert len({asked.write_id for asked in rule.cluster.requests()[-2:]}) == 1

    play(story)


def test_a_session_that_is_behind_is_tried_at_every_node_and_then_said() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session() as s:
            await s.put("b", "k", 1)
            rule.refusals = [behind()] * 9
            with pytest.raises(SessionError) as failed:
                await s.put("b", "k", 2)
            assert sorted(asked.node for asked in rule.cluster.requests()[1:]) == ["n1", "n2", "n3"]
            error = failed.value
            assert (error.guarantee, error.outcome, error.retry_helps) == ("read-your-writes", "not_applied", True)
            assert error.replicas == {"n2": "unreachable"}
            rule.refusals = [behind()]
            assert (await s.get("b", "k")).value == 1

    play(story)


def test_a_session_may_wait() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        async with client.session(wait=30) as s:
            await s.put("b", "k", 1)
            rule.refusals = [behind()] * 12
            assert (await s.get("b", "k")).value == 1
            assert len(rule.sent) == 14
        async with client.session(wait=0.05) as s:
            rule.refusals = [behind()] * 10_000
            with pytest.raises(SessionError):
                await s.get("b", "k")
        async with client.session(wait=30) as s:
            with pytest.raises((SessionError, Unreachable)):
                await s.get("b", "k", timeout=0.1)  # the call's own deadline comes first

    play(story)


def test_a_node_that_knows_no_sessions_is_not_taken_for_one_that_keeps_them() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        rule.cluster.rule = lambda asked: None
        async with client.session() as s:
            with pytest.raises(NotDynkv, match="Dynkv-Session"):
                await s.get("b", "k")

    play(story)


def test_a_wait_that_is_none() -> None:
    async def main() -> None:
        async with AsyncClient("a:1") as client:
            for wait in (-1.0, float("nan")):
                with pytest.raises(ValueError, match="wait"):
                    client.new_session(wait=wait)

    asyncio.run(main())


def test_requests_beyond_what_a_session_sends_at_once_wait_for_their_turn_within_their_deadline() -> None:
    async def story(rule: Tokens, client: AsyncClient) -> None:
        rule.refusals = ["hang"] * TOKENS_MAX
        s = client.new_session()
        hanging = asyncio.gather(*(s.get("b", "k", timeout=1) for _ in range(TOKENS_MAX)), return_exceptions=True)

        async def all_sent() -> bool:
            return len(rule.sent) == TOKENS_MAX

        await eventually_async(all_sent)
        with pytest.raises(Unreachable, match="no turn"):
            await s.get("b", "k", timeout=0.05)
        assert (await client.get("b", "k")).found is False  # others are not held up
        await hanging

    play(story)


# --- over the server that nodes have ----------------------------------------------------------------------------------


def on_node(story: Callable[[HttpNode, AsyncSession, AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with http_node() as node, AsyncClient(f"127.0.0.1:{node.port}", route=False) as client:
            await story(node, client.new_session(), client)

    asyncio.run(main())


def test_a_node_asks_of_a_read_what_the_session_has_written() -> None:
    async def story(node: HttpNode, s: AsyncSession, client: AsyncClient) -> None:
        receipt = await s.put("b", "k", 1)
        await s.get("b", "k")
        demand = node.coordinator.demands[-1]
        assert demand is not None
        actor, _, counter = receipt.dot.partition("-")
        assert demand.vector == ((int(actor, 16), int(counter)),)
        await client.get("b", "k")
        assert node.coordinator.demands[-1] is None

    on_node(story)


def test_who_writes_twice_in_a_session_means_the_second() -> None:
    async def story(node: HttpNode, s: AsyncSession, client: AsyncClient) -> None:
        await client.put("b", "k", "another's")
        await s.put("b", "k", "first")
        await s.put("b", "k", "second")
        assert sorted((await client.get("b", "k", resolve="keep")).values) == ["another's", "second"]

    on_node(story)


def test_a_deletion_and_a_miss_have_tokens_too() -> None:
    async def story(node: HttpNode, s: AsyncSession, client: AsyncClient) -> None:
        assert not (await s.get("b", "none")).found
        assert s.token != "new"
        await s.put("b", "k", 1)
        await s.delete("b", "k")
        assert not await s.exists("b", "k")
        assert (await s.get("b", "k")).deleted

    on_node(story)


def test_what_a_node_says_of_a_session_that_is_behind_or_none() -> None:
    async def story(node: HttpNode, s: AsyncSession, client: AsyncClient) -> None:
        await s.put("b", "k", 1)
        node.coordinator.error = SessionBehind(
            "monotonic-reads", "nobody has it", outcome="not_applied", replicas={"n1": "lacks it"}
        )
        with pytest.raises(SessionError, match="nobody has it") as failed:
            await s.put("b", "k", 2)
        assert (failed.value.guarantee, failed.value.outcome) == ("monotonic-reads", "not_applied")
        node.coordinator.error = None
        with pytest.raises(BadSession):
            await client.new_session("x" + s.token).get("b", "k")

    on_node(story)
