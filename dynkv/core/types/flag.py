"""Flags: on or off, and whoever switches it on wins over a concurrent switch off.

A set that can hold one thing: it keeps the dots of the updates that switched it on. Switching off is a removal, and so
needs to have seen what it switches off.
"""

import msgspec

from dynkv.core.errors import BadParameter
from dynkv.core.record import Vector
from dynkv.core.types import dots
from dynkv.core.types.dots import Dots
from dynkv.core.types.lineage import Both, Event, Ids, Twins


class Switch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Switch it on, or off."""

    on: bool

    def removes(self) -> "Switch | None":
        return None if self.on else self

    def check(self, depth: int) -> None:
        """Its type says it all."""


class Flag(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The dots that switched it on and were not seen by who switched it off."""

    on: Dots = ()

    def join(self, theirs: "Flag", both: Both) -> "Flag":
        return Flag(dots.joined(self.on, theirs.on, both))

    def reset(self, vector: Vector) -> "Flag":
        return Flag(dots.without(self.on, vector))

    def without(self, operation: Switch, vector: Vector) -> "Flag":
        return self if operation.on else self.reset(vector)

    def apply(self, operation: Switch, event: Event) -> "Flag":
        return Flag(dots.added(self.on, event.dot)) if operation.on else self.reset(event.context)

    def settle(self, twins: Twins) -> "Flag":
        return Flag(dots.settled(self.on, twins))

    def show(self, ids: Ids) -> bool:
        return bool(self.on)

    def told_apart(self, actor: int) -> set[int]:
        """Nothing: switched on twice is on."""
        return set()

    def entries(self) -> int:
        return 0

    def check(self, depth: int) -> None:
        """DamagedRecord if the order is broken."""
        dots.check(self.on, empty=True)


def parse(said: dict[str, object], field: str) -> Switch:
    """{"enable": true} or {"enable": false}. BadParameter."""
    on = said.get("enable")
    if not isinstance(on, bool):
        raise BadParameter(field + "enable", "is missing" if on is None else "is neither true nor false", "true, false")
    return Switch(on)
