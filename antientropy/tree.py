"""The hash tree of one partition: what two replicas compare to find where they differ, without listing their keys.

Shape: a root, 32 inner nodes, 32 leaves under each: 1024 leaves, fixed. A tree knows a key by its *name*, a 64-bit hash
that every replica computes alike (the key's token), and puts it into leaf name mod 1024: the low bits, for the top bits
are what all keys of a partition share. A shape that grew with the data would differ between two replicas that differ
in a few keys.

A leaf is the sum, modulo 2^64, of one 64-bit hash per record: h(name, digest). A sum does not care for order and can be
undone, so a write updates it in O(1): take the old record's hash away, add the new one's. (XOR would do as well but
for an update applied twice, which it undoes and a sum shows.) The tree is exact only if it is told every change once,
with the digest that was stored before; that is the caller's promise, and a scan that builds it afresh is the check of
it. Two keys of one name are two records of one leaf, and nothing depends on their being told apart.

Inner nodes and the root are hashes of their children, made when asked for and kept until something below them changes:
a write pays for its leaf only, and marks the node above it with one byte. A node over empty leaves only is 0, so an
empty partition has root 0 whatever the seed.

Equal nodes mean equal records but for a chance of 2^-64 a node, or malice: MurmurHash3 is not a match for somebody who
may choose keys and digests. The seed is the cluster's, so that hashes of one mean nothing in another.

Every write of a node passes `update`, so it takes the cheapest way there is: mmh3's positional call that gives two
integers (0.07 µs; `hash64` with its keywords takes a quarter more), a packed name of fixed length, so that name and
digest need no frame, and no check of what the caller promises.
"""

from array import array
from collections.abc import Sequence
from struct import Struct

from mmh3 import mmh3_x64_128_utupledigest as _hash

FANOUT = 32
LEAVES = FANOUT * FANOUT
NODE_BYTES = 8
DUMP_BYTES = LEAVES * NODE_BYTES

_MASK = (1 << 64) - 1
_LEAF_MASK = LEAVES - 1
_FANOUT_BITS = FANOUT.bit_length() - 1
_pack_name = Struct("<Q").pack
# little-endian whatever the machine: all hash, send and keep the same bytes
_children = Struct(f"<{FANOUT}Q")
_dump = Struct(f"<{LEAVES}Q")


class HashTree:
    """Mutable; one owner. Equal seeds are needed to compare two. About 9 KiB in all."""

    __slots__ = ("_inner", "_leaves", "_root", "_seed", "_stale")

    def __init__(self, seed: int) -> None:
        """`seed`: 0 <= seed < 2^32."""
        self._seed = seed
        self._leaves = array("Q", bytes(DUMP_BYTES))
        self._inner = array("Q", bytes(NODE_BYTES * FANOUT))
        self._root: int | None = 0  # None: must be made anew, as must every inner node with a 1 in `stale`
        self._stale = bytearray(FANOUT)

    @classmethod
    def load(cls, seed: int, data: bytes) -> "HashTree":
        """The tree that was dumped, on whatever machine; ValueError if `data` has another length than a dump."""
        if len(data) != DUMP_BYTES:
            raise ValueError(f"a dumped tree has {DUMP_BYTES} bytes, not {len(data)}")
        tree = cls(seed)
        tree._leaves = array("Q", _dump.unpack(data))
        tree._stale = bytearray(b"\1" * FANOUT)
        return tree

    def dump(self) -> bytes:
        """The leaves, 8 KiB: all that `load` needs. The seed is not in it; nor is a checksum."""
        return _dump.pack(*self._leaves)

    def update(self, name: int, old: bytes | None, new: bytes | None) -> None:
        """A record changed. `old`, `new`: its digest before and after; None where there was, or is, no record.

        `name`: 0 <= name < 2^64, the same on every replica.
        """
        if old == new:
            return
        packed = _pack_name(name)
        leaf = name & _LEAF_MASK
        leaves = self._leaves
        total = leaves[leaf]
        if new is not None:
            total += _hash(packed + new, self._seed)[0]
        if old is not None:
            total -= _hash(packed + old, self._seed)[0]
        leaves[leaf] = total & _MASK
        self._stale[leaf >> _FANOUT_BITS] = 1

    def clear(self) -> None:
        """Back to the tree of no records."""
        self._leaves = array("Q", bytes(DUMP_BYTES))
        self._stale = bytearray(b"\1" * FANOUT)

    @staticmethod
    def leaf_of(name: int) -> int:
        """The leaf, 0 to 1023, of a key with this name. Leaf i is child i % 32 of inner node i // 32."""
        return name & _LEAF_MASK

    @property
    def root(self) -> int:
        """One 64-bit number for the whole partition."""
        self._refresh()
        if self._root is None:
            self._root = self._node(self._inner)
        return self._root

    def inner(self) -> tuple[int, ...]:
        """The 32 nodes under the root."""
        self._refresh()
        return tuple(self._inner)

    def leaves(self, inner: int) -> tuple[int, ...]:
        """The 32 leaves under one inner node, 0 to 31."""
        if not 0 <= inner < FANOUT:
            raise IndexError(f"inner node {inner} is not one of 0 to {FANOUT - 1}")
        return tuple(self._leaves[inner * FANOUT : (inner + 1) * FANOUT])

    def differing(self, other: "HashTree") -> tuple[int, ...]:
        """The leaves, ascending, in which a tree of the same seed differs; checks a tree against one made afresh."""
        return tuple(leaf for leaf in range(LEAVES) if self._leaves[leaf] != other._leaves[leaf])

    def _refresh(self) -> None:
        stale = self._stale
        node = stale.find(1)
        while node >= 0:
            stale[node] = 0
            self._inner[node] = self._node(self._leaves[node * FANOUT : (node + 1) * FANOUT])
            self._root = None
            node = stale.find(1, node)

    def _node(self, children: "array[int]") -> int:
        return _hash(_children.pack(*children), self._seed)[0] if any(children) else 0


def pack_nodes(nodes: Sequence[int]) -> bytes:
    """Node hashes as they travel: 8 bytes each, little-endian."""
    return Struct(f"<{len(nodes)}Q").pack(*nodes)


def unpack_nodes(data: bytes) -> tuple[int, ...]:
    """What `pack_nodes` packed; ValueError if these bytes are no whole number of nodes."""
    if len(data) % NODE_BYTES:
        raise ValueError(f"{len(data)} bytes are no whole number of nodes of {NODE_BYTES}")
    return Struct(f"<{len(data) // NODE_BYTES}Q").unpack(data)
