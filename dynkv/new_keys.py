"""Many writes at this node at once, of keys that are mostly new to it, as those of an import are.

A key of which this node has no copy has nothing to be merged with, replaced or remembered. All such keys go to the disk
in one batch, which is written before the call returns. Whatever is not as simple (a key that has a copy, or that comes
twice, or an update of a typed value) is `Replica.coordinate` and `Replica.apply` as ever. Nothing gives up the loop in
between, so each has the outcome that it would have alone: a matter of speed only.

This is a part of `Replica` that has a file of its own. The copies are not kept in memory: each was asked for once, and
many would drive out what clients read.
"""

from collections.abc import Iterable, Sequence

from dynkv.core import record as records
from dynkv.core.bucket import Conflict
from dynkv.core.errors import DamagedRecord, StoreError, StoreReadFailed
from dynkv.core.record import Record
from dynkv.core.write import Write
from dynkv.replica import Replica, Slot, Written
from dynkv.storage.base import Change
from dynkv.storage.envelope import pack
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


def coordinate_many(replica: Replica, asked: Iterable[tuple[Write, Conflict]]) -> list[Written | Exception]:
    """`Replica.coordinate` of each, without hints: what it returns or raises, in order."""
    outcomes: list[Written | Exception] = []
    new = NewKeys(replica)

    def flush() -> None:
        try:
            new.write()
        except StoreError as error:
            for place in new.places.values():
                outcomes[place] = error
            new.places = {}

    for place, (write, conflict) in enumerate(asked):
        try:
            slot = replica._slot(write.bucket, write.key)
            if slot.stored_key in new.places:
                flush()
            if write.update or replica._copy(slot.stored_key) is not None:
                outcomes.append(replica.coordinate(write, conflict, ()))
            else:
                outcomes.append(_begin(replica, new, place, slot, write))
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
    found: list[tuple[int, bytes]] = []

    def flush() -> None:
        new.write()
        for place, digest in found:
            digests[place] = digest
        found.clear()

    for place, (bucket, key, record) in enumerate(incoming):
        digests.append(b"")
        slot = replica._slot(bucket, key)
        if slot.stored_key in new.places:
            flush()
        try:
            if replica._copy(slot.stored_key) is not None:
                digests[place] = replica.apply(bucket, key, record)
            else:
                theirs = records.decode(record)
                replica._observe(theirs)
                found.append((place, new.add(place, slot, theirs, record, 0, 0)))
        except (DamagedRecord, StoreReadFailed):
            continue
    flush()
