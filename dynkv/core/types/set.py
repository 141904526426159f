"""Sets: an element is in if somebody added it and nobody who had seen that addition removed it.

So an addition wins over a concurrent removal. Each element carries the dots of the additions that still count, of those
that came one after another the last few. An empty set is a set: elements leave nothing behind.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadParameter, DamagedRecord, TooLarge
from dynkv.core.record import Vector
from dynkv.core.types import dots
from dynkv.core.types.dots import Dots
from dynkv.core.types.lineage import Both, Event, Ids, Twins
from dynkv.core.types.values import ELEMENT_BYTES_MAX, Scalar, element, in_order, scalar

AT_ONCE_MAX = 1_000
"""Elements, or fields, that one request may name."""

Element = Annotated[bytes, Meta(min_length=1, max_length=ELEMENT_BYTES_MAX + 5)]
Elements = Annotated[tuple[Element, ...], Meta(max_length=AT_ONCE_MAX)]


class Change(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Add and remove elements, in canonical bytes, ascending; no element is in both."""

    add: Elements
    remove: Elements

    def removes(self) -> "Change | None":
        """The removal in it, if there is one."""
        return Change((), self.remove) if self.remove else None

    def check(self, depth: int) -> None:
        """DamagedRecord if it could not have been parsed."""
        for elements in (self.add, self.remove):
            check_ascending(elements, scalar)
        if set(self.add) & set(self.remove):
            raise DamagedRecord("an element is both added and removed")


class Set(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """(element, the dots of its additions), ascending by element."""

    elements: Annotated[tuple[tuple[Element, Dots], ...], Meta(max_length=100_000)] = ()

    def join(self, theirs: "Set", both: Both) -> "Set":
        if self == theirs:
            return self
        ours, others = dict(self.elements), dict(theirs.elements)
        joined = {one: dots.joined(ours.get(one, ()), others.get(one, ()), both) for one in ours.keys() | others.keys()}
        return _set(joined)

    def reset(self, vector: Vector) -> "Set":
        """Without the additions that `vector` covers."""
        return _set({one: dots.without(added, vector) for one, added in self.elements})

    def without(self, operation: Change, vector: Vector) -> "Set":
        """Without the additions of the removed elements that `vector` covers."""
        elements = dict(self.elements)
        for one in operation.remove:
            if one in elements:
                elements[one] = dots.without(elements[one], vector)
        return _set(elements)

    def apply(self, operation: Change, event: Event) -> "Set":
        elements = dict((self.without(operation, event.context) if operation.remove else self).elements)
        for one in operation.add:
            elements[one] = dots.added(elements.get(one, ()), event.dot)
        return _set(elements)

    def settle(self, twins: Twins) -> "Set":
        return _set({one: dots.settled(added, twins) for one, added in self.elements})

    def show(self, ids: Ids) -> list[Scalar]:
        return in_order([scalar(one) for one, _ in self.elements])

    def told_apart(self, actor: int) -> set[int]:
        """Nothing: an element added twice is added once."""
        return set()

    def entries(self) -> int:
        return len(self.elements)

    def check(self, depth: int) -> None:
        """DamagedRecord if an order is broken, or an element none."""
        check_ascending([one for one, _ in self.elements], scalar)
        for _, added in self.elements:
            dots.check(added)


def _set(elements: dict[bytes, Dots]) -> Set:
    return Set(tuple((one, elements[one]) for one in sorted(elements) if elements[one]))


def check_ascending(names: "tuple[bytes, ...] | list[bytes]", check: Callable[[bytes], object]) -> None:
    """DamagedRecord unless each name passes `check` and is greater than the one before."""
    below = b""
    for name in names:
        if name <= below:
            raise DamagedRecord("elements do not ascend")
        check(name)
        below = name


def parse(said: dict[str, object], field: str) -> Change:
    """{"add": [...], "remove": [...]}, one of them at least. RequestError."""
    add, remove = (_elements(said, name, field) for name in ("add", "remove"))
    if not add and not remove:
        raise BadParameter(field + "add", "is missing, and so is remove: there is nothing to do", "a list of elements")
    both = sorted(add & remove)
    if both:
        raise BadParameter(field + "remove", f"and add both name {scalar(both[0])!r:.80}", "an element once")
    return Change(tuple(sorted(add)), tuple(sorted(remove)))


def _elements(said: dict[str, object], name: str, field: str) -> set[bytes]:
    listed = said.get(name, [])
    if not isinstance(listed, list):
        raise BadParameter(field + name, "is no list", "a list of elements")
    if len(listed) > AT_ONCE_MAX:
        raise TooLarge(field + name, f"names {len(listed)} elements", f"at most {AT_ONCE_MAX} in one request")
    return {element(one, f"{field}{name}[{place}]") for place, one in enumerate(listed)}
