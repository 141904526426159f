"""Finding out where two replicas differ. Pure: standard library and mmh3, nothing that waits, nothing of dynkv.

>>> from antientropy import HashTree
>>> ours, theirs = HashTree(seed=1), HashTree(seed=1)
>>> ours.update(b"key", None, b"digest")
>>> ours.root == theirs.root
False
"""

from antientropy.tree import FANOUT, LEAVES, HashTree

__all__ = ["FANOUT", "LEAVES", "HashTree"]
