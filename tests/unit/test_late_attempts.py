"""A write that was tried at two nodes, overwritten where it was known, and then arrives from the other: it is old."""

import asyncio

import pytest

from dynkv.coordinator.results import WriteResult
from dynkv.core import record as records
from dynkv.core.types.operation import BY_CONTENT_TYPE
from dynkv.core.write import Write
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, run, values

KEY = b"k"


async def tried_twice(c: Cluster) -> "asyncio.Future[WriteResult]":
    """n2 takes the write and its messages are on their way for long; its retry is at n1 and n3. The first attempt."""
    c.rule = lambda call: HOLD if "n2" in (call.source, call.target) else None
    first = asyncio.ensure_future(c.put("n2", KEY, b"old", write_id=b"id", levels=c.levels(timeout_ms=10_000)))
    await c.until(lambda: c.held)
    await c.put("n1", KEY, b"old", write_id=b"id")
    return first


@pytest.mark.parametrize("value", [b"new", None])
def test_the_first_attempt_comes_after_its_retry_was_overwritten_or_deleted(value: bytes | None) -> None:
    async def main() -> None:
        c = Cluster(3)
        first = await tried_twice(c)
        read = await c.get("n3", KEY)
        assert read.record is not None
        await c.put("n3", KEY, value, context=read.record.vector)
        c.rule = lambda call: None
        c.release()
        await first
        for name in ("n1", "n3"):
            assert c.held_by(name, KEY) == [value]
        await c.pay()
        found = (await c.get("n2", KEY, c.levels(r=3))).record
        assert values(found) == [value]
        await c.until(lambda: all(c.held_by(name, KEY) == [value] for name in c.names))
        replicas = [node.replica for node in c.nodes.values()]
        copies = [replica.read(replica.partition(BUCKET, KEY), BUCKET, KEY) for replica in replicas]
        assert len({copy.digest for copy in copies if copy is not None}) == 1

    run(main)


def test_before_it_is_overwritten_both_are_kept_and_one_is_shown() -> None:
    async def main() -> None:
        c = Cluster(3)
        first = await tried_twice(c)
        c.rule = lambda call: None
        c.release()
        await first
        found = (await c.get("n3", KEY, c.levels(r=3))).record
        assert found is not None
        assert values(found) == [b"old", b"old"]
        assert len(records.shown(found)) == 1

    run(main)


def test_another_write_that_comes_late_is_a_sibling() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.rule = lambda call: HOLD if "n2" in (call.source, call.target) else None
        first = asyncio.ensure_future(c.put("n2", KEY, b"beside", levels=c.levels(timeout_ms=10_000)))
        await c.until(lambda: c.held)
        await c.put("n1", KEY, b"old")
        read = await c.get("n3", KEY)
        assert read.record is not None
        await c.put("n3", KEY, b"new", context=read.record.vector)
        c.rule = lambda call: None
        c.release()
        await first
        assert c.held_by("n3", KEY) == [b"beside", b"new"]

    run(main)


def test_a_typed_value_is_more_than_its_last_update_and_stays() -> None:
    async def main() -> None:
        c = Cluster(3)
        kind = next(iter(BY_CONTENT_TYPE))
        n1, n2 = c.nodes["n1"].replica, c.nodes["n2"].replica

        def write(value: bytes, write_id: bytes, context: records.Vector = ()) -> Write:
            return Write(BUCKET, KEY, context, value, kind, write_id)

        theirs = n2.coordinate(write(b"state", b"id"), "siblings", ())
        ours = n1.coordinate(write(b"state", b"id"), "siblings", ())
        n1.coordinate(write(b"later", b"other", ours.context), "siblings", ())
        n1.apply(BUCKET, KEY, theirs.record)
        assert c.held_by("n1", KEY) == [b"later", b"state"]

    run(main)
