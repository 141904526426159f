"""Makes the published test vectors, `ring/vectors.json`: what any implementation of this placement must compute.

A cluster's data lies where these functions say, so a vector that changes is a format that changes: every node would
look for every key in another place. After a *wanted* change of format, and only then, write them anew:

    python -m tests.unit.ring_vectors > ring/vectors.json
"""

import json
import sys
from typing import Any

from ring import Member, MemberMap, Placement, partition_of, token

PAIRS = (
    ("", b""),
    ("a", b"bc"),
    ("ab", b"c"),
    ("users", b"alice"),
    ("users", b"bob"),
    ("users", b""),
    ("users", b"\x00"),
    ("users", b"\xff\xfe\x00/../%2F"),
    ("café", "naïve".encode()),
    ("blobs", bytes(range(256))),
)

MAPS = {
    "one": ([Member("n1")], 8, 3),
    "two": ([Member("n1"), Member("n2")], 8, 3),
    "three": ([Member(f"n{i}") for i in range(1, 4)], 16, 3),
    "five": ([Member(f"n{i}") for i in range(1, 6)], 16, 3),
    "five, n = 1": ([Member(f"n{i}") for i in range(1, 6)], 16, 1),
    "weights": ([Member("small", 1), Member("middle", 2), Member("large", 3), Member("huge", 9)], 16, 3),
    "zones": ([Member(f"n{z}{i}", zone=f"z{z}") for z in "abc" for i in range(2)], 16, 3),
    "uneven zones": ([Member(f"n{i}", zone="a" if i < 4 else "b") for i in range(6)], 16, 3),
    "regions, zones, hosts": (
        [
            Member("n1", 100, "eu", "a", "h1"),
            Member("n2", 100, "eu", "a", "h1"),
            Member("n3", 150, "eu", "b", "h2"),
            Member("n4", 100, "us", "a", "h3"),
            Member("n5", 100, "us", "b", "h4"),
            Member("n6", 200, "us", "b"),
        ],
        32,
        3,
    ),
}


def vectors() -> dict[str, Any]:
    """All vectors as JSON values: bytes as hex, tokens as 16 hex digits."""
    return {"tokens": [_of_pair(*pair) for pair in PAIRS], "placements": [_of_map(name) for name in MAPS]}


def as_json() -> str:
    """The text of `vectors.json`."""
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


def _of_pair(bucket: str, key: bytes) -> dict[str, Any]:
    found = token(bucket, key)
    return {
        "bucket": bucket,
        "key": key.hex(),
        "token": f"{found:016x}",
        "partitions": {str(partitions): partition_of(found, partitions) for partitions in (1, 8, 256, 1024, 65536)},
    }


def _of_map(name: str) -> dict[str, Any]:
    members, partitions, n = MAPS[name]
    placement = Placement(MemberMap(members), partitions, n)
    return {
        "name": name,
        "partitions": partitions,
        "n": n,
        "members": [
            {"id": m.id, "weight": m.weight, "region": m.region, "zone": m.zone, "host": m.host} for m in members
        ],
        "shares": {member_id: str(share) for member_id, share in placement.shares.items()},
        "preference": [" ".join(placement.preference(partition)) for partition in range(partitions)],
    }


if __name__ == "__main__":
    sys.stdout.write(as_json())
