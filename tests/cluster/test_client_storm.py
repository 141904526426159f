"""Three nodes, killed and paused at random while sixteen clients update shared sets and counters in their sessions.

No update is lost or done twice, no session is shown what it may not be, and in the end every node holds the same.
`updaters` is the oracle. DYNKV_STORM_S makes it longer, DYNKV_STORM_SEED is another storm than ever the same:

    DYNKV_STORM_S=600 DYNKV_STORM_SEED=7 .venv-test/bin/python -m pytest tests/cluster/test_client_storm.py -s
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dynkv import AsyncClient, Sibling, merging, union
from dynkv.client.requests import Level
from dynkv.client.session import AsyncSession
from tests.cluster.healing import OPTIONS, wait_healed
from tests.cluster.processes import Cluster, ClusterMaker, Node
from tests.cluster.test_client_kill import restarted
from tests.cluster.updaters import Book, Books, Elements, Known, Sum, Tally
from tests.cluster.views import wait_no_hints
from tests.support import eventually_async

SEED = os.environ.get("DYNKV_STORM_SEED", "20260101")
STORM_S = float(os.environ.get("DYNKV_STORM_S", "15"))
CLIENTS = 16
BUCKET = "storm"

# Two hands do harm, each to one node at a time: now and then two of three nodes are away.
HANDS = 2
CALM_S = (0.3, 2.0)
KILLED_S = (0.1, 1.5)
PAUSED_S = (0.1, 2.5)

# Nothing fails while there is so much time to go on elsewhere, and for what a session knows to come back.
PATIENCE_S = 60.0
ANOTHER_CLIENT = 0.02

# Each node by itself, then all together.
LEVELS: tuple[Level, ...] = (1, "all")


@merging
def greatest_by_name(siblings: Sequence[Sibling]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sibling in siblings:
        for name, count in sibling.value.items():
            counts[name] = max(count, counts.get(name, 0))
    return counts


class Updater:
    """One client in one session, which now and then goes on in another client.

    Of four, one goes to each key's first node and asks for the usual levels; one for one replica only; the other two do
    the same and go to another node with every request.
    """

    def __init__(self, number: int, addresses: Sequence[str], books: Books, done: Counter[str]) -> None:
        self._name = f"c{number}"
        self._addresses = [*addresses[number % 3 :], *addresses[: number % 3]]
        self._route = number % 4 < 2
        self._r: dict[str, Any] = {"r": 1} if number % 2 else {}
        self._w: dict[str, Any] = {"w": 1} if number % 2 else {}
        self._books = books
        self._done = done
        self._chance = random.Random(f"{SEED} {self._name}")
        self._known: dict[str, Known] = {}
        self._ours: list[tuple[str, str]] = []  # elements of store sets that are there by our doing
        self._count = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, or the first thing that is wrong."""
        token = ""
        while not stop.is_set():
            client = AsyncClient(
                self._addresses, route=self._route, timeout_s=PATIENCE_S, attempt_s=1.0, objects="application/cbor"
            )
            async with client:
                session = client.new_session(token, wait=PATIENCE_S)
                while not stop.is_set():
                    await self._step(session)
                    if self._chance.random() < ANOTHER_CLIENT:
                        break
                token = session.token

    async def _step(self, session: AsyncSession) -> None:
        kind = self._chance.choice(("union", "tally", "set", "counter"))
        key, book = self._books.current(kind)
        await getattr(self, f"_{kind}")(session, key, book, self._known.setdefault(key, Known()))
        self._done[kind] += 1

    async def _union(self, session: AsyncSession, key: str, book: Elements, known: Known) -> None:
        if self._chance.random() < 0.3:
            entry = await session.get(BUCKET, key, default=set(), resolve=union, **self._r)
            book.shown(entry.value, known)
            return
        element = self._fresh()

        def add(elements: set[str]) -> set[str]:
            book.shown(elements, known)
            book.adds(element, known)
            return elements | {element}

        await session.update(BUCKET, key, add, default=set(), resolve=union, **self._r, **self._w)
        book.added(element, known)

    async def _tally(self, session: AsyncSession, key: str, book: Tally, known: Known) -> None:
        if self._chance.random() < 0.3:
            entry = await session.get(BUCKET, key, default={}, resolve=greatest_by_name, **self._r)
            book.shown(entry.value, known)
            return

        def add(counts: dict[str, int]) -> dict[str, int]:
            book.shown(counts, known)
            return {**counts, self._name: book.adds(self._name, known)}

        await session.update(BUCKET, key, add, default={}, resolve=greatest_by_name, **self._r, **self._w)
        book.added(self._name, known)

    async def _set(self, session: AsyncSession, key: str, book: Elements, known: Known) -> None:
        shared = session.set(BUCKET, key)
        chance = self._chance.random()
        if chance < 0.3:
            book.shown(await shared.value(**self._r), known)
            return
        ours = [element for where, element in self._ours if where == key]
        if chance < 0.5 and ours:
            element = self._chance.choice(ours)
            self._ours.remove((key, element))
            book.removes(element)
            await shared.remove(element, **self._w)
            book.removed(element, known)
            return
        element = self._fresh()
        book.adds(element, known)
        await shared.add(element, **self._w)
        book.added(element, known)
        self._ours.append((key, element))

    async def _counter(self, session: AsyncSession, key: str, book: Sum, known: Known) -> None:
        shared = session.counter(BUCKET, key)
        if self._chance.random() < 0.3:
            book.shown(await shared.value(**self._r), known)
            return
        by = self._chance.randint(1, 3)
        book.adds(by)
        await shared.increment(by, **self._w)
        book.added(by, known)

    def _fresh(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"


class Storm:
    """Harm to nodes, drawn from the seed, until it is over."""

    def __init__(self, nodes: Sequence[Node], seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self._nodes = nodes
        self._harmed: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._over_at = self._loop.time() + seconds

    async def hand(self, number: int) -> None:
        """Kill or pause one node after the other; when this returns what it did is undone."""
        chance = random.Random(f"{SEED} hand {number}")
        while True:
            await self._pass(chance.uniform(*CALM_S))
            if self._loop.time() >= self._over_at:
                return
            node = chance.choice([node for node in self._nodes if node.name not in self._harmed])
            kill, killed_s, paused_s = chance.random() < 0.5, chance.uniform(*KILLED_S), chance.uniform(*PAUSED_S)
            self._harmed.add(node.name)
            self.counts["both hands"] += len(self._harmed) > 1
            if kill:
                self.counts["killed"] += 1
                await asyncio.to_thread(node.kill)
                await self._pass(killed_s)
                await restarted(node)
            else:
                self.counts["paused"] += 1
                node.signal(signal.SIGSTOP)
                await self._pass(paused_s)
                node.signal(signal.SIGCONT)
            self._harmed.remove(node.name)

    async def _pass(self, seconds: float) -> None:
        """Time in which the clients work: the load is what this test waits for."""
        end = self._loop.time() + seconds

        async def passed() -> bool:
            return self._loop.time() >= end

        await eventually_async(passed, seconds + 5.0, "time passes")


async def weather(cluster: Cluster) -> Books:
    """The storm and the clients in it; what they did."""
    print(f"seed {SEED}, {STORM_S:g} s")
    books = Books()
    done: Counter[str] = Counter()
    stop = asyncio.Event()
    addresses = [node.address for node in cluster.nodes]
    storm = Storm(cluster.nodes, STORM_S)
    updaters = [asyncio.create_task(Updater(i, addresses, books, done).run(stop)) for i in range(CLIENTS)]
    hands = [asyncio.create_task(storm.hand(number)) for number in range(HANDS)]
    # The first to end is a hand whose time is over, or a client that met what must not be.
    await asyncio.wait([*hands, *updaters], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*hands)
    stop.set()
    await asyncio.gather(*updaters)
    for node in cluster.nodes:
        node.http.close_all()  # a thread's connection may be to a process that was killed since
    print(f"harm: {dict(storm.counts)}; done: {dict(done)}")
    assert min(storm.counts["killed"], storm.counts["paused"]) >= STORM_S / 10, storm.counts
    assert min(done[kind] for kind in Books.MAKES) > 10 * STORM_S, done
    return books


def expected(book: Book) -> Any:
    match book:
        case Elements():
            return book.present
        case Tally():
            return book.counts
        case Sum():
            return book.total


async def shown_by(client: AsyncClient, kind: str, key: str, r: Level) -> Any:
    match kind:
        case "union":
            return (await client.get(BUCKET, key, resolve=union, r=r)).value
        case "tally":
            return (await client.get(BUCKET, key, resolve=greatest_by_name, r=r)).value
        case "set":
            return set(await client.set(BUCKET, key).value(r=r))
        case _:
            return await client.counter(BUCKET, key).value(r=r)


async def all_show(cluster: Cluster, books: Books) -> None:
    """At every node, at every level, and byte by byte."""
    for node in cluster.nodes:
        async with AsyncClient(node.address, route=False) as client:
            for r in LEVELS:
                for kind, key, book in books.all():
                    assert await shown_by(client, kind, key, r) == expected(book), f"{key} at {node.name}, r={r}"
        for _, key, _ in books.all():
            replicas = node.get(f"/kv/{BUCKET}/{key}?replicas=true")["replicas"]
            assert [replica["state"] for replica in replicas] == ["same"] * 3, f"{key}: {replicas}"


def test_no_update_is_lost_and_no_guarantee_broken_in_a_storm(
    make_cluster: ClusterMaker,
) -> None:
    cluster = make_cluster(options=OPTIONS).start()

    async def main() -> None:
        books = await weather(cluster)
        await asyncio.to_thread(wait_no_hints, cluster)
        await asyncio.to_thread(wait_healed, cluster)
        await all_show(cluster, books)

    asyncio.run(main())
