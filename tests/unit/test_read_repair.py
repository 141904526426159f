"""Read repair: both sides learn, bounded, and no copy begins where none belongs."""

from dynkv.core.write import Write
from dynkv.peer.messages import Apply, Read
from dynkv.peer.transport import Failure
from dynkv.repair import read_repair
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, run

KEY = b"k"


def plant(c: Cluster, name: str, value: bytes) -> tuple[bytes, bytes]:
    written = c.nodes[name].replica.coordinate(Write(BUCKET, KEY, (), value, "", value), "siblings", ())
    return written.record, written.digest


def test_who_is_behind_gets_it_and_what_it_knew_comes_back() -> None:
    async def main() -> None:
        c = Cluster(3)
        record, digest = plant(c, "n1", b"ours")
        plant(c, "n2", b"theirs")
        c.nodes["n1"].repair.disagreement(BUCKET, KEY, record, digest, ["n2", "n3"])
        await c.until(lambda: c.held_by("n1", KEY) == c.held_by("n2", KEY) == [b"ours", b"theirs"])
        assert c.held_by("n3", KEY) == [b"ours"]
        await c.until(lambda: c.nodes["n1"].repair.under_way == 0)

    run(main)


def test_a_coordinator_without_a_copy_does_not_begin_one() -> None:
    async def main() -> None:
        c = Cluster(5)
        a = c.plan(KEY).primaries[0]
        outside = c.plan(KEY).fallbacks[0]
        record, digest = plant(c, c.plan(KEY).primaries[1], b"ours")
        plant(c, a, b"theirs")
        c.nodes[outside].repair.disagreement(BUCKET, KEY, record, digest, [a])
        await c.until(lambda: any(isinstance(call.message, Read) for call in c.calls))
        await c.until(lambda: c.nodes[outside].repair.under_way == 0)
        assert c.held_by(a, KEY) == [b"ours", b"theirs"]
        assert c.held_by(outside, KEY) is None

    run(main)


def test_what_exceeds_the_bound_is_dropped_and_counted_and_failures_free_their_place() -> None:
    async def main() -> None:
        c = Cluster(3)
        record, digest = plant(c, "n1", b"v")
        repair = c.nodes["n1"].repair
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        repair.disagreement(BUCKET, KEY, record, digest, ["n2"] * (read_repair.REPAIRS_MAX + 3))
        assert (repair.under_way, repair.dropped) == (read_repair.REPAIRS_MAX, 3)
        await c.until(lambda: len(c.held) == read_repair.REPAIRS_MAX)
        c.rule = lambda call: Failure("unreachable", False)
        c.release()
        await c.until(lambda: repair.under_way == 0)
        repair.disagreement(BUCKET, KEY, record, digest, ["n2"])
        await c.until(lambda: repair.failed == 1)
        assert repair.under_way == 0

    run(main)


def test_an_own_disk_that_refuses_is_counted() -> None:
    async def main() -> None:
        c = Cluster(3)
        record, digest = plant(c, "n1", b"v")
        c.disks["n2"].stalled = True
        c.nodes["n2"].repair.disagreement(BUCKET, KEY, record, digest, ["n2"])
        assert c.nodes["n2"].repair.failed == 1
        c.disks["n2"].stalled = False
        c.nodes["n2"].repair.disagreement(BUCKET, KEY, record, digest, ["n2"])
        assert c.held_by("n2", KEY) == [b"v"]

    run(main)
