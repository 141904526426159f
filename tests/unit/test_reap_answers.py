"""What a node says it holds, and that it let go: durable, marked, and only to who may ask."""

from dynkv.core.write import Write
from dynkv.peer.messages import Answer, Failed
from dynkv.peer.reaping_messages import Held, Holding, Reap, Reaped, Stand, Tombstone
from dynkv.repair.holdings import NOT_OURS, NOT_YOURS
from tests.unit.cluster_in_memory import BUCKET, run
from tests.unit.reaping_cluster import ReapingCluster

KEY = b"k"


def held_by(c: ReapingCluster, name: str, digest: bytes = b"") -> Held:
    return c.holdings[name].held(c.plan(KEY).partition, (Tombstone(BUCKET, KEY, digest),))


def write(c: ReapingCluster, name: str, value: bytes | None, *hints: str) -> bytes:
    """The digest of what the node holds after a write that it alone has."""
    return c.nodes[name].replica.coordinate(Write(BUCKET, KEY, (), value, "", b"w"), "siblings", hints).digest


def test_each_state() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        assert held_by(c, "n1").stands == (Stand("absent", ""),)
        digest = write(c, "n1", b"v")
        assert held_by(c, "n1", digest).stands == (Stand("same", ""),)
        assert held_by(c, "n1", b"other").stands == (Stand("differs", ""),)
        c.nodes["n1"].replica.owe("n3", BUCKET, KEY)
        assert held_by(c, "n1", digest).stands == (Stand("hinted", "n3"),)
        other = c.key(lambda plan: plan.partition == c.plan(KEY).partition)
        asked = (Tombstone(BUCKET, other, b""), Tombstone(BUCKET, KEY, digest))
        told = c.holdings["n1"].held(c.plan(KEY).partition, asked)
        assert told.stands == (Stand("absent", ""), Stand("hinted", "n3"))
        assert told.sound

    run(main)


def test_the_mark_changes_with_every_removal_and_with_every_life() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        marks = [held_by(c, "n1").mark]
        digest = write(c, "n1", b"v")
        assert held_by(c, "n1").mark == marks[0]
        replica = c.nodes["n1"].replica
        replica.drop(BUCKET, KEY)
        marks.append(held_by(c, "n1").mark)
        digest = write(c, "n1", b"v")
        assert c.holdings["n1"].reap((Tombstone(BUCKET, KEY, b"other"),)) == set()
        assert held_by(c, "n1").mark == marks[-1]
        assert c.holdings["n1"].reap((Tombstone(BUCKET, KEY, digest),) * 2) == {(BUCKET, KEY)}
        marks.append(held_by(c, "n1").mark)
        write(c, "n1", b"v")
        replica.replace_damaged(BUCKET, KEY, None)
        marks.append(held_by(c, "n1").mark)
        c.nodes["n1"].store.when_durable(lambda error: None)
        c.disks["n1"].sync_error = OSError("EIO")
        write(c, "n1", b"w")
        c.nodes["n1"].store.when_durable(lambda error: None)
        await c.until(lambda: not c.nodes["n1"].store.status().healthy)
        c.disks["n1"].sync_error = None
        await c.until(lambda: c.nodes["n1"].store.status().healthy)
        marks.append(held_by(c, "n1").mark)
        c.restart("n1")
        marks.append(held_by(c, "n1").mark)
        assert len(set(marks)) == len(marks)

    run(main)


def test_an_answer_waits_for_the_disk_and_is_none_if_that_fails() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, _ = c.plan(KEY).primaries
        partition = c.plan(KEY).partition
        c.disks[second].sync_seconds = 0.05
        digest = write(c, second, None)
        asked = (Tombstone(BUCKET, KEY, digest),)
        told: list[Answer] = []
        inbound = c.nodes[second].inbound
        for request in (Holding(partition, asked, True), Reap(partition, asked)):
            inbound.handle(first, request, 0.0, told.append)
            assert not told
            await c.until(lambda: told)
            assert not c.disks[second].tail
            told.append(told.pop(0)) if isinstance(request, Reap) else told.clear()
        assert told == [Reaped(1)]
        told.clear()
        c.disks[second].sync_error = OSError("EIO")
        write(c, second, b"v")
        inbound.handle(first, Holding(partition, asked, True), 0.0, told.append)
        await c.until(lambda: told)
        assert isinstance(told[0], Failed)
        assert told[0].code == "sync failed"

    run(main)


def test_what_does_not_fit_is_refused() -> None:
    async def main() -> None:
        c = ReapingCluster(3)
        first, second, third = c.plan(KEY).primaries
        partition = c.plan(KEY).partition
        digest = write(c, second, None)
        fits = (Tombstone(BUCKET, KEY, digest),)
        told: list[Answer] = []
        inbound = c.nodes[second].inbound
        for request in (
            Holding(partition + 1, fits, True),
            Reap(partition + 1, fits),
            Holding(60_000, fits, True),
            Holding(partition, (Tombstone("Ünfit", KEY, digest),), True),
        ):
            inbound.handle(first, request, 0.0, told.append)
        assert told == [NOT_OURS] * 4
        inbound.handle(third, Reap(partition, fits), 0.0, told.append)
        assert told[4] == NOT_YOURS
        assert c.held_by(second, KEY) == [None]

    run(main)
