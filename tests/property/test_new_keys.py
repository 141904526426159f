"""Writes of many keys at once leave the bytes, trees and outcomes that the same writes leave one after the other."""

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, DynkvError, StoreBusy, Unconfirmed
from dynkv.core.hlc import HybridClock
from dynkv.core.recent import RecentWrites
from dynkv.core.types import operation
from dynkv.core.write import Write
from dynkv.hints import HintBook
from dynkv.identity import Identity
from dynkv.new_keys import apply_many, coordinate_many
from dynkv.replica import Replica, ReplicaLimits, Written
from dynkv.runtime import SeededRandom
from dynkv.storage.memory import MemoryDisk, MemoryStore
from dynkv.trees import Trees

PARTITIONS = 4
BUCKET = "b"


class Noon:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return 43_200_000


class Copies:
    """A replica whose every choice is foretold, on a disk in memory."""

    def __init__(self, seed: str) -> None:
        clock = Noon()
        self.disk = MemoryDisk()
        self.store = MemoryStore(self.disk, "relaxed", clock=clock, renew=lambda why: None)
        trees = Trees(1, PARTITIONS, lambda bucket: 3)
        for partition in range(1, PARTITIONS):  # of the first, trees are unknown
            trees.begin_census(partition)
            trees.end_census(partition)
        trees.begin_census(1)
        trees.met_damage(2, b"r\0\2 of which the record is damaged")
        self.replica = Replica(
            self.store,
            Identity("n1", 7, 1, (1,), confirmed=True),
            HintBook(self.store),
            trees,
            clock=clock,
            random=SeededRandom(seed),
            hlc=HybridClock(clock.wall_ms()),
            recent=RecentWrites(100),
            limits=ReplicaLimits(siblings_max=3, record_bytes_max=400),
        )
        self.deleted: set[tuple[int, str, bytes]] = set()
        self.replica.on_tombstone = lambda *key: self.deleted.add(key)

    def state(self) -> object:
        trees = [self.replica.trees.tree(partition, 3) for partition in range(PARTITIONS)]
        roots = [tree if isinstance(tree, str) else tree.root for tree in trees]
        return self.store.scan(b"", b"\xff", 10_000), roots, self.deleted


class Said(NamedTuple):
    """One write. `knows`: its author has seen what was there before its batch. `counts`: it updates a counter."""

    key: int
    value: bytes | None
    write_id: int
    knows: bool
    counts: bool


SAID = st.builds(
    Said,
    st.integers(0, 4),
    st.sampled_from([b"v", b"w", None, b"x" * 500]),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)
BATCHES = st.lists(st.tuples(st.booleans(), st.lists(SAID, max_size=8)), max_size=6)

COUNTER = operation.KINDS["counter"]
INCREMENT = operation.encode(operation.parse(COUNTER, {"increment": 1}))


def write_of(said: Said, replica: Replica) -> Write:
    key, write_id = b"k%d" % said.key, b"id%d" % said.write_id
    if said.counts:
        return Write(BUCKET, key, (), INCREMENT, COUNTER.content_type, write_id, update="counter")
    copy = replica.read(replica.partition(BUCKET, key), BUCKET, key)
    context = records.decode(copy.record).vector if said.knows and copy is not None else ((3, 2),) * said.knows
    return Write(BUCKET, key, context, said.value, "text/plain", write_id)


def alone(replica: Replica, write: Write) -> Written | Exception:
    try:
        return replica.coordinate(write, "siblings", ())
    except (DynkvError, StoreBusy) as error:
        return error


def told(outcome: Written | Exception) -> object:
    return outcome if isinstance(outcome, Written) else (type(outcome), str(outcome))


@given(BATCHES)
def test_each_has_the_outcome_that_it_has_alone(batches: list[tuple[bool, list[Said]]]) -> None:
    async def main() -> None:
        together, one_by_one = Copies("a"), Copies("a")
        for stalled, batch in batches:
            together.disk.stalled = one_by_one.disk.stalled = stalled
            writes = [write_of(said, one_by_one.replica) for said in batch]
            expected = [told(alone(one_by_one.replica, write)) for write in writes]
            found = coordinate_many(together.replica, [(write, "siblings") for write in writes])
            assert [told(outcome) for outcome in found] == expected
            assert together.state() == one_by_one.state()

    asyncio.run(main())


@pytest.mark.parametrize("cannot", ["be read", "be believed"])
def test_a_copy_that_cannot_be_told_stops_no_other_write(cannot: str) -> None:
    async def main() -> None:
        copies = [Copies("a"), Copies("a")]
        writes = [Write(BUCKET, b"k%d" % key, (), b"v", "text/plain", b"id%d" % key) for key in (0, 1, 2, 1, 3)]
        for one in copies:
            alone(one.replica, writes[1])
            alone(one.replica, writes[2])
            one.replica._cache.clear()
            slot = one.replica._slot(BUCKET, b"k1")
            if cannot == "be read":
                one.disk.unreadable.add(slot.stored_key)
            else:
                one.store.write([(slot.stored_key, b"no envelope")])
        together, one_by_one = copies
        expected = [told(alone(one_by_one.replica, write)) for write in writes]
        found = coordinate_many(together.replica, [(write, "siblings") for write in writes])
        assert [told(outcome) for outcome in found] == expected
        assert [isinstance(outcome, Written) for outcome in found] == [True, False, True, False, True]
        together.disk.unreadable.clear()
        one_by_one.disk.unreadable.clear()
        assert together.state() == one_by_one.state()

    asyncio.run(main())


def test_a_node_that_may_be_an_old_copy_begins_nothing() -> None:
    async def main() -> None:
        copies = Copies("a")
        copies.replica.identity.confirmed = False
        writes = [Write(BUCKET, b"k%d" % number, (), b"v", "text/plain", b"id") for number in range(2)]
        found = coordinate_many(copies.replica, [(write, "siblings") for write in writes])
        assert [type(outcome) for outcome in found] == [Unconfirmed] * 2
        assert copies.store.scan(b"", b"\xff", 10) == []

    asyncio.run(main())


@given(BATCHES, st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=5))
def test_each_record_is_taken_in_as_it_is_alone(
    batches: list[tuple[bool, list[Said]]], messages: list[list[int]]
) -> None:
    """Records of two nodes that know nothing of each other, and one that is none."""

    async def main() -> None:
        nodes = [Copies("a"), Copies("b")]
        made: list[tuple[str, bytes, bytes]] = [(BUCKET, b"k0", b"no record")]
        for number, (_, batch) in enumerate(batches):
            replica = nodes[number % 2].replica
            for said in batch:
                write = write_of(said, replica)
                if isinstance(written := alone(replica, write), Written):
                    made.append((BUCKET, write.key, written.record))
        together, one_by_one = Copies("c"), Copies("c")
        for message in messages:
            sent = [made[place % len(made)] for place in message]
            expected = []
            for bucket, key, record in sent:
                try:
                    expected.append(one_by_one.replica.apply(bucket, key, record))
                except DamagedRecord:
                    expected.append(b"")
            found: list[bytes] = []
            apply_many(together.replica, sent, found)
            assert found == expected
            assert together.state() == one_by_one.state()

    asyncio.run(main())


def test_what_the_disk_refuses_is_not_said_to_be_taken_in() -> None:
    async def main() -> None:
        source, copies = Copies("a"), Copies("c")
        made = []
        for number in range(3):
            written = alone(source.replica, Write(BUCKET, b"k%d" % number, (), b"v", "text/plain", b"id"))
            assert isinstance(written, Written)
            made.append((BUCKET, b"k%d" % number, written.record))
        before = copies.state()
        copies.disk.stalled = True
        digests: list[bytes] = []
        with pytest.raises(StoreBusy):
            apply_many(copies.replica, [*made, made[0]], digests)
        assert not any(digests)
        assert copies.state() == before
        copies.disk.stalled = False
        digests = []
        apply_many(copies.replica, [*made, made[0]], digests)
        assert len(set(digests)) == 3
        assert digests[3] == digests[0]

    asyncio.run(main())
