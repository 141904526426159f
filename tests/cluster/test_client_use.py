"""The client with real nodes that are all well: conflicts, threads, loops, many keys, 32 clients at one key."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynkv import AsyncClient, BatchError, Client, ConflictError, Put, Unauthorized, union, union_with
from dynkv import maximum as greatest
from tests.cluster.processes import Cluster, ClusterMaker

CLIENTS = 32


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes for all tests here: nothing is done to them, and each test has a bucket of its own."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made.start()
    finally:
        made.close()


def addresses(cluster: Cluster) -> list[str]:
    return [node.address for node in cluster.nodes]


def test_conflicts_are_met_resolved_and_written_back(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as ann, AsyncClient(addresses(cluster)) as bob:
            await ann.put("carts", "c", {"tea": 1})
            seen = await ann.get("carts", "c")
            await ann.put("carts", "c", {"tea": 2}, seen.context)
            assert (await bob.put("carts", "c", {"tea": 1, "milk": 1}, seen.context)).siblings == 2
            with pytest.raises(ConflictError) as met:
                await ann.get("carts", "c")
            assert sorted(len(value) for value in met.value.values) == [1, 2]
            carts = union_with(greatest)
            assert (await ann.get("carts", "c", resolve=carts)).value == {"tea": 2, "milk": 1}
            await bob.get("carts", "c", resolve=carts, write_back=True)
            assert (await ann.get("carts", "c")).value == {"tea": 2, "milk": 1}
            await ann.delete("carts", "c")
            assert not await bob.exists("carts", "c")
            assert (await bob.get("carts", "c")).deleted

    asyncio.run(main())


def test_32_clients_at_one_key_lose_no_increment_and_no_element(cluster: Cluster) -> None:
    async def main() -> None:
        clients = [AsyncClient(addresses(cluster)) for _ in range(CLIENTS)]

        async def one(i: int) -> None:
            client = clients[i]
            await client.update(
                "contended", "counter", lambda value: value + 1, default=0, resolve=greatest, timeout=60
            )
            await client.update("contended", "list", lambda items: [*items, i], default=[], resolve=union, timeout=60)

        await asyncio.gather(*map(one, range(CLIENTS)))
        assert (await clients[0].get("contended", "counter")).value >= CLIENTS
        assert sorted((await clients[0].get("contended", "list", resolve=union)).value) == list(range(CLIENTS))
        for client in clients:
            await client.close()

    asyncio.run(main())


def test_32_tasks_of_one_client_count_exactly(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:
            await asyncio.gather(
                *(client.update("tasks", "n", lambda value: value + 1, default=0, timeout=60) for _ in range(CLIENTS))
            )
            assert (await client.get("tasks", "n")).value == CLIENTS

    asyncio.run(main())


def test_several_threads_share_a_blocking_client(cluster: Cluster) -> None:
    with Client(addresses(cluster)) as client, ThreadPoolExecutor(8) as pool:

        def work(i: int) -> bool:
            client.put("threads", f"k{i}", i)
            client.update("threads", "total", lambda value: value + 1, default=0, timeout=60)
            return bool(client.get("threads", f"k{i}").value == i)

        assert all(pool.map(work, range(100)))
        assert client.get("threads", "total").value == 100
        assert [entry.value for entry in client.get_many("threads", [f"k{i}" for i in range(100)])] == list(range(100))
        assert set(client.keys("threads")) == {"total", *(f"k{i}" for i in range(100))}
        with client.session() as session:
            session.put("threads", "s", 1)
            assert session.get("threads", "s", r=1).value == 1
        assert set(client.put("threads", "r", 1).replicated(timeout=20).have) == {"n1", "n2", "n3"}
    assert not [thread for thread in threading.enumerate() if thread.name == "dynkv-client"]


def test_a_blocking_client_in_the_thread_of_a_running_loop(cluster: Cluster) -> None:
    async def main() -> None:
        with Client(addresses(cluster)) as blocking:
            async with AsyncClient(addresses(cluster)) as client:
                await client.put("loops", "k", 1)
                assert blocking.get("loops", "k").value == 1
                assert blocking.update("loops", "k", lambda value: value + 1).value == 2
                assert (await client.get("loops", "k")).value == 2

    asyncio.run(main())


def test_many_keys_and_what_is_wrong_with_one_of_them(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:
            receipts = await client.put_many("many", ((f"k{i:04}", {"i": i}) for i in range(2500)), timeout=60)
            assert {receipt.siblings for receipt in receipts} == {1}
            entries = await client.get_many("many", [f"k{i:04}" for i in range(2500)], timeout=60)
            assert [entry.value["i"] for entry in entries] == list(range(2500))
            again = [Put(entry.key, i, entry.context) for i, entry in enumerate(entries)]
            assert {receipt.siblings for receipt in await client.put_many("many", again, timeout=60)} == {1}
            with pytest.raises(BatchError) as failed:
                await client.put_many("many", [("a", 1), ("b", 2, "no context"), ("c", 3)])
            assert set(failed.value.failed) == {1}
            assert await client.exists("many", "c")
            keys = [key async for key in client.keys("many", "k")]
            assert sorted(keys) == [f"k{i:04}" for i in range(2500)]
            assert len([key async for key in client.keys("many", "k", limit=1234)]) == 1234

    asyncio.run(main())


def test_requests_go_to_the_first_primary_of_their_keys(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster["n1"].address) as client:
            await client.refresh()
            for i in range(60):
                await client.put("straight", f"k{i}", i)

    def puts(name: str) -> float:
        text = cluster[name].http.request("GET", "/metrics").body.decode()
        lines = [line for line in text.splitlines() if line.startswith("dynkv_http_requests_total{") and "PUT" in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'route="kv"' in line)

    before = {node.name: puts(node.name) for node in cluster.nodes}
    asyncio.run(main())
    counts = {node.name: puts(node.name) - before[node.name] for node in cluster.nodes}
    preference = cluster["n1"].get("/ring")["preference"]
    expected = dict.fromkeys(counts, 0)
    for i in range(60):
        place = cluster["n1"].get(f"/ring?bucket=straight&key=k{i}")
        expected[preference[place["partition"]][0]] += 1
    assert counts == expected


def test_a_client_without_the_token_is_refused_and_one_with_it_is_not(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    for node in cluster.nodes:
        node.environment["DYNKV_CLIENT_TOKEN"] = "open-sesame"
        node.start()

    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:
            with pytest.raises(Unauthorized):
                await client.put("b", "k", 1)
        async with AsyncClient(addresses(cluster), token="open-sesame") as client:
            await client.put("b", "k", 1, timeout=30)
            assert (await client.get("b", "k")).value == 1
            await client.refresh()

    for node in cluster.nodes:
        node.wait_ready()
    asyncio.run(main())
