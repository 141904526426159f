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

    @rule(bucket=BUCKETS, key=KEYS, digest=DIGESTS)
    def write(self, bucket: str, key: bytes, digest: bytes | None) -> None:
        name = token(bucket, key)
        partition = partition_of(name, PARTITIONS)
        stored_key = record_key(partition, bucket, key)
        self.trees.changed(partition, bucket, name, stored_key, self.records.get(stored_key), digest)
        self._put(stored_key, digest)

    @rule(bucket=BUCKETS, key=KEYS, digest=DIGESTS)
    def tamper(self, bucket: str, key: bytes, digest: bytes | None) -> None:
        """Something changes a record behind the store's back, before a walk of its partition."""
        partition = partition_of(token(bucket, key), PARTITIONS)
        stored_key = record_key(partition, bucket, key)
        if partition in self.walks or self.records.get(stored_key) == digest:
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
    @rule(data=st.data(), digest=DIGESTS)
    def walk_and_write_where_it_stands(self, data: st.DataObject, digest: bytes | None) -> None:
        partition = data.draw(st.sampled_from(sorted(self.walks)))
        last = self._step(partition, 1)
        if last is not None:
            _, bucket, key = parse_record_key(last)
            self.write(bucket, key, digest)

    def _step(self, partition: int, steps: int) -> bytes | None:
        """Count the next records, or end the walk; the last key counted."""
        ahead = sorted(key for key in self.records if partition_in(key) == partition and key >= self.walks[partition])
        page = ahead[:steps]
        if not page:
            exact = self.trees.exact(partition)
            wrong = self.trees.end_census(partition, set())
            assert (wrong is None) is not exact
            if exact and partition not in self.tampered:
                assert wrong == 0, "a tree that was told of every change is found wrong"
            self.tampered.discard(partition)
            del self.walks[partition]
            return None
        found = []
        for stored_key in page:
            _, bucket, key = parse_record_key(stored_key)
            found.append((bucket, token(bucket, key), self.records[stored_key]))
        assert self.trees.count(partition, found, page[-1])
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
        saved = list(self.trees.saved())
        again = Trees(SEED, PARTITIONS, N_OF.__getitem__)
        for partition, (_, value) in enumerate(saved):
            again.load(partition, value)
            assert again.exact(partition) is self.trees.exact(partition)
            if value is not None:
                broken = Trees(SEED, PARTITIONS, N_OF.__getitem__)
                broken.load(partition, value[:-1] + bytes((value[-1] ^ 1,)))
                assert not broken.exact(partition)
        self.trees, self.walks = again, {}

    @invariant()
    def exact_trees_are_those_built_afresh(self) -> None:
        for partition in range(PARTITIONS):
            if not self.trees.exact(partition) or partition in self.tampered:
                continue
            for n in (2, 3):
                fresh = HashTree(SEED)
                for stored_key, digest in self.records.items():
                    _, bucket, key = parse_record_key(stored_key)
                    if partition_in(stored_key) == partition and N_OF[bucket] == n:
                        fresh.update(token(bucket, key), None, digest)
                tree = self.trees.tree(partition, n)
                assert isinstance(tree, HashTree)
                assert tree.dump() == fresh.dump()
                assert tree.root == fresh.root

    def _put(self, stored_key: bytes, digest: bytes | None) -> None:
        if digest is None:
            self.records.pop(stored_key, None)
        else:
            self.records[stored_key] = digest


TestTrees = TreesMachine.TestCase
