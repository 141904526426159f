"""The scrub: reading every record in the background, to check it and the hash trees against each other.

One partition at a time is walked in the order of its keys, in small steps, as a census of `Trees`. What comes first:

    partitions whose trees are not known    they are built; a third of the loop's time is left to requests at least
    partitions in doubt                     somebody saw leaves differ and no key
    the others, in order, once a cycle      their trees are checked, at a gentle rate

The first cycle begins with the node: what changed behind the store's back while it was stopped is found then.

A record whose checksum fails is damaged: it is never served (replica), is left out of the tree, and is replaced by
what the other replicas hold (`damaged`). A stretch that cannot be read at all fails the walk; the store itself tells
the node (`Store.on_damaged`), whose life ends so that its files can be salvaged. A tree that was exact and turns out
wrong says that records were changed or lost without a trace: the partition counts to no quorum until it is refilled.
"""

from collections.abc import Callable

import structlog

from antientropy import Budget
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError
from dynkv.repair.journal import Journal
from dynkv.repair.refill import Refill
from dynkv.runtime import Clock
from dynkv.storage.base import Store
from dynkv.storage.envelope import digest_of, unpack
from dynkv.storage.keys import after, parse_record_key, record_range
from dynkv.trees import Trees
from dynkv.worker import Found
from ring.tokens import token

STEP_RECORDS = 64
STEP_BYTES = 256 * 1024
# A walk that failed is begun again after so long.
RETRY_S = 5.0
LOOK_S = 1.0
# Larger records are not looked into for tombstones: one has no value, and its siblings are few or soon none.
TOMBSTONE_BYTES_MAX = 512
NIL = b"\xc0"  # MessagePack's: a tombstone's value, so a record without this byte has no tombstone

OnRecord = Callable[[int, str, bytes], None]

log = structlog.get_logger("dynkv.scrub")


class Walk:
    """Of one partition. `building`: there is no tree yet, so that the others cannot be compared. `in_cycle`: it is one
    of the cycle's."""

    __slots__ = ("building", "cursor", "end", "in_cycle", "partition")

    def __init__(self, partition: int, *, building: bool = False, in_cycle: bool = False) -> None:
        self.partition = partition
        self.building = building
        self.in_cycle = in_cycle
        self.cursor, self.end = record_range(partition)


class Scrub:
    """`step` is a worker's step. `doubtful`: partitions that others want looked at; it is emptied here.

    `on_record(partition, bucket, key)`: told of every sound record. `on_tombstone`: of every fully deleted one.
    `on_damage(stored_key)`: of every damaged one.
    """

    def __init__(
        self,
        store: Store,
        trees: Trees,
        refill: Refill,
        clock: Clock,
        journal: Journal,
        *,
        doubtful: set[int],
        rate: Budget,
        cycle_s: float,
        on_record: OnRecord,
        on_tombstone: OnRecord,
        on_damage: Callable[[bytes], None],
    ) -> None:
        self.cycle = 0
        self.read = self.read_total = self.damaged = self.corrected = 0
        self._store = store
        self._trees = trees
        self._refill = refill
        self._clock = clock
        self._journal = journal
        self._doubtful = doubtful
        self._rate = rate
        self._cycle_s = cycle_s
        self._on_record = on_record
        self._on_tombstone = on_tombstone
        self._on_damage = on_damage
        self._walk: Walk | None = None
        self._queue: list[int] = []  # partitions left in this cycle
        self._cycle_due = clock.now()

    def fraction(self) -> float:
        """How much of the cycle is done."""
        under_way = self._walk is not None and self._walk.in_cycle
        return 1.0 - (len(self._queue) + under_way) / self._trees.partitions

    def start_cycle(self) -> None:
        """Begin a new cycle now."""
        self._cycle_due = self._clock.now()
        self._queue = []

    async def step(self) -> Found:
        """Look at the next few records."""
        walk = self._walk
        if walk is None or not self._trees.counting(walk.partition):
            walk = self._walk = self._next()
            if walk is None:
                return max(0.0, min(LOOK_S, self._cycle_due - self._clock.now()))
            self._trees.begin_census(walk.partition)
        began = self._clock.now()
        try:
            size = self._look(walk)
        except StoreError as error:
            self._trees.stop_census(walk.partition)
            self._walk = None
            log.warning("a partition could not be read", partition=walk.partition, error=str(error))
            return RETRY_S
        now = self._clock.now()
        return (now - began) / 2 if walk.building else self._rate.spend(size, now)

    def _next(self) -> Walk | None:
        partition = self._trees.unknown()
        if partition is not None:
            return Walk(partition, building=True)
        if self._doubtful:
            return Walk(self._doubtful.pop())
        if not self._queue and self._clock.now() >= self._cycle_due:
            self._cycle_due = self._clock.now() + self._cycle_s
            self.cycle += 1
            self.read = 0
            self._queue = list(reversed(range(self._trees.partitions)))
        return Walk(self._queue.pop(), in_cycle=True) if self._queue else None

    def _look(self, walk: Walk) -> int:
        """One step of a walk; bytes read."""
        page = self._store.scan(walk.cursor, walk.end, STEP_RECORDS, STEP_BYTES)
        if not page:
            self._finish(walk)
            return 0
        found: list[tuple[str, int, bytes]] = []
        damaged: list[bytes] = []
        size = 0
        for stored_key, value in page:
            _, bucket, key = parse_record_key(stored_key)
            size += len(value)
            try:
                digest = digest_of(value)
                if len(value) <= TOMBSTONE_BYTES_MAX and NIL in value:
                    self._look_for_tombstone(walk.partition, bucket, key, value)
            except DamagedRecord as error:
                log.error("a damaged record", bucket=bucket, key=key[:80], partition=walk.partition, error=str(error))
                damaged.append(stored_key)
                self._on_damage(stored_key)
                continue
            found.append((bucket, token(bucket, key), digest))
            self._on_record(walk.partition, bucket, key)
        self.read += len(page)
        self.read_total += len(page)
        self._trees.count(walk.partition, found, page[-1][0], damaged)
        walk.cursor = after(page[-1][0])
        return size

    def _look_for_tombstone(self, partition: int, bucket: str, key: bytes, value: bytes) -> None:
        if records.is_deleted(records.decode(unpack(value).record)):
            self._on_tombstone(partition, bucket, key)

    def _finish(self, walk: Walk) -> None:
        self._walk = None
        partition = walk.partition
        known = set(self._trees.unreadable(partition))
        wrong = self._trees.end_census(partition)
        if wrong:
            self.corrected += 1
            log.error("a hash tree and its records did not agree", partition=partition, leaves=wrong)
            words = f"{wrong} leaves of the tree did not agree with the records; the partition is refilled"
            self._journal.note("scrub", words, partition)
            self._refill.lost(partition)
        damaged = len(self._trees.unreadable(partition) - known)
        if damaged:
            self.damaged += damaged
            self._journal.note("scrub", f"{damaged} damaged records", partition)
