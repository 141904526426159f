"""Who holds what, as a client comes to know it."""

import asyncio
from typing import Any

import pytest

from dynkv.client import AsyncClient, NotDynkv, Unreachable
from dynkv.client.options import Options, seeds_of
from dynkv.client.ring_view import means_the_same_here, parse
from ring.tokens import partition_of, token
from tests.support import eventually_async, free_port
from tests.unit.client_fakes import HANG, FakeCluster, LaterClock, Said, client_of, fake_cluster

RING = {"partitions": 2, "n": 3, "preference": [["n1", "n2"], ["n2", "n1"]]}


def nodes(**addresses: str | None) -> dict[str, Any]:
    return {"node": "n1", "nodes": [{"id": name, "http": address} for name, address in addresses.items()]}


def test_a_keys_order_is_its_partitions_list() -> None:
    view = parse(RING, nodes(n1="h1:1", n2="h2:2"), {}, "http://h1:1")
    for i in range(20):
        key = b"%d" % i
        first = partition_of(token("b", key), 2)
        assert view.order("b", key) == (("http://h1:1", "http://h2:2"), ("http://h2:2", "http://h1:1"))[first]


def test_the_users_own_address_of_a_node_is_the_one_that_is_used() -> None:
    view = parse(RING, nodes(n1="10.0.0.1:1", n2="10.0.0.2:2"), {"n1": "http://db:1"}, "http://db:1")
    assert view.addresses == {"n1": "http://db:1", "n2": "http://10.0.0.2:2"}


@pytest.mark.parametrize(
    ("said", "asked", "same"),
    [
        ("10.0.0.2:8101", "http://10.0.0.1:8101", True),
        ("db2:8101", "http://db1:8101", True),
        ("0.0.0.0:8101", "http://127.0.0.1:8101", False),
        ("[::]:8101", "http://127.0.0.1:8101", False),
        ("127.0.0.1:8102", "http://127.0.0.1:8101", True),
        ("127.0.0.1:8102", "http://localhost:8101", True),
        ("127.0.0.1:8102", "http://db1:8101", False),
        ("localhost:8102", "http://10.0.0.1:8101", False),
        ("[::1]:8102", "http://10.0.0.1:8101", False),
        ("10.0.0.2:8101", "https://db1", False),
        ("", "http://db1:8101", False),
    ],
)
def test_an_address_is_taken_only_where_it_means_the_same_to_us(said: str, asked: str, same: bool) -> None:
    assert means_the_same_here(said, asked) is same


def test_an_unheard_node_and_one_that_cannot_be_reached_are_left_out() -> None:
    view = parse(RING, nodes(n1="h1:1", n2=None), {}, "http://h1:1")
    assert view.addresses == {"n1": "http://h1:1"}
    assert set(view.order("b", b"k")) == {"http://h1:1"}


@pytest.mark.parametrize(
    ("ring", "told"),
    [
        ({}, nodes()),
        ([], nodes()),
        (RING | {"preference": []}, nodes()),
        (RING | {"preference": [["n1"]] * 3}, nodes()),
        (RING | {"preference": "n1"}, nodes()),
        (RING | {"preference": [["n1"], "n1"]}, nodes()),
        (RING | {"preference": [[1], [2]]}, nodes()),
        (RING, []),
        (RING, {"nodes": [1]}),
        (RING, {"nodes": [{}]}),
        (RING, {}),
    ],
)
def test_what_describes_no_cluster_is_no_ring(ring: Any, told: Any) -> None:
    with pytest.raises(NotDynkv):
        parse(ring, told, {}, "http://h1:1")


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ("127.0.0.1:8101", ["http://127.0.0.1:8101"]),
        ("https://db/", ["https://db"]),
        (["a:1", "http://a:1", "b:2"], ["http://a:1", "http://b:2"]),
        ("http://db/base/", ["http://db/base"]),
        ("[::1]:8101", ["http://[::1]:8101"]),
    ],
)
def test_addresses(given: Any, seeds: list[str]) -> None:
    assert seeds_of(given) == seeds


@pytest.mark.parametrize(
    "given", ["", [], "ftp://a", "http://", "a:x", "http://a/?q=1", "http://u:p@a", "a:0", "a:99999"]
)
def test_what_is_no_address(given: Any) -> None:
    with pytest.raises(ValueError, match="address"):
        AsyncClient(given)


@pytest.mark.parametrize(
    "setting",
    [
        {"timeout_s": 0},
        {"attempt_s": -1},
        {"concurrency": 0},
        {"pause_s": float("nan")},
        {"token": "a\nb"},
        {"token": "a b"},
    ],
)
def test_what_is_no_setting(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        Options(**setting)
    with pytest.raises(TypeError):
        AsyncClient("a:1", retries=3)


# --- over nodes -------------------------------------------------------------------------------------------------------


def asked_for_ring(cluster: FakeCluster) -> int:
    return sum(1 for asked in cluster.asked if asked.path == "/ring")


def test_the_first_call_asks_for_the_ring_beside_itself() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster, known=False) as client:
            key = cluster.key_of("n3")
            await client.get("b", key)

            async def straight() -> bool:
                await client.get("b", key)
                return cluster.requests()[-1].node == "n3"

            await eventually_async(straight)
            assert asked_for_ring(cluster) == 1

    asyncio.run(main())


def test_one_address_is_enough_to_find_all() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, AsyncClient(cluster["n1"].url) as client:
            await client.refresh()
            for i in range(12):
                await client.get("b", f"k{i}")
            assert {asked.node for asked in cluster.requests()} == {"n1", "n2", "n3"}

    asyncio.run(main())


def test_old_knowledge_is_asked_for_again_and_kept_meanwhile() -> None:
    async def main() -> None:
        clock = LaterClock()
        async with fake_cluster() as cluster, client_of(cluster, clock=clock) as client:
            clock.later_s += 61
            key = cluster.key_of("n2")
            await client.get("b", key)
            assert cluster.requests()[0].node == "n2"
            await eventually_async(_ring_again(cluster))

    asyncio.run(main())


def test_after_a_node_failed_the_ring_is_asked_for_again() -> None:
    async def main() -> None:
        clock = LaterClock()
        async with fake_cluster() as cluster, client_of(cluster, clock=clock) as client:
            clock.later_s += 2
            key = cluster.key_of("n2")
            await client.get("b", key)
            assert asked_for_ring(cluster) == 0
            await cluster["n2"].stop()
            await client.get("b", key)
            await eventually_async(_ring_again(cluster))

    asyncio.run(main())


def test_if_all_addresses_given_are_gone_nodes_known_of_are_asked() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, AsyncClient(cluster["n1"].url, pause_s=0.001) as client:
            await client.refresh()
            await cluster["n1"].stop()
            await client.get("b", cluster.key_of("n1"))  # meets that it is gone
            cluster.asked.clear()
            await client.refresh()
            assert asked_for_ring(cluster) == 1

    asyncio.run(main())


def test_a_ring_that_is_none_leaves_what_was_known_and_is_told() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, client_of(cluster) as client:
            cluster.rule = lambda asked: Said(200, b"[1]") if asked.path == "/ring" else None
            with pytest.raises(NotDynkv):
                await client.refresh()
            assert isinstance(client.routing_problem, NotDynkv)
            key = cluster.key_of("n3")
            await client.get("b", key)
            assert cluster.requests()[0].node == "n3"
            cluster.rule = lambda asked: None
            await client.refresh()
            assert client.routing_problem is None

    asyncio.run(main())


def test_an_address_that_is_no_more_is_forgotten_with_all_that_was_known_of_it() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, AsyncClient(cluster["n1"].url, pause_s=0.001) as client:
            await client.refresh()
            moved = cluster["n3"]
            before = moved.url
            await moved.stop()
            await client.get("b", cluster.key_of("n3"))
            health, now = client._core().caller.health, client._core().clock.now()
            assert health.rank(before, now) == 1
            moved.port = 0
            await moved.start()
            await client.refresh()
            assert moved.url != before
            assert health.rank(before, now) == 0

    asyncio.run(main())


def test_closing_leaves_no_question_for_the_ring_behind() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster:
            cluster.rule = lambda asked: HANG if asked.path == "/nodes" else None
            async with client_of(cluster, known=False) as client:
                await client.get("b", "k")
                assert "ring" in {task.get_name() for task in asyncio.all_tasks()}
            assert "ring" not in {task.get_name() for task in asyncio.all_tasks()}

    asyncio.run(main())


def test_refresh_tells_that_nobody_answers() -> None:
    async def main() -> None:
        async with AsyncClient([f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]) as client:
            with pytest.raises(Unreachable):
                await client.refresh()

    asyncio.run(main())


def test_without_routing_only_the_addresses_given_are_asked_and_nobody_for_the_ring() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster, AsyncClient(cluster["n1"].url, route=False) as client:
            for i in range(6):
                await client.put("b", f"k{i}", b"v")
            await client.update("b", "u", lambda value: value + 1, default=0)
            assert {asked.node for asked in cluster.asked} == {"n1"}
            assert all(asked.about_a_key for asked in cluster.asked)

    asyncio.run(main())


def test_nodes_that_say_addresses_which_mean_nothing_here_are_reached_by_those_given() -> None:
    async def main() -> None:
        async with fake_cluster() as cluster:
            cluster.addresses = {node.name: "0.0.0.0:1" for node in cluster.nodes}
            async with client_of(cluster) as client:
                for i in range(12):
                    await client.get("b", f"k{i}")
                assert [asked.node for asked in cluster.requests()] == [
                    cluster.primary("b", f"k{i}") for i in range(12)
                ]

    asyncio.run(main())


def _ring_again(cluster: FakeCluster) -> Any:
    async def again() -> bool:
        return asked_for_ring(cluster) > 0

    return again
