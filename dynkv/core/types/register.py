"""Registers: one value, and the last to set it wins.

"Last" is by hybrid time (`core.hlc`), ties by dot, so who had seen a value and set another is always the later one,
whatever the clocks say. All values that nobody has seen and set over are kept, and the latest is shown: were only that
one kept, what two nodes make of a third one's removal (in a map) would depend on which of them heard of it first.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadParameter
from dynkv.core.record import TIME_MAX, Actor, Counter, Vector
from dynkv.core.types import dots
from dynkv.core.types.dots import Dots
from dynkv.core.types.lineage import Both, Dot, Event, Ids, Twins
from dynkv.core.types.values import packed, unpacked

VALUE_BYTES_MAX = 2**23

Time = Annotated[int, Meta(ge=0, le=TIME_MAX)]
Packed = Annotated[bytes, Meta(min_length=1, max_length=VALUE_BYTES_MAX)]


class Assign(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Set this value, as `values.packed` has it."""

    value: Packed

    def removes(self) -> None:
        """Nothing."""

    def check(self, depth: int) -> None:
        """DamagedRecord if it is no value."""
        unpacked(self.value)


class Assigned(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value that nobody has seen and set over."""

    actor: Actor
    counter: Counter
    time: Time
    value: Packed

    @property
    def dot(self) -> Dot:
        return self.actor, self.counter


class Register(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Values, ascending by dot."""

    values: Annotated[tuple[Assigned, ...], Meta(max_length=4096)] = ()

    def join(self, theirs: "Register", both: Both) -> "Register":
        if self == theirs:
            return self
        # One dot has one value; if a forged one has two, the larger stands, whoever comes first.
        values: dict[Dot, Assigned] = {}
        for one in (*self.values, *theirs.values):
            known = values.get(one.dot)
            if known is None or (known.time, known.value) < (one.time, one.value):
                values[one.dot] = one
        stays = dots.joined(tuple(one.dot for one in self.values), tuple(one.dot for one in theirs.values), both)
        return Register(tuple(values[dot] for dot in stays))

    def reset(self, vector: Vector) -> "Register":
        return self._only(dots.without(tuple(one.dot for one in self.values), vector))

    def without(self, operation: Assign, vector: Vector) -> "Register":
        """Itself: setting a value removes what it was set over, and what that is is known where it is applied."""
        return self

    def apply(self, operation: Assign, event: Event) -> "Register":
        time = max((event.time, *(one.time + 1 for one in self.values)))
        return Register((Assigned(event.actor, event.counter, min(time, TIME_MAX), operation.value),))

    def settle(self, twins: Twins) -> "Register":
        """If any value is left then: what this one was set over is gone, and an old value is better than none."""
        stays = dots.settled(tuple(one.dot for one in self.values), twins)
        return self._only(stays) if stays else self

    def _only(self, stays: Dots) -> "Register":
        return Register(tuple(one for one in self.values if one.dot in stays))

    def show(self, ids: Ids) -> Any:
        """The latest value; None if there is none."""
        if not self.values:
            return None
        return unpacked(max(self.values, key=lambda one: (one.time, one.dot)).value)

    def told_apart(self, actor: int) -> set[int]:
        """Nothing: set twice is set."""
        return set()

    def entries(self) -> int:
        return 0

    def check(self, depth: int) -> None:
        """DamagedRecord if the order is broken, or a value is none."""
        dots.check(tuple(one.dot for one in self.values), empty=True)
        for one in self.values:
            unpacked(one.value)


def parse(said: dict[str, object], field: str) -> Assign:
    """{"set": anything}. BadParameter."""
    if "set" not in said:
        raise BadParameter(field + "set", "is missing", "a value")
    return Assign(packed(said["set"], field + "set"))
