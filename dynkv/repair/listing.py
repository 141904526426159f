"""Listing a partition's keys with their digests, leaf by leaf of its hash tree, while the node serves.

Records lie in the order of their keys, not of leaves, so a listing of a few leaves looks at every record of the
partition. That costs processor time in proportion to the partition, and bytes on the wire only to what is listed. It
goes in small steps; what it says of a key is true of the moment at which it passed it.
"""

from collections.abc import Callable, Collection

import structlog

from antientropy import Entry, HashTree
from dynkv.core.bucket import BUCKET_NAME, KEY_BYTES_MAX
from dynkv.core.errors import StoreError
from dynkv.peer.messages import KEYS_MAX
from dynkv.runtime import Clock, Slices
from dynkv.storage.base import Store
from dynkv.storage.envelope import digest_of
from dynkv.storage.keys import after, parse_record_key, place_of, record_key_at, record_range
from dynkv.trees import Trees
from ring.tokens import partition_of, token

STEP_RECORDS = 20
STEP_BYTES = 256 * 1024
# A page ends after so many records looked at, listed or not: it must be answered in time.
PAGE_RECORDS = 20_000

log = structlog.get_logger("dynkv.exchange")


class Unreadable(Exception):
    """The partition cannot be listed: some of it cannot be read here. The text says so to a peer."""


class Lister:
    """Lists what this node holds of a partition. `n_of`: a bucket's n."""

    def __init__(self, store: Store, trees: Trees, n_of: Callable[[str], int], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._trees = trees
        self._n_of = n_of

    def name_of(self, partition: int, n: int, place: bytes) -> int | None:
        """The name of a key in the tree of (partition, n); None if it is no key of it. Never raises."""
        try:
            _, bucket, key = parse_record_key(record_key_at(partition, place))
        except ValueError:
            return None
        if not 0 < len(key) <= KEY_BYTES_MAX or BUCKET_NAME.match(bucket) is None or self._n_of(bucket) != n:
            return None
        name = token(bucket, key)
        return name if partition_of(name, self._trees.partitions) == partition else None

    async def page(
        self, partition: int, n: int, leaves: Collection[int], beyond: bytes, until: bytes
    ) -> tuple[list[Entry], bytes]:
        """(place, digest) of the keys of `leaves` in (beyond, until], and how far the page goes; as ListOwn and AskKeys
        mean it, so an empty `until` is to the end. Unreadable."""
        wanted = frozenset(leaves)
        start, end = record_range(partition)
        cursor = after(record_key_at(partition, beyond)) if beyond else start
        end = after(record_key_at(partition, until)) if until else end
        entries: list[Entry] = []
        looked_at = 0
        slices = Slices(self._clock)
        while records := self._records(partition, cursor, end):
            for stored_key, value in records:
                bucket, key = parse_record_key(stored_key)[1:]
                if HashTree.leaf_of(token(bucket, key)) in wanted and self._n_of(bucket) == n:
                    entries.append((place_of(stored_key), self._digest(partition, value)))
                    if len(entries) == KEYS_MAX:
                        return entries, place_of(stored_key)
            looked_at += len(records)
            cursor = after(records[-1][0])
            if looked_at >= PAGE_RECORDS:
                return entries, place_of(records[-1][0])
            await slices.end()
        return entries, until

    def _records(self, partition: int, start: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return self._store.scan(start, end, STEP_RECORDS, STEP_BYTES)
        except StoreError as error:
            raise self._unreadable(partition, error) from error

    def _digest(self, partition: int, value: bytes) -> bytes:
        try:
            return digest_of(value)
        except StoreError as error:
            raise self._unreadable(partition, error) from error

    def _unreadable(self, partition: int, error: StoreError) -> Unreadable:
        """The trees of the partition may stand for what cannot be read any more; a census will say."""
        log.warning("a partition cannot be listed", partition=partition, error=str(error))
        self._trees.doubt(partition, "some of it cannot be read; trees are being rebuilt")
        return Unreadable(f"some of the partition cannot be read: {error}")
