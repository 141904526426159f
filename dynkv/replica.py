"""This node's own copies: everything that is done to one record at one node.

Each operation reads, decides and writes without giving up the event loop in between, so two operations on one key
cannot interleave and there is no lock. Nothing here waits: a caller that must not answer before the disk has it asks
`durable(done)` after the call. What a reader of this node sees may therefore not be durable yet; that is safe, because
whoever relies on it (a quorum) counts only acknowledgements, and those wait.

Rules kept here (DESIGN, causality):
- an actor belongs to one unbroken copy of one key: it is stored beside the copy, valid only under the incarnation that
  minted it, gone with the copy (`drop`);
- the dot of a write is in this node's own copy before anybody hears of it (one batch with the record);
- a write id that this copy holds or recently held gets no second dot, and what it has replaced under one dot does not
  come back under another.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from dynkv.cache import CopyCache
from dynkv.core import record as records
from dynkv.core.bucket import Conflict
from dynkv.core.errors import (
    DamagedRecord,
    StoreError,
    StoreWriteFailed,
    TooLarge,
    TooManySiblings,
    Unconfirmed,
    WriteIdReused,
)
from dynkv.core.hlc import HybridClock
from dynkv.core.late import without_late_attempts
from dynkv.core.recent import RecentWrites
from dynkv.core.record import Record, Sibling, Vector
from dynkv.core.types import reading
from dynkv.core.types.doubts import Doubt, Doubts
from dynkv.core.types.lineage import hash_of
from dynkv.core.types.operation import KINDS
from dynkv.core.types.update import update
from dynkv.core.write import Write
from dynkv.hints import HintBook
from dynkv.identity import Identity
from dynkv.runtime import Clock, Random
from dynkv.storage.base import Change, Store
from dynkv.storage.envelope import Envelope, pack, unpack
from dynkv.storage.keys import partition_in, record_key, record_range
from dynkv.trees import Trees
from ring.tokens import partition_of, token


class ReplicaLimits(msgspec.Struct, frozen=True):
    """siblings_warn, siblings_max: per key; client writes are refused above the maximum. record_bytes_max: likewise.
    cache_bytes_max: memory for copies read or written lately. state_bytes_max: of a typed value."""

    siblings_warn: int = 10
    siblings_max: int = 100
    record_bytes_max: int = 16 * 1024 * 1024
    cache_bytes_max: int = 16 * 1024 * 1024
    state_bytes_max: int = 1024 * 1024


class Slot(NamedTuple):
    """Where a key's record lies at this node. `name`: the key's token, by which hash trees know it."""

    partition: int
    bucket: str
    key: bytes
    stored_key: bytes
    name: int


class Written(msgspec.Struct, frozen=True):
    """A coordinated write as it stands in this node's copy. actor and counter 0: a retry of a write since overwritten.

    `context`: what the client may give back with its next write; it covers nobody else's concurrent value. Of an update
    of a typed value it is that of the value after it: `state`, if the write asks for it.
    """

    record: bytes
    digest: bytes
    actor: int
    counter: int
    context: Vector
    siblings: int
    state: bytes = b""


class Replica:
    """The copies of one node. All methods run on the loop; StoreError if the disk fails."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        hints: HintBook,
        trees: Trees,
        *,
        clock: Clock,
        random: Random,
        hlc: HybridClock,
        recent: RecentWrites,
        limits: ReplicaLimits,
    ) -> None:
        self.store = store
        self.identity = identity
        self.hints = hints
        self.trees = trees
        self.durable: Callable[[Callable[[Exception | None], None]], None] = store.when_durable
        self.partitions = trees.partitions
        self.limits = limits
        self.siblings_warned = 0
        self.drops = [0] * trees.partitions
        """Copies removed since the start, by partition: whoever asked twice whether there is one can tell by it whether
        there was one in between."""
        self.on_tombstone: Callable[[int, str, bytes], None] | None = None
        """Told (partition, bucket, key) of every copy that comes to hold nothing but deletions."""
        self._clock = clock
        self._random = random
        self._hlc = hlc
        self._recent = recent
        self._cache = CopyCache(limits.cache_bytes_max)
        self._doubts = Doubts()

    def partition(self, bucket: str, key: bytes) -> int:
        return partition_of(token(bucket, key), self.partitions)

    def read(self, partition: int, bucket: str, key: bytes, *, keep: bool = True) -> Envelope | None:
        """This node's copy, checksum verified. StoreReadFailed or DamagedRecord if it cannot be known. `keep` it in
        memory, if another read is likely to follow."""
        return self._copy(record_key(partition, bucket, key), keep)

    def apply(self, bucket: str, key: bytes, incoming: bytes, hint_for: str = "") -> bytes:
        """Merge a record into this node's copy; the digest of the result. DamagedRecord if `incoming` is no record."""
        slot = self._slot(bucket, key)
        hints = (hint_for,) if hint_for else ()
        ours = self._copy(slot.stored_key)
        if ours is None:
            theirs = records.decode(incoming)
            self._observe(theirs)
            digest = self._save(slot, incoming, 0, 0, hints, None)
            self._look_for_deletion(slot, theirs)
            return digest
        if ours.record != incoming:
            theirs = records.decode(incoming)
            self._observe(theirs)
            before = records.decode(ours.record)
            merged = records.merge(before, theirs)
            if merged is not before and len(merged.siblings) > 1:
                merged = without_late_attempts(before, merged, lambda name: self._recent.seen(bucket, key, name))
            if merged is not before:
                encoded = incoming if merged is theirs else records.encode(merged)
                digest = self._save(slot, encoded, ours.actor, ours.incarnation, hints, ours.digest)
                self._remember(bucket, key, records.replaced(before, merged))
                self._remember(bucket, key, records.replaced(theirs, merged))
                self._look_for_deletion(slot, merged)
                return digest
            self._remember(bucket, key, records.replaced(theirs, merged))
        if hints:
            self._note_hints(slot, hints, ours.digest, len(ours.record))
        return ours.digest

    def coordinate(self, write: Write, conflict: Conflict, hints: Sequence[str]) -> Written:
        """Give a client's write its dot in this node's copy, and owe it to `hints` in the same batch.

        TooManySiblings or TooLarge if the key is full, WrongType if an update does not fit what it holds, Unconfirmed;
        nothing is written then.
        """
        self.check_confirmed()
        bucket, key, write_id, context = write.bucket, write.key, write.write_id, write.context
        slot = self._slot(bucket, key)
        ours = self._copy(slot.stored_key)
        copy = None if ours is None else records.decode(ours.record)
        if copy is not None and ours is not None:
            for sibling in copy.siblings:
                if sibling.write_id == write_id:
                    if sibling.content_type != write.content_type or (
                        sibling.value != write.value and not write.update  # whose value is an operation
                    ):
                        detail = "was used for another value of this key, which is stored"
                        raise WriteIdReused("Idempotency-Key", detail, "a fresh one for each write")
                    return self._again(copy, ours, slot, write, (sibling.actor, sibling.counter), hints)
            if self._recent.seen(bucket, key, write_id):
                return self._again(copy, ours, slot, write, (0, 0), hints)
            if conflict == "lww":
                context = records.union(copy.vector, context)
        actor = self._actor(ours)
        time = self._hlc.tick(self._clock.wall_ms())
        own = () if write.demand is None else write.demand.own
        value = write.value
        if write.update:
            made = update(
                copy, write, actor, time, bytes_max=self.limits.state_bytes_max, doubted=self._doubted(bucket, key)
            )
            if made.known is not None and copy is not None and ours is not None:
                return self._again(copy, ours, slot, write, made.known, hints)
            value, time, own = made.value, made.time, ()
            context = () if copy is None else copy.vector
        after = records.put(copy, context, actor, time, value, write.content_type, write_id, own)
        self._check_room(copy, after)
        encoded = records.encode(after)
        self._check_size(encoded, ours)
        before = None if ours is None else ours.digest
        digest = self._save(slot, encoded, actor, self.identity.incarnation, hints, before)
        if copy is not None:
            self._remember(bucket, key, records.replaced(copy, after))
        self._look_for_deletion(slot, after)
        counter = after.vector[0][1] if len(after.vector) == 1 else dict(after.vector)[actor]
        context = records.context_of_write(after, write_id)
        written = Written(encoded, digest, actor, counter, context, len(records.shown(after)))
        if not write.update:
            return written
        self._doubts.begin(_doubt(write))
        return msgspec.structs.replace(written, state=value if write.returns else b"")

    def check_confirmed(self) -> None:
        """Unconfirmed while this node's data may be an old copy, which would be set aside with all that was added."""
        if not self.identity.confirmed:
            raise Unconfirmed("it has not heard yet whether its data is the newest there was of it")

    def settled(self, write: Write) -> None:
        """The quorum of an update is met: it is not in doubt any more."""
        self._doubts.end(_doubt(write))

    def holds_any(self, bucket: str) -> bool:
        """Whether this node holds a record of the bucket: one short seek per partition."""
        return any(self.store.scan(*record_range(partition, bucket), limit=1) for partition in range(self.partitions))

    def n_changed(self, bucket: str) -> None:
        """The bucket's n is another: what this node holds of it stands in the wrong trees."""
        try:
            for partition in range(self.partitions):
                if self.store.scan(*record_range(partition, bucket), limit=1):
                    self.trees.doubt(partition, "n of a bucket became known; trees are being rebuilt")
        except StoreError:
            self.trees.doubt_all("n of a bucket became known; trees are being rebuilt")

    def owe(self, target: str, bucket: str, key: bytes) -> None:
        """Note durably that this node's copy is owed to `target`. Nothing is noted if there is no copy."""
        slot = self._slot(bucket, key)
        copy = self._copy(slot.stored_key)
        if copy is not None:
            self._note_hints(slot, (target,), copy.digest, len(copy.record))

    def drop(self, bucket: str, key: bytes, changes: Iterable[tuple[bytes, bytes | None]] = ()) -> None:
        """Remove the copy, and its actor with it, in one batch with `changes`."""
        slot = self._slot(bucket, key)
        copy = self._copy(slot.stored_key)
        self._cache.forget(slot.stored_key)
        self.store.write([(slot.stored_key, None), *changes])
        self.drops[slot.partition] += 1
        self._changed(slot, None if copy is None else copy.digest, None)

    def reap(self, tombstones: Iterable[tuple[str, bytes, bytes]]) -> set[tuple[str, bytes]]:
        """Remove those copies of (bucket, key, digest) whose digest it still is, in one batch; which were removed."""
        gone = {}
        for bucket, key, digest in tombstones:
            slot = self._slot(bucket, key)
            copy = self._copy(slot.stored_key)
            if copy is not None and copy.digest == digest:
                gone[slot] = digest
        for slot in gone:
            self._cache.forget(slot.stored_key)
        self.store.write([(slot.stored_key, None) for slot in gone])
        for slot, digest in gone.items():
            self.drops[slot.partition] += 1
            self._changed(slot, digest, None)
        return {(slot.bucket, slot.key) for slot in gone}

    def replace_damaged(self, bucket: str, key: bytes, record: bytes | None) -> None:
        """Put what the other replicas hold (None: nothing) where a damaged record lies, which is in no tree. The new
        copy has no actor: nobody knows any more what the old one counted."""
        slot = self._slot(bucket, key)
        if record is not None:
            self._save(slot, record, 0, 0, (), None)
        else:
            self._cache.forget(slot.stored_key)
            self.store.write(((slot.stored_key, None),))
            self.drops[slot.partition] += 1
            self._changed(slot, None, None)

    def doubt_copy(self, stored_key: bytes) -> None:
        """What is stored there turned out to be damaged: nothing is answered, or acknowledged, from memory for it."""
        self._cache.forget(stored_key)

    def disown(self, why: str) -> None:
        """All that is written here will be set aside: none of it is acknowledged any more, to anybody."""
        self.durable = lambda done: done(StoreWriteFailed(why))

    def forget_memory(self) -> None:
        """The store went back to what was durable: keep nothing in memory that may be gone there."""
        self._cache.clear()
        self._recent.clear()
        self.hints.count_anew()
        self.trees.doubt_all("the disk failed; trees are being rebuilt")

    def _actor(self, ours: Envelope | None) -> int:
        identity = self.identity
        if ours is not None and ours.actor and ours.incarnation == identity.incarnation:
            return ours.actor
        return self._random.u64()

    def _again(
        self, copy: Record, ours: Envelope, slot: Slot, write: Write, dot: tuple[int, int], hints: Sequence[str]
    ) -> Written:
        """The answer to a retry: the record as it stands, to be replicated and waited for once more."""
        if hints:
            self._note_hints(slot, hints, ours.digest, len(ours.record))
        if write.update:
            kind = KINDS[write.update]
            state = reading.bytes_of(copy, kind) if write.returns else b""
            return Written(ours.record, ours.digest, *dot, copy.vector, len(reading.presented(copy)), state)
        context = records.context_of_write(copy, write.write_id)
        return Written(ours.record, ours.digest, *dot, context, len(records.shown(copy)))

    def _doubted(self, bucket: str, key: bytes) -> Callable[[bytes], bool]:
        return lambda name: (bucket, key, name) in self._doubts

    def _slot(self, bucket: str, key: bytes) -> Slot:
        name = token(bucket, key)
        partition = partition_of(name, self.partitions)
        return Slot(partition, bucket, key, record_key(partition, bucket, key), name)

    def _changed(self, slot: Slot, old: bytes | None, new: bytes | None) -> None:
        self.trees.changed(slot.partition, slot.bucket, slot.name, slot.stored_key, old, new)

    def _save(
        self, slot: Slot, encoded: bytes, actor: int, incarnation: int, hints: Sequence[str], old: bytes | None
    ) -> bytes:
        """`old`: the digest of the copy so far, None if there was none."""
        digest = records.digest(encoded)
        change = (slot.stored_key, pack(encoded, digest, actor, incarnation))
        self._cache.forget(slot.stored_key)  # before the write: if it fails, what is stored is not known
        if hints:
            self._note_hints(slot, hints, digest, len(encoded), change)
        else:
            self.store.write((change,))
        self._changed(slot, old, digest)
        self._cache.keep(slot.stored_key, Envelope(encoded, digest, actor, incarnation))
        return digest

    def _note_hints(self, slot: Slot, targets: Sequence[str], digest: bytes, size: int, *changes: Change) -> None:
        """Write `changes`, and that the record is owed to `targets`, in one batch."""
        now_ms = self._clock.wall_ms()
        book = self.hints
        owed = [
            book.owe(target, slot.partition, slot.bucket, slot.key, digest=digest, size=size, now_ms=now_ms)
            for target in targets
        ]
        self.store.write([*changes, *(entry.change for entry in owed)])
        for entry in owed:
            book.wrote(entry)

    def _copy(self, stored_key: bytes, keep: bool = True) -> Envelope | None:
        copy = self._cache.get(stored_key)
        if copy is None:
            value = self.store.get(stored_key)
            if value is not None:
                try:
                    copy = unpack(value)
                except DamagedRecord:
                    self.trees.met_damage(partition_in(stored_key), stored_key)
                    raise
                if keep:
                    self._cache.keep(stored_key, copy)
        return copy

    def _look_for_deletion(self, slot: Slot, record: Record) -> None:
        if record.siblings[0].value is None and self.on_tombstone is not None and records.is_deleted(record):
            self.on_tombstone(slot.partition, slot.bucket, slot.key)

    def _observe(self, theirs: Record) -> None:
        for sibling in theirs.siblings:
            self._hlc.observe(sibling.time)

    def _remember(self, bucket: str, key: bytes, replaced: Iterable[Sibling]) -> None:
        """A late retry of these must not bring them back. Of what is still there, the record itself remembers."""
        for sibling in replaced:
            self._recent.add(bucket, key, sibling.write_id)

    def _check_size(self, encoded: bytes, ours: Envelope | None) -> None:
        if len(encoded) > self.limits.record_bytes_max and (ours is None or len(encoded) > len(ours.record)):
            limit = f"at most {self.limits.record_bytes_max} bytes for all siblings of a key together"
            raise TooLarge("record", f"would have {len(encoded)} bytes", limit)

    def _check_room(self, copy: Record | None, after: Record) -> None:
        count = len(after.siblings)
        if count <= self.limits.siblings_warn:
            return
        self.siblings_warned += 1
        before = 0 if copy is None else len(copy.siblings)
        if count > self.limits.siblings_max and count > before:
            detail = f"the key has {before} concurrent values; read it, and write with the context of that read"
            raise TooManySiblings("siblings", detail, f"at most {self.limits.siblings_max}")


def _doubt(write: Write) -> Doubt:
    return write.bucket, write.key, hash_of(write.write_id)
