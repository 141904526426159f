"""Finding out where two replicas differ. Pure: standard library and mmh3, nothing that waits, nothing of dynkv.

Each replica keeps a `HashTree` of a partition. One begins an `Exchange` and does what it asks for; the other answers
from its tree, and lists its keys. Here both have one record and differ in a second; a key's name is its length:

>>> from antientropy import *
>>> ours, theirs = HashTree(seed=1), HashTree(seed=1)
>>> for tree in ours, theirs:
...     tree.update(3, None, b"digest of key")
>>> ours.update(5, None, b"new")
>>> theirs.update(5, None, b"old")

>>> exchange = Exchange(ours, name_of=len)
>>> action = exchange.heard(answer_root(theirs, exchange.action.root))
>>> action
AskLeaves(inner=(0,))
>>> exchange.heard(answer_leaves(theirs, action.inner))
Settle()
>>> exchange.settled()
AskLeaves(inner=(0,))
>>> exchange.heard(answer_leaves(theirs, action.inner))
AskKeys(leaves=(5,), after=b'')
>>> exchange.heard(Keys([(b"other", b"old")], until=b""))
ListOwn(leaves=(5,), after=b'', until=b'')
>>> exchange.listed([(b"other", b"new")])
Repair(differences=(Difference(key=b'other', ours=b'new', theirs=b'old'),))
>>> result = exchange.repaired().result
>>> result.outcome, result.whole, result.counts.keys
(<Outcome.REPAIRED: 'repaired'>, True, 1)

`Schedule` says which comparison is due, `Budget` how fast it may go, and `Deference` whether clients come first.
"""

from antientropy.budget import Budget, Deference, courtesy_s
from antientropy.difference import Difference, Entry, difference
from antientropy.exchange import Exchange, answer_leaves, answer_root
from antientropy.schedule import Pair, Schedule
from antientropy.steps import (
    PAGE_KEYS_MAX,
    PAGES_MAX,
    Action,
    Answer,
    AskKeys,
    AskLeaves,
    AskRoot,
    Counts,
    Finish,
    Inner,
    Keys,
    Leaves,
    ListOwn,
    Outcome,
    Repair,
    Result,
    Same,
    Settle,
    Unknown,
)
from antientropy.tree import DUMP_BYTES, FANOUT, LEAVES, NODE_BYTES, HashTree, pack_nodes, unpack_nodes

__all__ = [
    "DUMP_BYTES",
    "FANOUT",
    "LEAVES",
    "NODE_BYTES",
    "PAGES_MAX",
    "PAGE_KEYS_MAX",
    "Action",
    "Answer",
    "AskKeys",
    "AskLeaves",
    "AskRoot",
    "Budget",
    "Counts",
    "Deference",
    "Difference",
    "Entry",
    "Exchange",
    "Finish",
    "HashTree",
    "Inner",
    "Keys",
    "Leaves",
    "ListOwn",
    "Outcome",
    "Pair",
    "Repair",
    "Result",
    "Same",
    "Schedule",
    "Settle",
    "Unknown",
    "answer_leaves",
    "answer_root",
    "courtesy_s",
    "difference",
    "pack_nodes",
    "unpack_nodes",
]
