"""Many writes at this node at once, of keys that are mostly new to it, as those of an import are.

A key of which this node has no copy has nothing to be merged with, replaced or remembered. Which these are is told by
one look at the disk for all, and all of them go there in one batch, which is written before the call returns. Whatever
is not as simple (a key that has a copy, or that comes twice, or an update of a typed value) is `Replica.coordinate` and
`Replica.apply` as ever. Nothing gives up the loop in between, so each has the outcome that it would have alone: a
matter of speed only.

This is a part of `Replica` that has a file of its own. The new copies are not kept in memory: each was asked for once,
and many would drive out what clients read.
"""

from collections.abc import Sequence

from dynkv.core import record as records
from dynkv.core.bucket import Conflict
from dynkv.core.errors import DamagedRecord, StoreError, StoreReadFailed
from dynkv.core.record import Record
from dynkv.core.write import Write
from dynkv.replica import Replica, Slot, Written
from dynkv.storage.base import Change
from dynkv.storage.envelope import pack, unpack
from dynkv.trees import Added


class NewKeys:
    """Of one call; `write` ends it. `places`: of those that wait to be written, by stored key."""

    __slots__ = ("_added", "_changes", "_deletions", "_replica", "places")

    def __init__(self, replica: Replica) -> None:
        self.places: dict[bytes, int] = {}
        self._replica = replica
        self._changes: list[Change] = []
        self._added: list[Added] = []
        self._deletions: list[tuple[Slot, Record]] = []

    def add(self, place: int, slot: Slot, record: Record, encoded: bytes, actor: int, incarnation: int) -> bytes:
        """The digest of a record of which there is no copy, and none waits."""
        partition, bucket, _, stored_key, name = slot
        digest = records.digest(encoded)
        self.places[stored_key] = place
        self._changes.append((stored_key, pack(encoded, digest, actor, incarnation)))
        self._added.append((partition, bucket, name, stored_key, digest))
        if record.siblings[0].value is None:
            self._deletions.append((slot, record))
        return digest

    def write(self) -> None:
        """All that waits, in one batch. StoreError: none of it is written."""
        changes, added, deletions = self._changes, self._added, self._deletions
        if not changes:
            return
        self._changes, self._added, self._deletions = [], [], []
        self._replica.store.write(changes)
        self.places = {}
        self._replica.trees.added(added)
        for slot, record in deletions:
            self._replica._look_for_deletion(slot, record)


def coordinate_many(replica: Replica, asked: Sequence[tuple[Write, Conflict]]) -> list[Written | Exception]:
    """`Replica.coordinate` of each, without hints: what it returns or raises, in order."""
    outcomes: list[Written | Exception] = []
    new = NewKeys(replica)
    slots = [replica._slot(write.bucket, write.key) for write, _ in asked]
    absent = _absent(replica, slots)

    def flush() -> None:
        try:
            new.write()
        except StoreError as error:
            for place in new.places.values():
                outcomes[place] = error
            new.places = {}

    for place, ((write, conflict), slot) in enumerate(zip(asked, slots, strict=True)):
        try:
            if slot.stored_key in absent and not write.update:
                outcomes.append(_begin(replica, new, place, slot, write))
                absent.remove(slot.stored_key)
            else:
                if slot.stored_key in new.places:
                    flush()
                absent.discard(slot.stored_key)
                outcomes.append(replica.coordinate(write, conflict, ()))
        except Exception as error:  # noqa: BLE001 - handed on: the others have theirs, whatever this is
            outcomes.append(error)
    flush()
    return outcomes


def _begin(replica: Replica, new: NewKeys, place: int, slot: Slot, write: Write) -> Written:
    """TooLarge, Unconfirmed. The rest of `Replica.coordinate` for a key that it has no copy of."""
    replica.check_confirmed()
    actor, time = replica._actor(None), replica._hlc.tick(replica._clock.wall_ms())
    after = records.put(None, write.context, actor, time, write.value, write.content_type, write.write_id)
    encoded = records.encode(after)
    replica._check_size(encoded, None)
    digest = new.add(place, slot, after, encoded, actor, replica.identity.incarnation)
    counter = after.siblings[0].counter
    return Written(encoded, digest, actor, counter, after.vector, len(records.shown(after)))


def apply_many(replica: Replica, incoming: Sequence[tuple[str, bytes, bytes]], digests: list[bytes]) -> None:
    """`Replica.apply` of each (bucket, key, record). `digests`, empty at first, gets those of the copies, in order; b""
    for one that cannot be merged. StoreError: what stands there by then was taken in, and nothing else."""
    new = NewKeys(replica)
    slots = [replica._slot(bucket, key) for bucket, key, _ in incoming]
    absent = _absent(replica, slots)
    found: list[tuple[int, bytes]] = []

    def flush() -> None:
        new.write()
        for place, digest in found:
            digests[place] = digest
        found.clear()

    for place, ((bucket, key, record), slot) in enumerate(zip(incoming, slots, strict=True)):
        digests.append(b"")
        if slot.stored_key in new.places:
            flush()
        try:
            if slot.stored_key in absent:
                theirs = records.decode(record)
                replica._observe(theirs)
                found.append((place, new.add(place, slot, theirs, record, 0, 0)))
                absent.remove(slot.stored_key)
            else:
                digests[place] = replica.apply(bucket, key, record)
        except (DamagedRecord, StoreReadFailed):
            continue
    flush()


def _absent(replica: Replica, slots: Sequence[Slot]) -> set[bytes]:
    """Stored keys of which there is no copy. What copies of the others were read are kept in memory, for a look at each
    follows. If one cannot be read, none is told: each by itself is read, or is not."""
    cache = replica._cache
    asked = [slot.stored_key for slot in slots if cache.get(slot.stored_key) is None]
    try:
        values = replica.store.get_many(asked)
    except StoreReadFailed:
        return set()
    absent: set[bytes] = set()
    for stored_key, value in zip(asked, values, strict=True):
        if value is None:
            absent.add(stored_key)
        elif cache.get(stored_key) is None:  # else it was asked for twice
            try:
                cache.keep(stored_key, unpack(value))
            except DamagedRecord:
                continue  # found again by who looks at it, and noted there
    return absent
