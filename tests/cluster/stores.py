"""What lies on the disks of nodes that are stopped, read with the node's own code, and changed behind its back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import NoReturn

from dynkv.runtime import SystemClock
from dynkv.storage import keys
from dynkv.storage.base import Store
from dynkv.storage.envelope import unpack
from dynkv.storage.rocks import RocksStore
from tests.cluster.processes import Cluster, Node

Copies = dict[tuple[str, bytes], bytes]

STEP = 500


def was_stopped_cleanly(node: Node) -> bool:
    """Whether the data directory of a stopped node holds the mark of a clean stop."""
    return bool(_identity(node)["clean"])


def copies(cluster: Cluster) -> dict[str, Copies]:
    """By node: the digest of every record that it holds, by bucket and key. All nodes must be stopped."""
    return {node.name: _parsed(stored_records(node)) for node in cluster.nodes}


def stored_records(node: Node) -> dict[bytes, bytes]:
    """Every record as it is stored, by its stored key. The node must be stopped."""
    return asyncio.run(_scan(node, keys.RECORD))


def stored_hints(node: Node) -> dict[bytes, bytes]:
    """The same of its hints."""
    return asyncio.run(_scan(node, keys.HINT))


def change(node: Node, changes: Mapping[bytes, bytes | None]) -> None:
    """Put these stored values, None for nothing, where the node left others. It must be stopped, and does not see that
    anything happened but by what it finds."""

    async def write() -> None:
        async with _opened(node) as store:
            store.write(list(changes.items()))

    asyncio.run(write())


def _parsed(stored: Mapping[bytes, bytes]) -> Copies:
    return {keys.parse_record_key(stored_key)[1:]: unpack(value).digest for stored_key, value in stored.items()}


async def _scan(node: Node, kind: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    start, end = kind, bytes((kind[0] + 1,))
    async with _opened(node) as store:
        while page := store.scan(start, end, STEP):
            found.update(page)
            start = keys.after(page[-1][0])
    return found


@contextlib.asynccontextmanager
async def _opened(node: Node) -> AsyncIterator[Store]:
    assert node.process is None, f"{node.name} is running"
    store = RocksStore.open(node.data / "db", "synced", create=False, clock=SystemClock(), renew=_no_renewal)
    try:
        yield store
    finally:
        await store.close()


def _identity(node: Node) -> dict[str, object]:
    found = json.loads((node.data / "identity.json").read_bytes())
    assert isinstance(found, dict)
    return found


def _no_renewal(reason: str) -> NoReturn:
    raise AssertionError(f"a disk failed a test: {reason}")
