"""Where keys live: tokens, partitions, and preference lists as a pure function of the member map.

    >>> from ring import Member, Placement, partition_of, token
    >>> members = [Member("n1", zone="a"), Member("n2", zone="b"), Member("n3", zone="c")]
    >>> placement = Placement(members, partitions=256, n=3)
    >>> len(placement.preference(partition_of(token("users", b"alice"), placement.partitions)))
    3

Nothing here waits, reads a clock, or knows of dynkv; standard library and mmh3 only. `vectors.json` fixes the results.
"""

from ring.members import WEIGHT_MAX, Member, MemberMap
from ring.movement import Movement, movement
from ring.placement import LOAD_BOUND, Placement
from ring.shares import fair_shares
from ring.tokens import PARTITIONS_MAX, TOKEN_BITS, check_partitions, partition_of, token

__all__ = [
    "LOAD_BOUND",
    "PARTITIONS_MAX",
    "TOKEN_BITS",
    "WEIGHT_MAX",
    "Member",
    "MemberMap",
    "Movement",
    "Placement",
    "check_partitions",
    "fair_shares",
    "movement",
    "partition_of",
    "token",
]
