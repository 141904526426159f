"""The hash trees of one node, kept exact beside its records, and what may be believed of them.

A partition has one tree per n: buckets may have an n of their own, and two primaries of a partition by n=3 need not
both be so by n=2, so only records of one n can be held against another node's. A record's entry in its tree is the
digest that stands in its stored envelope: record and entry are one put of one batch, and the sums in memory follow in
the same turn of the loop (`changed`), before anything else can look.

What a tree is worth
--------------------
    unknown      not built yet in this life, or doubted: nothing is said from it
    exact        told of every change since it was built, loaded or checked
    unreadable   exact but for records that are damaged: nothing is said from it until they are replaced

At a clean stop exact trees are written beside the records (`saved`), and the next start takes them (`load`); whoever
starts after any other stop builds them from the records. That is a census, and so is the check of an exact tree: a walk
over all records of the partition in small steps, into trees of its own, while writes go on. A change of a key that the
census has passed goes into both; one of a key still ahead goes into the old tree only, because the census will meet the
record as it is then. Walking in the order of stored keys, one cursor tells the two apart. A census ends with the truth
of that very moment, so an exact tree that differs from it was not: something changed behind the store's back, and the
caller must take the partition for one that lost data.

A damaged record is in no tree, whatever it was before. A census that meets one notes its key; a write of that key (by
which it is sound again) is a new record to each tree that went without it.
"""

from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

import msgspec

from antientropy import HashTree
from dynkv.storage.base import Change
from dynkv.storage.keys import parse_record_key, tree_key

NOT_BUILT = "trees are being rebuilt"

Saved = tuple[int, tuple[tuple[int, bytes], ...]]  # start count; (n, dump) of one partition
Added = tuple[int, str, int, bytes, bytes]
"""Of a new record: partition, bucket, name, stored key, digest."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Saved).decode
_CRC_BYTES = 4


class Plot:
    """What is kept of one partition. `trees`: by n, None if unknown. `census`: the same under construction, with all
    keys up to `cursor`. `unreadable`: stored keys of damaged records, which `trees` are without; `passed_over`: those
    that the census is without."""

    __slots__ = ("census", "cursor", "passed_over", "trees", "unreadable", "why")

    def __init__(self) -> None:
        self.trees: dict[int, HashTree] | None = None
        self.census: dict[int, HashTree] | None = None
        self.cursor = b""
        self.unreadable: set[bytes] = set()
        self.passed_over: set[bytes] = set()
        self.why = NOT_BUILT


class Trees:
    """All trees of one node. Methods run on the loop; none waits."""

    def __init__(self, seed: int, partitions: int, n_of: Callable[[str], int]) -> None:
        """`seed`: the cluster's, 32 bits. `n_of`: a bucket's n; changes only for a bucket without records."""
        self.partitions = partitions
        self._seed = seed
        self._n_of = n_of
        self._plots = [Plot() for _ in range(partitions)]
        self._unknown = set(range(partitions))

    # --- on the path of every write -----------------------------------------------------------------------------------

    def changed(
        self, partition: int, bucket: str, name: int, stored_key: bytes, old: bytes | None, new: bytes | None
    ) -> None:
        """A record was written or dropped: its digest before and after, None for no record. `name`: its token."""
        plot = self._plots[partition]
        n = self._n_of(bucket)
        trees = plot.trees
        if trees is not None:
            tree = trees.get(n)
            if tree is None:
                tree = trees[n] = HashTree(self._seed)
            if plot.unreadable and stored_key in plot.unreadable:
                plot.unreadable.discard(stored_key)
                tree.update(name, None, new)
            else:
                tree.update(name, old, new)
        if plot.census is not None and stored_key <= plot.cursor:
            if stored_key in plot.passed_over:
                plot.passed_over.discard(stored_key)
                old = None
            self._census_tree(plot, n).update(name, old, new)

    def added(self, written: Iterable[Added]) -> None:
        """Records were written of which there were none, many at a time."""
        counted, n = "", 0
        for partition, bucket, name, stored_key, digest in written:
            plot = self._plots[partition]
            if plot.trees is None or plot.census is not None or plot.unreadable:
                self.changed(partition, bucket, name, stored_key, None, digest)
                continue
            if bucket != counted:
                counted, n = bucket, self._n_of(bucket)
            tree = plot.trees.get(n)
            if tree is None:
                tree = plot.trees[n] = HashTree(self._seed)
            tree.update(name, None, digest)

    # --- what is believed ---------------------------------------------------------------------------------------------

    def tree(self, partition: int, n: int) -> HashTree | str:
        """The tree, live, or why nothing can be said now."""
        plot = self._plots[partition]
        if plot.trees is None:
            return plot.why
        if plot.unreadable and (damaged := sum(self._n_of(_bucket_in(key)) == n for key in plot.unreadable)):
            return f"{damaged} damaged records are being replaced"
        tree = plot.trees.get(n)
        if tree is None:
            tree = plot.trees[n] = HashTree(self._seed)
        return tree

    def exact(self, partition: int) -> bool:
        """Whether the partition's trees are told of every change (damaged records may be missing in them)."""
        return self._plots[partition].trees is not None

    def unreadable(self, partition: int) -> set[bytes]:
        """Stored keys of the partition's damaged records."""
        return self._plots[partition].unreadable

    def unknown(self) -> int | None:
        """A partition whose trees must be built, if there is one."""
        return next(iter(self._unknown), None)

    def doubt(self, partition: int, why: str) -> None:
        """The trees may be wrong: nothing is said from them until a census has built them anew."""
        plot = self._plots[partition]
        plot.trees, plot.census, plot.why = None, None, why
        self._unknown.add(partition)

    def met_damage(self, partition: int, stored_key: bytes) -> None:
        """A record was read and is damaged: the trees may still have it in them, unless that is known.

        A census under way is called off only if it counted the record: one that clients read again and again would
        otherwise keep every census from its end.
        """
        plot = self._plots[partition]
        if plot.trees is not None and stored_key in plot.unreadable:
            return
        ahead = plot.census is not None and (stored_key > plot.cursor or stored_key in plot.passed_over)
        census = plot.census if ahead else None
        self.doubt(partition, "a damaged record was read; trees are being rebuilt")
        plot.census = census

    def doubt_all(self, why: str) -> None:
        """The same for all partitions: the store went back to what was durable."""
        for partition in range(self.partitions):
            self.doubt(partition, why)

    # --- census -------------------------------------------------------------------------------------------------------

    def begin_census(self, partition: int) -> None:
        """Nothing is counted yet."""
        plot = self._plots[partition]
        plot.census, plot.cursor = {}, b""
        plot.passed_over = set()

    def counting(self, partition: int) -> bool:
        """Whether a census is under way; one that was called off must begin anew."""
        return self._plots[partition].census is not None

    def count(
        self, partition: int, records: Iterable[tuple[str, int, bytes]], cursor: bytes, damaged: Iterable[bytes] = ()
    ) -> None:
        """(bucket, name, digest) of the next records, the last stored key looked at, and those of damaged records."""
        plot = self._plots[partition]
        assert plot.census is not None
        for bucket, name, digest in records:
            self._census_tree(plot, self._n_of(bucket)).update(name, None, digest)
        plot.passed_over.update(damaged)
        plot.cursor = cursor

    def end_census(self, partition: int) -> int | None:
        """All records were counted but the damaged ones. Leaves in which the trees so far were wrong; None if there
        were none to be right or wrong."""
        plot = self._plots[partition]
        assert plot.census is not None
        before, counted = plot.trees, plot.census
        plot.census, plot.unreadable, plot.passed_over = None, plot.passed_over, set()
        self._unknown.discard(partition)
        wrong = None
        if before is not None:
            wrong = sum(
                len(self._of(before, n).differing(self._of(counted, n))) for n in sorted(before.keys() | counted.keys())
            )
        if wrong != 0:  # else those so far stay: exchanges are at work on them
            plot.trees = counted
        return wrong

    def stop_census(self, partition: int) -> None:
        """The partition could not be walked to its end."""
        self._plots[partition].census = None

    def _census_tree(self, plot: Plot, n: int) -> HashTree:
        assert plot.census is not None
        tree = plot.census.get(n)
        if tree is None:
            tree = plot.census[n] = HashTree(self._seed)
        return tree

    def _of(self, trees: dict[int, HashTree], n: int) -> HashTree:
        return trees.get(n) or HashTree(self._seed)

    # --- over a clean stop --------------------------------------------------------------------------------------------

    def saved(self, start_count: int) -> Iterator[Change]:
        """What to write last at the clean stop of this start: the exact trees, and nothing for the others."""
        for partition, plot in enumerate(self._plots):
            if plot.trees is None or plot.unreadable:
                yield tree_key(partition), None
            else:
                body = _encode((start_count, [(n, tree.dump()) for n, tree in sorted(plot.trees.items())]))
                yield tree_key(partition), crc32(body).to_bytes(_CRC_BYTES, "big") + body

    def load(self, partition: int, data: bytes | None, start_count: int) -> None:
        """What was saved at the stop before this start, if that was a clean one. A damaged one counts for nothing, nor
        does one of an earlier stop: the last may have been unable to write, and clean nevertheless."""
        if data is None or crc32(data[_CRC_BYTES:]).to_bytes(_CRC_BYTES, "big") != data[:_CRC_BYTES]:
            return
        try:
            saved_at, saved = _decode(data[_CRC_BYTES:])
            trees = {n: HashTree.load(self._seed, dump) for n, dump in saved}
        except (msgspec.MsgspecError, ValueError):
            return  # of another version: they are built anew
        if saved_at + 1 != start_count:
            return
        self._plots[partition].trees = trees
        self._unknown.discard(partition)


def _bucket_in(stored_key: bytes) -> str:
    return parse_record_key(stored_key)[1]
