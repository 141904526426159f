"""Typed values through the client: objects that are names, removals that have seen, repetitions that say so."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import cbor2
import pytest

from dynkv.client import (
    AsyncClient,
    BadContext,
    BadRequest,
    Client,
    CodecError,
    NotDynkv,
    TooLarge,
    Unavailable,
    WrongType,
)
from dynkv.client.types import TypedReceipt
from tests.unit.client_fakes import HANG_UP, Asked, FakeCluster, Said, client_of, fake_cluster, problem
from tests.unit.cluster_in_memory import Cluster
from tests.unit.http_types_node import in_front_of


def play(story: Callable[[AsyncClient, Cluster], Awaitable[None]]) -> None:
    """With a client of three nodes that are real but for disks and the wire between them."""

    async def main() -> None:
        cluster = Cluster(3)
        async with AsyncExitStack() as stack:
            ports = [(await stack.enter_async_context(in_front_of(cluster, name)))[1] for name in cluster.names]
            addresses = [f"127.0.0.1:{port}" for port in ports]
            client = await stack.enter_async_context(AsyncClient(addresses, route=False))
            await story(client, cluster)

    asyncio.run(main())


def test_a_counter_counts() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        counter = client.counter("b", "k")
        assert await counter.value() == 0
        assert not (await counter.read()).found
        await asyncio.gather(*(counter.increment() for _ in range(20)))
        receipt = await counter.decrement(5, returning=True)
        assert isinstance(receipt, TypedReceipt)
        assert (receipt.value, receipt.outcome, receipt.siblings) == (15, "applied", 1)
        assert receipt.dot
        assert await counter.value(r=3) == 15
        assert (await counter.increment(w=3)).value is None

    play(story)


def test_a_set_removes_what_a_read_showed() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        cart = client.set("b", b"\xff/k")
        await cart.add("milk", 1, True, 1.5, b"\x00")
        assert await cart.value() == [True, 1, 1.5, "milk", b"\x00"]
        assert await cart.contains(True)
        assert not await cart.contains(0)
        seen = (await cart.read()).context
        await cart.add("milk")
        after = await cart.remove("milk", b"\x00", seen=seen, returning=True)
        assert after.value == [True, 1, 1.5, "milk"], "it was added again since"
        await cart.remove("milk", 1, seen=after.context)
        assert await cart.value() == [True, 1.5]
        await cart.remove(True)
        assert await cart.value() == [1.5]
        both = await cart.update(add=["x"], remove=[1.5], returning=True)
        assert both.value == ["x"]
        await cart.update(add=["y"])
        await client.delete("b", b"\xff/k")
        assert await cart.value() == []

    play(story)


def test_a_flag_and_a_register() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        flag, register = client.flag("b", "f"), client.register("b", "r")
        assert (await flag.value(), await register.value()) == (False, None)
        await flag.disable()
        await flag.enable()
        assert await flag.value() is True
        assert (await flag.disable(returning=True)).value is False
        await register.set({"a": [1, None, b"\x00"]})
        assert await register.value() == {"a": [1, None, b"\x00"]}
        await register.set(None)
        assert (await register.read()).found

    play(story)


def test_a_map_and_its_fields() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        user = client.map("b", "k")
        assert await user.value() == {}
        logins, tags = user.counter("logins"), user.set("tags")
        inner = user.map("in").flag("on")
        assert (await logins.value(), await inner.value()) == (0, False)
        assert (await logins.increment(2, returning=True)).value == 2
        await tags.add("a", "b")
        await inner.enable()
        await user.register("mail").set("a@b.c")
        assert await user.value() == {
            "logins": {"type": "counter", "value": 2},
            "tags": {"type": "set", "value": ["a", "b"]},
            "in": {"type": "map", "value": {"on": {"type": "flag", "value": True}}},
            "mail": {"type": "register", "value": "a@b.c"},
        }
        assert (await tags.remove("a", returning=True)).value == ["b"]
        await inner.disable()
        assert await inner.value() is False
        await user.update({"tags": {"type": "set", "remove": ["b"]}, "logins": {"type": "counter", "increment": 1}})
        await user.update({}, remove=["mail"])
        await user.remove("in")
        assert await user.value() == {
            "logins": {"type": "counter", "value": 3},
            "tags": {"type": "set", "value": []},
        }
        assert not (await inner.read()).found

    play(story)


def test_errors_are_the_clients_own() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        await client.put("b", "k", "plain")
        with pytest.raises(WrongType, match="holds a plain value") as refused:
            await client.counter("b", "k").increment()
        assert refused.value.outcome == "not_applied"
        with pytest.raises(WrongType):
            await client.counter("b", "k").value()
        with pytest.raises(BadRequest):
            await client.set("b", "s").add()
        with pytest.raises(TooLarge):
            await client.set("b", "s").add("x" * 5000)
        with pytest.raises(CodecError):
            await client.set("b", "s").add(object())  # type: ignore[arg-type]  # what this is about
        with pytest.raises(BadContext):
            await client.set("b", "s").remove("x", seen="no context")
        with pytest.raises(BadRequest):
            await client.counter("-", "k").increment()

    play(story)


def test_a_session_has_the_same_objects() -> None:
    async def story(client: AsyncClient, cluster: Cluster) -> None:
        async with client.session() as session:
            counter = session.counter("b", "k")
            await counter.increment(3)
            assert session.token != "new"
            assert await counter.value(r=1) == 3

    play(story)


# --- repetitions ------------------------------------------------------------------------------------------------------


IN_CBOR = {"Content-Type": "application/cbor", "Dynkv-Siblings": "1"}


def fake(story: Callable[[FakeCluster, AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, **settings) as client:
            await story(cluster, client)

    asyncio.run(main())


def applied(asked: Asked) -> Said:
    return Said(204, b"", {"Dynkv-Siblings": "1", "Dynkv-Outcome": "applied", "ETag": '"0"', "Dynkv-Dot": "1-1"})


def attempts(cluster: FakeCluster) -> list[str | None]:
    return [asked.headers.get("Dynkv-Attempt") for asked in cluster.asked if asked.path.startswith("/types/")]


def test_an_attempt_after_one_that_may_have_arrived_says_so() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        broken: list[Said | str] = [HANG_UP, problem("quorum-unmet", 503, outcome="ambiguous")]

        def rule(asked: Asked) -> Said | str | None:
            if not asked.path.startswith("/types/"):
                return None
            return broken.pop() if broken else applied(asked)

        cluster.rule = rule
        await client.counter("b", "k").increment()
        assert attempts(cluster) == [None, "2", "3"]
        ids = {asked.write_id for asked in cluster.asked if asked.path.startswith("/types/")}
        assert len(ids) == 1

    fake(story)


def test_an_attempt_after_one_that_certainly_did_nothing_does_not() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        broken = [problem("overloaded", 503, outcome="not_applied")]

        def rule(asked: Asked) -> Said | str | None:
            if not asked.path.startswith("/types/"):
                return None
            return broken.pop() if broken else applied(asked)

        cluster.rule = rule
        await client.counter("b", "k").increment()
        assert attempts(cluster) == [None, None]

    fake(story)


def test_a_call_under_a_write_id_of_before_is_a_repetition_from_its_start() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: HANG_UP if asked.path.startswith("/types/") else None
        with pytest.raises(Unavailable) as failed:
            await client.counter("b", "k").increment(timeout=0.3)
        assert failed.value.outcome == "ambiguous"
        cluster.asked.clear()
        cluster.rule = lambda asked: applied(asked) if asked.path.startswith("/types/") else None
        receipt = await client.counter("b", "k").increment(write_id=failed.value.write_id)
        assert receipt.write_id == failed.value.write_id
        assert attempts(cluster) == ["2"]

    fake(story)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"hello", {"Content-Type": "text/html"}),
        Said(404, b"gone", {"Content-Type": "text/html"}),
        Said(200, b"\xff", IN_CBOR),
        Said(200, b'{"value": 1}', {"Content-Type": "application/json", "Dynkv-Siblings": "1"}),
        Said(200, cbor2.dumps([1]), IN_CBOR),
        Said(200, cbor2.dumps({"type": "set", "value": []}), IN_CBOR),
    ],
)
def test_an_answer_that_no_node_writes_is_told_as_such(said: Said) -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        cluster.rule = lambda asked: said if asked.path.startswith("/types/") else None
        with pytest.raises(NotDynkv):
            await client.set("b", "k").value()

    fake(story)


def test_a_field_of_two_kinds_is_read_as_the_one_that_is_asked_for() -> None:
    async def story(cluster: FakeCluster, client: AsyncClient) -> None:
        both = [{"type": "counter", "value": 5}, {"type": "set", "value": ["x"]}]
        told = {"type": "map", "value": {"f": {"type": "several", "values": both}}, "context": "c", "etag": "0"}
        said = Said(200, cbor2.dumps(told), IN_CBOR)
        cluster.rule = lambda asked: said if asked.path.startswith("/types/") else None
        user = client.map("b", "k")
        assert await user.counter("f").value() == 5
        assert await user.set("f").value() == ["x"]
        assert await user.flag("f").read() == (False, "c", False)

    fake(story)


def test_the_blocking_client_has_them_too() -> None:
    """From a program without a loop, while the nodes live on one in another thread."""

    def program(addresses: list[str]) -> None:
        with Client(addresses, route=False) as client:
            counter = client.counter("b", "c")
            counter.increment(2)
            assert (counter.decrement(returning=True).value, counter.value()) == (1, 1)
            cart = client.set("b", "s")
            cart.add("x", "y")
            cart.remove("x")
            cart.update(add=["z"])
            assert (cart.value(), cart.contains("z")) == (["y", "z"], True)
            flag, register = client.flag("b", "f"), client.register("b", "r")
            flag.enable()
            assert flag.value() is True
            flag.disable()
            register.set([1])
            assert (flag.read().value, register.value()) == (False, [1])
            user = client.map("b", "m")
            user.counter("n").increment()
            user.map("in").set("s").add("x")
            user.flag("f").enable()
            user.register("r").set(1)
            user.update({"n": {"type": "counter", "increment": 1}})
            user.remove("f", "r", "in")
            assert user.value() == {"n": {"type": "counter", "value": 2}}
            with client.session() as session:
                assert session.counter("b", "c").value() == 1

    async def main() -> None:
        cluster = Cluster(3)
        async with AsyncExitStack() as stack:
            ports = [(await stack.enter_async_context(in_front_of(cluster, name)))[1] for name in cluster.names]
            await asyncio.to_thread(program, [f"127.0.0.1:{port}" for port in ports])

    asyncio.run(main())
