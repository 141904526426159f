"""Settings of a bucket, and their replication as a map in which the newest entry of each bucket wins.

A `Setting` carries a version (counter, node id); `newer` picks the larger, so any two nodes that have seen the same
entries agree, in whatever order they came. The conflict policy never changes how records merge (that would make the
merge depend on when a node learned of it): `lww` picks a winner when a record is read and covers the losers at the
next write.
"""

import re
from typing import Literal

import msgspec

from dynkv.core.errors import BadKey, BadParameter

Conflict = Literal["siblings", "lww"]

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
KEY_BYTES_MAX = 4096


class BucketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bucket's requests use unless they say otherwise.

    n: replicas of each key. r, w: how many must answer a read, a write. conflict: what a reader sees of concurrent
    values: `siblings` (all) or `lww` (the latest by hybrid clock, ties by dot).
    """

    n: int = 3
    r: int = 2
    w: int = 2
    conflict: Conflict = "siblings"

    def validate(self, members: int) -> "BucketSettings":
        """Itself, or BadParameter: 1 <= r, w <= n <= `members`."""
        if not 1 <= self.n <= members:
            raise BadParameter("n", f"is {self.n}; this cluster has {members} members", f"1..{members}")
        for name, value in (("r", self.r), ("w", self.w)):
            if not 1 <= value <= self.n:
                raise BadParameter(name, f"is {value}; must lie in 1..n", f"1..{self.n}")
        return self


class Setting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One version of one bucket's settings, as stored and gossiped."""

    bucket: str
    counter: int
    node: str
    n: int
    r: int
    w: int
    conflict: Conflict

    @property
    def version(self) -> tuple[int, str]:
        return self.counter, self.node

    def settings(self) -> BucketSettings:
        return BucketSettings(self.n, self.r, self.w, self.conflict)


def newer(ours: Setting | None, theirs: Setting) -> bool:
    """Whether `theirs` replaces `ours`. A total order, so replacing is order-free."""
    return ours is None or theirs.version > ours.version


def check_bucket(name: str) -> str:
    """`name` if it is a bucket name, else BadKey."""
    if BUCKET_NAME.match(name) is None:
        raise BadKey("bucket", f"{name[:80]!r} is not a bucket name", BUCKET_NAME.pattern.removesuffix(r"\Z"))
    return name


def check_key(key: bytes) -> bytes:
    """`key` if it has 1 to 4096 bytes, else BadKey."""
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise BadKey("key", f"has {len(key)} bytes", f"1..{KEY_BYTES_MAX} bytes")
    return key
