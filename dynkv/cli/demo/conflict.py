"""Two writers who did not see each other, and the one write that settles it."""

from typing import NamedTuple

from dynkv.cli.demo.clients import BUCKET
from dynkv.cli.demo.ledger import newest_in, value
from dynkv.cli.key_request import Key, read, write

# Versions of the key: what both began with, what each of them made of it, and what it became.
BASE, APART, SETTLED = 1, 2, 3


class Settled(NamedTuple):
    """siblings: what a reader saw of the conflict. resolved: whether a reader at the other node sees one value now.

    acknowledged: how many writes it took.
    """

    siblings: int
    resolved: bool
    acknowledged: int


def make_and_resolve(name: str, our_url: str, their_url: str) -> Settled:
    """Make a conflict on a fresh key through two nodes, and settle it."""
    ours, theirs = Key(our_url, BUCKET, name), Key(their_url, BUCKET, name)
    write(ours, "PUT", value(name, BASE), {})
    # Both have read the same, and neither knows of the other's write.
    seen = {"Dynkv-Context": read(ours).context}
    write(ours, "PUT", value(name, APART, b"ours"), seen)
    write(theirs, "PUT", value(name, APART, b"theirs"), seen)
    both = read(ours)
    merged = b" and ".join(sorted(found.data.rpartition(b" ")[2] for found in both.values))
    write(theirs, "PUT", value(name, SETTLED, merged), {"Dynkv-Context": both.context})
    after = read(ours).values
    return Settled(len(both.values), len(after) == 1 and newest_in(after[0].data, name) == SETTLED, 4)
