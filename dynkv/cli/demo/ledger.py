"""What the cluster has acknowledged, key by key: the demo's memory, against which every read is held.

Only one writer writes a key, one write at a time and each with the context of the one before. So the versions of a key
are 1, 2, 3, ... and an acknowledged one may never be missing from what a quorum reads later.
"""

import re

PADDING = b"." * 200


class Ledger:
    """Acknowledged versions and their contexts."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.contexts: dict[str, bytes] = {}
        self.keys: list[str] = []

    def acknowledge(self, key: str, version: int, context: bytes) -> None:
        if key not in self.versions:
            self.keys.append(key)
        self.versions[key] = version
        self.contexts[key] = context


def value(key: str, version: int, text: bytes = PADDING) -> bytes:
    """What is written as this version of a key."""
    return b"%b %d %b" % (key.encode(), version, text)


def newest_in(body: bytes, key: str) -> int:
    """The newest version of `key` in a response's body, among siblings too; 0 if there is none."""
    return max((int(found) for found in re.findall(re.escape(key.encode()) + rb" (\d+) ", body)), default=0)
