"""Hash trees of a node against trees built afresh from its records, whatever was written while a census walked."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from antientropy import HashTree
from dynkv.storage.keys import after, parse_record_key, partition_in, record_key, record_range
from dynkv.trees import Trees
from ring.tokens import partition_of, token

SEED = 7
PARTITIONS = 2
N_OF = {"a": 3, "b": 2, "c": 3}

BUCKETS = st.sampled_from(sorted(N_OF))
KEYS = st.integers(0, 3).map(lambda number: b"%d" % number)
DIGESTS = st.none() | st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16])


class TreesMachine(RuleBasedStateMachine):
    """Records in a dict, as a store would have them; the trees are told what a replica and a scrub tell them."""

    @initialize(records=st.dictionaries(st.tuples(BUCKETS, KEYS), st.sampled_from([b"1" * 16, b"2" * 16])))
    def begin(self, records: dict[tuple[str, bytes], bytes]) -> None:
        self.trees = Trees(SEED, PARTITIONS, N_OF.__getitem__)
        self.records: dict[bytes, bytes] = {}
        for (bucket, key), digest in records.items():
            self.records[record_key(partition_of(token(bucket, key), PARTITIONS), bucket, key)] = digest
        self.walks: dict[int, bytes] = {}
        self.tampered: set[int] = set()
        self.damaged: set[bytes] = set()

    @rule(bucket=BUCKETS, key=KEYS, digest=DIGESTS, many=st.booleans())
    def write(self, bucket: str, key: bytes, digest: bytes | None, many: bool) -> None:
        """Where the record is damaged, upon the copy in memory. `many`: as those that are new are told together."""
        name = token(bucket, key)
        partition = partition_of(name, PARTITIONS)
        stored_key = record_key(partition, bucket, key)
        self._write(stored_key, self.records.get(stored_key), digest, many=many)

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """A record rots, before a walk of its partition."""
        stored_key = data.draw(st.sampled_from(sorted(self.records)))
        partition = partition_in(stored_key)
        if partition not in self.walks and stored_key not in self.damaged:
            self.damaged.add(stored_key)
            if self.trees.exact(partition):
                self.tampered.add(partition)

    @precondition(lambda self: self.damaged)
    @rule(data=st.data())
    def read_what_is_damaged(self, data: st.DataObject) -> None:
        """It is told, and keeps no walk from its end."""
        stored_key = data.draw(st.sampled_from(sorted(self.damaged)))
        partition = partition_in(stored_key)
        self.trees.met_damage(partition, stored_key)
        if not self.trees.exact(partition):
            self.tampered.discard(partition)
        assert self.trees.counting(partition) is (partition in self.walks)
        assert isinstance(self.trees.tree(partition, N_OF[parse_record_key(stored_key)[1]]), str)

    @precondition(lambda self: self.damaged)
    @rule(data=st.data(), digest=DIGESTS)
    def replace_what_is_damaged(self, data: st.DataObject, digest: bytes | None) -> None:
        """By what replicas hold: what is known to be damaged only, and upon nothing."""
        stored_key = data.draw(st.sampled_from(sorted(self.damaged)))
        if stored_key in self.trees.unreadable(partition_in(stored_key)):
            self._write(stored_key, None, digest)

    def _write(self, stored_key: bytes, before: bytes | None, digest: bytes | None, *, many: bool = False) -> None:
        partition, bucket, key = parse_record_key(stored_key)
        if many and before is None and digest is not None:
            self.trees.added([(partition, bucket, token(bucket, key), stored_key, digest)])
        else:
            self.trees.changed(partition, bucket, token(bucket, key), stored_key, before, digest)
        self.damaged.discard(stored_key)
        self._put(stored_key, digest)

    @rule(bucket=BUCKETS, key=KEYS, digest=DIGESTS)
    def tamper(self, bucket: str, key: bytes, digest: bytes | None) -> None:
        """Something changes a record behind the store's back, before a walk of its partition."""
        partition = partition_of(token(bucket, key), PARTITIONS)
        stored_key = record_key(partition, bucket, key)
        if partition in self.walks or self.records.get(stored_key) == digest or stored_key in self.damaged:
            return
        self._put(stored_key, digest)
        if self.trees.exact(partition):
            self.tampered.add(partition)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def begin_walk(self, partition: int) -> None:
        self.trees.begin_census(partition)
        self.walks[partition] = record_range(partition)[0]

    @precondition(lambda self: self.walks)
    @rule(data=st.data())
    def walk_to_the_end(self, data: st.DataObject) -> None:
        partition = data.draw(st.sampled_from(sorted(self.walks)))
        while partition in self.walks:
            self._step(partition, 2)

    @precondition(lambda self: self.walks)
    @rule(data=st.data(), digest=DIGESTS, anew=DIGESTS)
    def walk_and_write_where_it_stands(self, data: st.DataObject, digest: bytes | None, anew: bytes | None) -> None:
        partition = data.draw(st.sampled_from(sorted(self.walks)))
        last = self._step(partition, 1)
        if last is not None:
            _, bucket, key = parse_record_key(last)
            self.write(bucket, key, digest, many=False)
            self.write(bucket, key, anew, many=True)

    def _step(self, partition: int, steps: int) -> bytes | None:
        """Count the next records, or end the walk; the last key counted."""
        ahead = sorted(key for key in self.records if partition_in(key) == partition and key >= self.walks[partition])
        page = ahead[:steps]
        if not page:
            exact = self.trees.exact(partition)
            wrong = self.trees.end_census(partition)
            assert self.trees.unreadable(partition) == {key for key in self.damaged if partition_in(key) == partition}
            assert (wrong is None) is not exact
            if exact and partition not in self.tampered:
                assert wrong == 0, "a tree that was told of every change is found wrong"
            self.tampered.discard(partition)
            del self.walks[partition]
            return None
        found = []
        for stored_key in page:
            _, bucket, key = parse_record_key(stored_key)
            if stored_key not in self.damaged:
                found.append((bucket, token(bucket, key), self.records[stored_key]))
        self.trees.count(partition, found, page[-1], [key for key in page if key in self.damaged])
        self.walks[partition] = after(page[-1])
        return page[-1]

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def doubt(self, partition: int) -> None:
        self.trees.doubt(partition, "somebody doubts")
        assert self.trees.tree(partition, 3) == "somebody doubts"
        self.tampered.discard(partition)
        self.walks.pop(partition, None)

    @rule()
    def restart_cleanly(self) -> None:
        saved = list(self.trees.saved(7))
        again = Trees(SEED, PARTITIONS, N_OF.__getitem__)
        for partition, (_, value) in enumerate(saved):
            again.load(partition, value, 8)
            exact = self.trees.exact(partition) and not self.trees.unreadable(partition)
            assert again.exact(partition) is exact
            if not exact:
                self.tampered.discard(partition)
            if value is not None:
                broken = Trees(SEED, PARTITIONS, N_OF.__getitem__)
                broken.load(partition, value[:-1] + bytes((value[-1] ^ 1,)), 8)
                broken.load(partition, value, 9)
                assert not broken.exact(partition), "damaged, or of the stop before the last"
        self.trees, self.walks = again, {}

    @invariant()
    def exact_trees_are_those_built_afresh(self) -> None:
        for partition in range(PARTITIONS):
            if not self.trees.exact(partition) or partition in self.tampered:
                continue
            for n in (2, 3):
                fresh, whole = HashTree(SEED), True
                for stored_key, digest in self.records.items():
                    _, bucket, key = parse_record_key(stored_key)
                    if partition_in(stored_key) == partition and N_OF[bucket] == n:
                        fresh.update(token(bucket, key), None, digest)
                        whole = whole and stored_key not in self.damaged
                tree = self.trees.tree(partition, n)
                if not whole:
                    assert isinstance(tree, str)
                    continue
                assert isinstance(tree, HashTree)
                assert tree.dump() == fresh.dump()
                assert tree.root == fresh.root

    def _put(self, stored_key: bytes, digest: bytes | None) -> None:
        if digest is None:
            self.records.pop(stored_key, None)
        else:
            self.records[stored_key] = digest


TestTrees = TreesMachine.TestCase


def test_new_keys_that_a_census_has_passed_are_told_to_it() -> None:
    trees = Trees(SEED, 1, N_OF.__getitem__)
    trees.begin_census(0)
    trees.end_census(0)
    trees.begin_census(0)
    trees.count(0, [], record_key(0, "b", b"k"))
    keys = [("a", b"passed"), ("b", b"j"), ("b", b"l")]
    trees.added([(0, bucket, token(bucket, key), record_key(0, bucket, key), b"1" * 16) for bucket, key in keys])
    trees.count(0, [("b", token("b", b"l"), b"1" * 16)], record_key(0, "c", b""))
    assert trees.end_census(0) == 0
