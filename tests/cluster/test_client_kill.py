"""The client while nodes die and stand still: no failed request, nothing acknowledged lost, no guarantee broken."""

import asyncio
import itertools
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dynkv import AsyncClient, ClientError, NotReplicated, union
from tests.cluster.processes import Cluster, Node
from tests.cluster.views import wait_no_hints
from tests.support import eventually_async

TASKS = 8


def addresses(cluster: Cluster) -> list[str]:
    return [node.address for node in cluster.nodes]


class Workers:
    """Tasks that do `work(task, count)` again and again; what fails is remembered. `done`: how often it went well."""

    def __init__(self, work: Callable[[int, int], Awaitable[None]]) -> None:
        self.failures: list[Exception] = []
        self.done = 0
        self._work = work
        self._stop = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Workers":
        self._tasks = [asyncio.create_task(self._run(task)) for task in range(TASKS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)

    async def _run(self, task: int) -> None:
        for count in itertools.count():
            if self._stop:
                return
            try:
                await self._work(task, count)
            except (ClientError, AssertionError) as error:
                self.failures.append(error)
            else:
                self.done += 1

    async def more(self, count: int, deadline_s: float = 60.0) -> None:
        """Until so much more was done."""
        goal = self.done + count

        async def reached() -> bool:
            return self.done >= goal

        await eventually_async(reached, deadline_s, f"{goal} done")


async def restarted(node: Node) -> None:
    """The node is back, while the loop goes on."""
    node.start()
    await asyncio.to_thread(node.wait_ready)


@pytest.mark.parametrize("victim", ["n1", "n2"])
def test_kill_9_of_one_of_three_under_8_tasks_fails_no_request(cluster: Cluster, victim: str) -> None:
    async def main() -> None:
        written: dict[str, int] = {}
        async with AsyncClient(addresses(cluster)) as client:

            async def work(task: int, count: int) -> None:
                key = f"k{task}-{count}"
                await client.put("b", key, count)
                written[key] = count
                assert (await client.get("b", key)).value == count
                if count % 10 == 0:
                    items = {f"m{task}-{count}-{i}": i for i in range(20)}
                    await client.put_many("b", items)
                    written.update(items)
                    assert [entry.value for entry in await client.get_many("b", items)] == list(range(20))

            async with Workers(work) as workers:
                await workers.more(300)
                await asyncio.to_thread(cluster[victim].kill)
                await workers.more(600)
                await restarted(cluster[victim])
                await workers.more(300)
            assert workers.failures == []
            await asyncio.to_thread(wait_no_hints, cluster)
            entries = await client.get_many("b", written, r="all", timeout=60)
            assert [entry.value for entry in entries] == list(written.values())
            assert sorted([key async for key in client.keys("b")]) == sorted(written)

    asyncio.run(main())


def test_sigstop_of_one_of_three_under_8_tasks_fails_no_request(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:

            async def work(task: int, count: int) -> None:
                key = f"k{task}-{count}"
                await client.put("b", key, count)
                assert (await client.get("b", key)).value == count

            async with Workers(work) as workers:
                await workers.more(200)
                cluster["n2"].signal(signal.SIGSTOP)
                await workers.more(600)
                cluster["n2"].signal(signal.SIGCONT)
                await workers.more(200)
            assert workers.failures == []

    asyncio.run(main())


def test_updates_of_a_shared_set_by_8_clients_lose_nothing_while_nodes_die(cluster: Cluster) -> None:
    """Clients of their own, so that they compete; some of them lead the key's writes through one node, some another."""

    async def main() -> None:
        added: set[str] = set()
        clients = [AsyncClient(addresses(cluster), resolve=union, objects="application/cbor") for _ in range(TASKS)]

        async def work(task: int, count: int) -> None:
            item = f"{task}-{count}"
            await clients[task].update("b", "shared", lambda items: items | {item}, default=set(), timeout=30)
            added.add(item)

        async with Workers(work) as workers:
            for node in cluster.nodes:
                await workers.more(60)
                await asyncio.to_thread(node.kill)
                await workers.more(60)
                await restarted(node)
                await asyncio.to_thread(wait_no_hints, cluster)
        assert workers.failures == []
        entry = await clients[0].get("b", "shared", r="all", write_back=True)
        assert entry.value == added
        assert (await clients[1].get("b", "shared")).values == [added]
        for client in clients:
            await client.close()

    asyncio.run(main())


def test_a_session_keeps_its_guarantees_at_r_1_while_nodes_die(cluster: Cluster) -> None:
    """Without a session r=1, w=1 promises nothing of the kind. Each task has a session and a key of its own.

    A write that reached only the dying node and was repeated at another is two events; once the second was overwritten
    the first may come back beside what is newer, as a sibling, and may not come back in its place.
    """

    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:
            sessions = [client.new_session(wait=20) for _ in range(TASKS)]

            async def work(task: int, count: int) -> None:
                session = sessions[task]
                await session.put("b", f"s{task}", count, w=1, timeout=30)
                entry = await session.get("b", f"s{task}", r=1, resolve="maximum", timeout=30)
                assert entry.value == count
                # Handed to somebody else, it goes on from there.
                sessions[task] = client.new_session(session.token, wait=20)
                again = await sessions[task].get("b", f"s{task}", r=1, resolve="maximum", timeout=30)
                assert again.value == count

            async with Workers(work) as workers:
                await workers.more(80)
                await asyncio.to_thread(cluster["n1"].kill)
                await workers.more(80)
                await restarted(cluster["n1"])
                await workers.more(80)
            assert workers.failures == []

    asyncio.run(main())


def test_a_receipt_tells_who_has_a_write_and_waits_for_who_does_not(cluster: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(addresses(cluster)) as client:
            assert (await (await client.put("b", "k", 1)).replicated(timeout=20)).have == sorted(
                ["n1", "n2", "n3"], key=await _preference(client, "k")
            )
            await asyncio.to_thread(cluster["n3"].kill)
            receipt = await client.put("b", "k2", 2)
            assert set((await receipt.replicated(2)).have) == {"n1", "n2"}
            with pytest.raises(NotReplicated) as failed:
                await receipt.replicated(3, timeout=1)
            assert set(failed.value.have) == {"n1", "n2"}
            assert "n3" in failed.value.unknown
            waiting = asyncio.gather(receipt.replicated("all", timeout=60))
            await restarted(cluster["n3"])
            assert set((await waiting)[0].have) == {"n1", "n2", "n3"}

    asyncio.run(main())


async def _preference(client: AsyncClient, key: str) -> Callable[[str], Any]:
    """The place of a node in the key's list, as the cluster's order of `have` is."""
    await client.refresh()
    view = client._core().routing.view
    assert view is not None
    names = {url: node for node, url in view.addresses.items()}
    order = [names[url] for url in view.order("b", key.encode())]
    return order.index
