"""Asking all nodes how they are: once for all who look, as long as it takes and no longer, in one clock's time."""

import asyncio
from collections.abc import Callable

from msgspec import structs

from dynkv.core import survey as surveys
from dynkv.core.overview_rows import Overview
from dynkv.peer.messages import Absent, Answer, Failed, Request, Survey, Surveyed
from dynkv.surveying import Surveying
from tests.unit.peers import Cluster, clustered, until
from tests.unit.surveys import NOW_MS, Told


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return NOW_MS + int(self.seconds * 1000)


class World:
    """Three nodes whose transports are real and whose surveys are told by the test; n1 looks."""

    def __init__(self, cluster: Cluster) -> None:
        self.told = Told()
        self.clock = HandClock()
        self.peers = cluster.peers
        self.asked = 0
        self.surveying = Surveying(
            own=lambda: self.survey("n1"),
            facts=lambda: self.told.facts,
            transport=self.peers["n1"].network,
            clock=self.clock,
        )
        for name in ("n2", "n3"):
            self.peers[name].answer = self._answers(name)

    def survey(self, name: str) -> surveys.NodeSurvey:
        survey = self.told.surveys[name]
        assert survey is not None
        return survey

    def _answers(self, name: str) -> Callable[[Request], Answer | None]:
        def answer(request: Request) -> Answer | None:
            assert isinstance(request, Survey)
            self.asked += 1
            said: list[Answer] = []
            other = Surveying(
                own=lambda: self.survey(name),
                facts=lambda: self.told.facts,
                transport=self.peers[name].network,
                clock=self.clock,
            )
            other.serve("n1", request, 1.0, said.append)
            return said[0]

        return answer

    async def look(self) -> Overview:
        """A look that asks anew."""
        self.clock.seconds += 1
        return await self.surveying.overview()


def test_everybody_is_asked_once_for_all_who_look() -> None:
    async def test(cluster: Cluster) -> None:
        world = World(cluster)
        views = await asyncio.gather(*(world.surveying.overview() for _ in range(5)))
        assert world.asked == 2
        assert all(view is views[0] for view in views)
        assert views[0] == world.told.overview()
        assert await world.surveying.overview() is views[0]
        world.told.apart(0, "n2", "n3", 4)
        assert (await world.look()).counts.keys_apart == 4
        assert world.asked == 4

    clustered(test, "loopback", 3)


def test_who_does_not_answer_and_why() -> None:
    async def test(cluster: Cluster) -> None:
        world = World(cluster)
        cluster.peers["n2"].answer = lambda request: None
        view = await world.look()
        two = view.nodes[1]
        assert (two.state, two.why) == ("silent", "no answer within 1 s")
        assert view.verdict.state == "unknown"
        survey = world.survey("n2")
        unread = (
            (Surveyed(b"\xc1"), "its survey cannot be read; is it of another version?"),
            (Surveyed(surveys.encode(structs.replace(survey, node="n3"))), "its survey is one of 'n3'"),
            (Failed("overloaded", "", False), "it failed: overloaded"),
            (Absent(True), "no survey came"),
        )
        for answer, why in unread:
            cluster.peers["n2"].answer = lambda request, answer=answer: answer  # type: ignore[misc]  # a lambda's default has no type
            assert (await world.look()).nodes[1].why == why

    clustered(test, "loopback", 3)


def test_who_is_down_is_not_waited_for() -> None:
    async def test(cluster: Cluster) -> None:
        world = World(cluster)
        await cluster.peers["n3"].network.close()
        await until(lambda: not cluster.peers["n1"].network.available("n3"))
        world.told.sees("n1", "n3", "down").sees("n2", "n3", "down")
        began = asyncio.get_running_loop().time()
        view = await world.look()
        assert asyncio.get_running_loop().time() - began < 0.5
        assert view.verdict.text == "n3 is down: no writes wait for it"

    clustered(test, "loopback", 3)


def test_one_who_gives_up_ends_it_for_nobody_else() -> None:
    async def test(cluster: Cluster) -> None:
        world = World(cluster)
        tasks = cluster.peers["n1"].tasks
        cluster.peers["n2"].answer = lambda request: None
        one = tasks.start("one", world.surveying.overview())
        two = tasks.start("two", world.surveying.overview())
        await until(lambda: cluster.peers["n2"].replies)
        one.cancel()
        cluster.peers["n2"].replies[0](Surveyed(surveys.encode(world.survey("n2"))))
        assert (await two).verdict.state == "agree"

    clustered(test, "loopback", 3)


def test_a_cluster_of_one() -> None:
    async def test(cluster: Cluster) -> None:
        world = World.__new__(World)
        world.told, world.clock = Told(1), HandClock()
        surveying = Surveying(
            own=lambda: world.survey("n1"),
            facts=lambda: world.told.facts,
            transport=cluster.peers["n1"].network,
            clock=world.clock,
        )
        assert (await surveying.overview()).verdict.state == "nothing"

    clustered(test, "loopback", 1)


def test_times_of_a_clock_that_is_off_are_put_right_and_do_not_waver() -> None:
    async def test(cluster: Cluster) -> None:
        world = World(cluster)
        right = world.told.overview()

        def off(by_ms: int) -> None:
            world.told.surveys["n2"] = surveys.rebased(world.survey("n2"), by_ms)

        off(3_600_000)
        first = await world.surveying.overview()
        assert first.pairs == right.pairs
        off(300)  # within a second: a delay, or a drift
        world.clock.seconds += 0.6
        told_2 = [pair for pair in (await world.surveying.overview()).pairs if pair.by == "n2"]
        by = {(pair.partition, pair.a, pair.b): pair.compared_ms or 0 for pair in right.pairs}
        assert {(pair.compared_ms or 0) - by[pair.partition, pair.a, pair.b] for pair in told_2} == {300}

    clustered(test, "loopback", 3)
