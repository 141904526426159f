"""Members: who may hold partitions, how much each can carry, and what fails together with what.

A member map is a value. Two nodes with equal maps compute equal preference lists, whatever order they learnt of the
members in, so the map sorts itself by id and nothing in this package looks at it in another order.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

WEIGHT_MAX = 10_000

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LABEL = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,62})?")


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `weight` is relative: a member of weight 2 should carry twice what one of weight 1 does.

    Labels say what fails together. A zone lies in its region and a host in its zone: equal zone names in two regions
    are two zones. Members without a region (or zone) all share one unnamed region (or zone), as nothing is known that
    keeps them apart. A member without a host is taken to have a machine of its own.
    """

    id: str
    weight: int = 1
    region: str = ""
    zone: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"member id {self.id!r}: 1 to 63 of a-z, 0-9 and -, the first not -")
        if type(self.weight) is not int or not 1 <= self.weight <= WEIGHT_MAX:  # nor a bool, nor a float
            raise ValueError(
                f"member {self.id}: weight must be a whole number from 1 to {WEIGHT_MAX}, not {self.weight!r}"
            )
        for name, label in (("region", self.region), ("zone", self.zone), ("host", self.host)):
            if not _LABEL.fullmatch(label):
                raise ValueError(f"member {self.id}: {name} {label!r}: up to 63 of A-Z, a-z, 0-9, '.', '_' and '-'")


@dataclass(frozen=True, slots=True, init=False)
class MemberMap:
    """All members of a cluster, by id. Immutable, hashable; equal maps place equally."""

    members: tuple[Member, ...]

    def __init__(self, members: Iterable[Member] = ()) -> None:
        ordered = tuple(sorted(members, key=lambda member: member.id))
        for one, next_one in pairwise(ordered):
            if one.id == next_one.id:
                raise ValueError(f"member {one.id} is given twice")
        object.__setattr__(self, "members", ordered)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(member.id for member in self.members)

    def with_member(self, member: Member) -> "MemberMap":
        """The map with this member added, or put in the place of the one with its id."""
        return MemberMap([*(other for other in self.members if other.id != member.id), member])

    def without(self, member_id: str) -> "MemberMap":
        """The map without that member; KeyError if it is not in it."""
        gone = self[member_id]
        return MemberMap(member for member in self.members if member is not gone)

    def __getitem__(self, member_id: str) -> Member:
        for member in self.members:
            if member.id == member_id:
                return member
        raise KeyError(member_id)

    def __contains__(self, member_id: object) -> bool:
        return any(member.id == member_id for member in self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)
