"""Restarts in the middle of a reaping, old copies of directories that come back after it, and a node that is alone."""

from dynkv.inbound import UNCONFIRMED
from dynkv.peer.messages import Answer, Apply, HoldsAny, Read
from dynkv.peer.reaping_messages import Reap
from dynkv.storage.memory import MemoryDisk
from tests.support import eventually_async
from tests.unit.cluster_in_memory import BUCKET, HOLD, Node, run
from tests.unit.reaping_cluster import ReapingCluster

KEY = b"k"


def test_a_restart_between_the_rounds_asks_everybody_anew() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        second = c.plan(KEY).primaries[1]
        await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        reaper = c.reaper(KEY)
        await reaper.step()
        assert c.why(KEY) == "everybody has confirmed it once"
        c.restart(second)
        await c.until(lambda: c.holders(KEY) == set(c.names))

        async def step() -> bool:
            await reaper.step()
            return "restarted or dropped copies" in c.why(KEY)

        await eventually_async(step)
        await c.reap(KEY)

    run(main)


def test_a_reaper_that_dies_in_the_middle_leaves_it_to_be_given_back() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"v", levels=c.levels(w=3))
        await c.delete(KEY)
        c.rule = lambda call: HOLD if isinstance(call.message, Reap) and call.target == third else None
        stepping = c.nodes[first].tasks.start("reap", c.reap(KEY))
        await c.until(lambda: c.held)
        stepping.cancel()
        c.restart(first, clean=False)
        c.held.clear()
        c.rule = lambda call: None
        assert c.holders(KEY) == {first, third}  # one has let go, and ours goes last
        await c.reap(KEY, until=f"{second} holds no copy")
        await c.make_equal(KEY)
        await c.reap(KEY)

    run(main)


def test_an_old_copy_of_a_directory_gives_nothing_away() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        await c.put(first, KEY, b"old", levels=c.levels(w=3))
        await c.until(lambda: not c.disks[third].tail)
        old = MemoryDisk()
        old.durable = dict(c.disks[third].durable)
        for _ in range(2):
            c.restart(third)  # since the copy was made
        await c.delete(KEY)
        await c.reap(KEY)
        c.nodes[third].store.crash()
        c.disks[third] = old
        node = c.nodes[third] = Node(c, third, 2, 77)  # nobody has told it anything yet
        assert c.held_by(third, KEY) == [b"old"]
        told: list[Answer] = []
        for request in (Read(BUCKET, KEY, True), Apply(BUCKET, KEY, c.record(third, KEY), ""), HoldsAny(BUCKET)):
            node.inbound.handle(second, request, 0.0, told.append)
        assert told == [UNCONFIRMED] * 3
        assert (await c.get(first, KEY, c.levels(r=2))).record is None
        c.gossip()
        assert node.went_back
        assert not node.identity.confirmed
        assert not node.identity.complete
        node.inbound.handle(second, Read(BUCKET, KEY, True), 0.0, told.append)
        assert told[3] == UNCONFIRMED

    run(main)


def test_a_cluster_of_one_reaps_alone() -> None:
    async def main() -> None:
        c = ReapingCluster(1)
        assert c.nodes["n1"].identity.confirmed, "there is nobody who could know better"
        await c.put("n1", KEY, None, levels=c.levels(r=1, w=1)._replace(n=1))
        await c.reap(KEY)

    run(main)
