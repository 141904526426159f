"""Filling and changing the stores of nodes that are stopped, with the node's own code: a million records in seconds."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import NoReturn

from dynkv.core import record as records
from dynkv.core.errors import StoreBusy
from dynkv.runtime import SystemClock, pause
from dynkv.storage.base import Change
from dynkv.storage.envelope import pack
from dynkv.storage.keys import record_key
from dynkv.storage.rocks import RocksStore
from ring.tokens import partition_of, token
from tests.cluster.processes import Node

BUCKET = "bench"
BATCH = 500
TIME = 1_700_000_000_000 << 16


def small_record(number: int, value: bytes, counter: int = 1) -> bytes:
    """The canonical bytes of a record written once; the same on every node."""
    sibling = records.Sibling(number + 1, counter, TIME, value, "text/plain", b"w%d" % number)
    return records.encode(records.Record(((number + 1, counter),), (sibling,)))


def change(partitions: int, key: bytes, record: bytes | None) -> Change:
    """What stores `record` under the key, or removes what is there."""
    stored_key = record_key(partition_of(token(BUCKET, key), partitions), BUCKET, key)
    return stored_key, None if record is None else pack(record, records.digest(record), 0, 0)


def partitions_of(node: Node) -> int:
    return int(json.loads((node.data / "identity.json").read_bytes())["partitions"])


def write(node: Node, changes: Iterable[Change]) -> None:
    """Write to the store of a node that does not run."""
    asyncio.run(_write(node, iter(changes)))


async def _write(node: Node, changes: Iterator[Change]) -> None:
    store = RocksStore.open(node.data / "db", "relaxed", create=False, clock=SystemClock(), renew=_no_renewal)
    try:
        batch: list[Change] = []
        for one in changes:
            batch.append(one)
            if len(batch) == BATCH:
                await _put(store, batch)
                batch = []
        if batch:
            await _put(store, batch)
    finally:
        await store.close()


async def _put(store: RocksStore, batch: list[Change]) -> None:
    while True:
        try:
            store.write(batch)
        except StoreBusy:
            await pause(0.01)
        else:
            await pause(0)
            return


def _no_renewal(reason: str) -> NoReturn:
    raise AssertionError(f"nothing fails here: {reason}")
