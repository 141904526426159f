"""What lies on the disks of nodes that are stopped, read with the node's own code."""

import asyncio
import json
from typing import NoReturn

from dynkv.runtime import SystemClock
from dynkv.storage import keys
from dynkv.storage.envelope import unpack
from dynkv.storage.rocks import RocksStore
from tests.cluster.processes import Cluster, Node

Copies = dict[tuple[str, bytes], bytes]

STEP = 500


def was_stopped_cleanly(node: Node) -> bool:
    """Whether the data directory of a stopped node holds the mark of a clean stop."""
    return bool(json.loads((node.data / "identity.json").read_bytes())["clean"])


def copies(cluster: Cluster) -> dict[str, Copies]:
    """By node: the digest of every record that it holds, by bucket and key. All nodes must be stopped."""
    return {node.name: asyncio.run(_copies(node)) for node in cluster.nodes}


async def _copies(node: Node) -> Copies:
    assert node.process is None, f"{node.name} is running"
    partitions = json.loads((node.data / "identity.json").read_bytes())["partitions"]
    store = RocksStore.open(node.data / "db", "synced", create=False, clock=SystemClock(), renew=_no_renewal)
    found: Copies = {}
    try:
        for partition in range(partitions):
            start, end = keys.record_range(partition)
            while page := store.scan(start, end, STEP):
                for stored_key, value in page:
                    _, bucket, key = keys.parse_record_key(stored_key)
                    found[bucket, key] = unpack(value).digest
                start = keys.after(page[-1][0])
    finally:
        await store.close()
    return found


def _no_renewal(reason: str) -> NoReturn:
    raise AssertionError(f"nothing is written here, so nothing can fail: {reason}")
