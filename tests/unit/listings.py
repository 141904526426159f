"""Listings of a cluster in memory, gone through to their end."""

from collections.abc import Sequence
from typing import Any

from dynkv.coordinator.results import Listed, Scanner, Stretch
from dynkv.core.bucket import Conflict
from tests.unit.cluster_in_memory import BUCKET, Cluster

KEYS = [b"k%d" % number for number in range(120)]


def scan(
    c: Cluster,
    at: str = "n1",
    prefix: bytes = b"",
    *,
    stretches: Sequence[Stretch] | None = None,
    limit: int | None = None,
    conflict: Conflict = "siblings",
    **levels: Any,
) -> Scanner:
    listed = Listed(BUCKET, prefix, c.levels(**levels), conflict)
    return c.nodes[at].coordinator.scan(listed, stretches, limit)


async def all_of(scanner: Scanner) -> list[bytes]:
    """Its keys, each told once."""
    keys: list[bytes] = []
    while step := await scanner.step():
        keys += step
    assert await scanner.step() == (), "an end is an end"
    assert len(set(keys)) == len(keys)
    return keys


async def filled(size: int = 3, **settings: Any) -> Cluster:
    c = Cluster(size, **settings)
    for key in KEYS:
        await c.put("n1", key, b"v")
    return c


async def delete(c: Cluster, at: str, key: bytes) -> None:
    record = (await c.get(at, key)).record
    assert record is not None
    await c.put(at, key, None, context=record.vector)


def primaries(c: Cluster, partition: int) -> Sequence[str]:
    return c.nodes["n1"].membership.plan_of(partition, 3).primaries
