"""Which keys differ between two listings of one stretch of keys."""

from collections.abc import Sequence
from typing import NamedTuple

Entry = tuple[bytes, bytes]
"""A key, never empty, and its record's digest."""


class Difference(NamedTuple):
    """A key that both sides do not have alike. None: no record under it there. Never None on both sides."""

    key: bytes
    ours: bytes | None
    theirs: bytes | None


def difference(ours: Sequence[Entry], theirs: Sequence[Entry]) -> list[Difference]:
    """The keys that one side lacks or has with another digest, ascending. Both listings ascend, no key twice."""
    found = []
    at = 0
    for key, our_digest in ours:
        while at < len(theirs) and theirs[at][0] < key:
            found.append(Difference(theirs[at][0], None, theirs[at][1]))
            at += 1
        if at == len(theirs) or theirs[at][0] != key:
            found.append(Difference(key, our_digest, None))
            continue
        if theirs[at][1] != our_digest:
            found.append(Difference(key, our_digest, theirs[at][1]))
        at += 1
    found += [Difference(key, None, their_digest) for key, their_digest in theirs[at:]]
    return found


def misplaced(entries: Sequence[Entry], after: bytes, until: bytes) -> bool:
    """Whether a listing breaks its form: strictly ascending keys in (after, until]; `until` empty is to the end."""
    last = after
    for key, _ in entries:
        if key <= last:
            return True
        last = key
    return bool(until) and last > until
