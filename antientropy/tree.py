"""The hash tree of one partition: what two replicas compare to find where they differ, without listing their keys.

Shape: a root, 32 inner nodes, 32 leaves under each: 1024 leaves, fixed. A key belongs to the leaf that a hash of the
key names; a hash of its own, so that the top bits of the token, which all keys of a partition share, do not matter. A
shape that grew with the data would differ between two replicas that differ in a few keys.

A leaf is the sum, modulo 2^64, of one 64-bit hash per record: h(key, digest). A sum does not care for order and can be
undone, so a write updates it in O(1): take the old record's hash away, add the new one's. (XOR would do as well but
for an update applied twice, which it undoes and a sum shows.) The tree is exact only if it is told every change once,
with the digest that was stored before; that is the caller's promise, and a scan that builds it afresh is the check of
it.

Inner nodes and the root are hashes of their children, made when asked for and kept until something below them changes:
a write pays for its leaf only. A node over empty leaves only is 0, so an empty partition has root 0 whatever the seed.

Equal nodes mean equal records but for a chance of 2^-64 a node, or malice: MurmurHash3 is not a match for somebody who
may choose keys and digests. The seed is the cluster's, so that hashes of one mean nothing in another.
"""

import struct
from array import array

import mmh3

FANOUT = 32
LEAVES = FANOUT * FANOUT

_MASK = (1 << 64) - 1
_PACK = struct.Struct(f"<{FANOUT}Q")
_LEAF_BITS = LEAVES.bit_length() - 1
_PLACE_SEED_FLIP = 0x5EED_1EAF  # sets a key's place apart from its hash in the leaf


class HashTree:
    """Mutable; one owner. Equal seeds are needed to compare two. 8 KiB of leaves and 256 bytes of inner nodes."""

    __slots__ = ("_inner", "_leaves", "_root", "_seed", "_stale", "_stale_root")

    def __init__(self, seed: int) -> None:
        """`seed`: 0 <= seed < 2^32."""
        self._seed = seed
        self._leaves = array("Q", bytes(8 * LEAVES))
        self._inner = array("Q", bytes(8 * FANOUT))
        self._root = 0
        self._stale = 0  # bit i: inner node i must be made anew
        self._stale_root = False

    def update(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """A record changed. `old`, `new`: its digest before and after; None where there was, or is, no record.

        `key` names the record within the partition, in the same bytes on every replica.
        """
        if old == new:
            return
        leaf = self.leaf_of(key)
        change = 0
        if new is not None:
            change = self._hash(key, new)
        if old is not None:
            change -= self._hash(key, old)
        self._leaves[leaf] = (self._leaves[leaf] + change) & _MASK
        self._stale |= 1 << leaf // FANOUT
        self._stale_root = True

    def leaf_of(self, key: bytes) -> int:
        """The leaf, 0 to 1023, that a key belongs to. Leaf i is child i % 32 of inner node i // 32."""
        return mmh3.hash64(key, self._seed ^ _PLACE_SEED_FLIP, signed=False)[0] >> 64 - _LEAF_BITS

    @property
    def root(self) -> int:
        """One 64-bit number for the whole partition."""
        if self._stale_root:
            self._refresh()
            self._root = self._node(self._inner)
            self._stale_root = False
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

    def _refresh(self) -> None:
        stale, self._stale = self._stale, 0
        while stale:
            node = stale.bit_length() - 1
            stale ^= 1 << node
            self._inner[node] = self._node(self._leaves[node * FANOUT : (node + 1) * FANOUT])

    def _node(self, children: "array[int]") -> int:
        if not any(children):
            return 0
        # packed little-endian: machines of either kind hash the same bytes
        return mmh3.hash64(_PACK.pack(*children), self._seed, signed=False)[0]

    def _hash(self, key: bytes, digest: bytes) -> int:
        """The key's length stands first: no two pairs of key and digest give the same bytes."""
        return mmh3.hash64(b"%d:%b%b" % (len(key), key, digest), self._seed, signed=False)[0]
