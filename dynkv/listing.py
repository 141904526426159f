"""Keys of a bucket as this node holds them, a page at a time: for listings, here and at peers.

A page looks at one partition, at records in the order of their keys, in small steps between which the node serves. It
tells every key it meets, also those that are deleted: only whoever hears several replicas can say which of them knows
better. What it says of a key is true of the moment at which it passed it.

One record that cannot be read fails the page: what lies behind it is not known to be absent, and a listing that leaves
out a key without a word is a lie.
"""

from dynkv.core.bucket import BUCKET_NAME
from dynkv.core.errors import BadParameter, DamagedRecord, RequestError, StoreError
from dynkv.core.record import glance, shows_nothing
from dynkv.peer.many_messages import ListRecords, Records
from dynkv.peer.messages import Answer, Failed
from dynkv.replica import Replica
from dynkv.runtime import pause
from dynkv.storage.envelope import unpack
from dynkv.storage.keys import after, record_key, record_range

STEP_RECORDS = 100
STEP_BYTES = 256 * 1024
# A page ends after so many bytes of records or of keys: it must be answered in time, and held by whoever asked.
PAGE_RECORD_BYTES = 16 * 1024 * 1024
PAGE_KEY_BYTES = 128 * 1024


async def list_records(replica: Replica, asked: ListRecords) -> Records:
    """One page. BadParameter if it asks for what cannot be; StoreError if some of the stretch cannot be read."""
    if asked.partition >= replica.partitions or BUCKET_NAME.match(asked.bucket) is None:
        raise BadParameter("bucket", "no such bucket or partition")
    partition, lww = asked.partition, asked.conflict == "lww"
    start, end = record_range(partition, asked.bucket, asked.prefix)
    key_at = len(start) - len(asked.prefix)
    if asked.after:
        start = max(start, after(record_key(partition, asked.bucket, asked.after)))
    keys: list[bytes] = []
    deleted: list[int] = []
    record_bytes = key_bytes = 0
    while len(keys) < asked.limit and record_bytes < PAGE_RECORD_BYTES and key_bytes < PAGE_KEY_BYTES:
        found = replica.store.scan(start, end, min(STEP_RECORDS, asked.limit - len(keys)), STEP_BYTES)
        if not found:
            return Records(tuple(keys), tuple(deleted), b"", replica.identity.complete_in(partition))
        for stored_key, value in found:
            try:
                if shows_nothing(glance(unpack(value).record), lww):
                    deleted.append(len(keys))
            except DamagedRecord:
                replica.trees.met_damage(partition, stored_key)
                raise
            keys.append(stored_key[key_at:])
            record_bytes += len(value)
            key_bytes += len(stored_key) - key_at
        start = after(found[-1][0])
        await pause(0)
    return Records(tuple(keys), tuple(deleted), keys[-1], replica.identity.complete_in(partition))


async def answer_peer(replica: Replica, asked: ListRecords) -> Answer:
    """The same for a peer. Never raises what is foreseen."""
    try:
        return await list_records(replica, asked)
    except RequestError as error:
        return Failed("bad request", str(error), False)
    except StoreError as error:
        return Failed("read failed", str(error), False)
