"""What becomes of what is sent on a way, and the orders that change it; in JSON they are what the control takes.

    {"do": "set", "ways": "n1:n2", "delay_ms": 100, "drop": 0.2}      the other rules stay as they are
    {"do": "heal", "ways": "all"}                                     a good network again
    {"do": "reset", "ways": "n2:n1", "after_frames": 0}               RST in place of the next frame

`ways` is FROM:TO, in which `*` stands for any; a bare name means all ways from it and to it; `all` means all.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**40)]


class Rules(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rules of one way; as they are by default they do nothing.

    delay_ms, jitter_ms: a piece comes so much later, and up to so much more; the order stays. bytes_per_s: of all
    connections of the way together, 0 for no bound. cut: nothing arrives, connections stay open, and what was sent
    waits until the cut is healed, as TCP would send it again. drop, duplicate, reorder: of frames, this part is lost,
    comes twice, or comes up to reorder_ms later than the frames behind it; of no use where no frames are seen.
    """

    delay_ms: Milliseconds = 0
    jitter_ms: Milliseconds = 0
    bytes_per_s: Count = 0
    cut: bool = False
    drop: Fraction = 0
    duplicate: Fraction = 0
    reorder: Fraction = 0
    reorder_ms: Milliseconds = 50


GOOD = Rules()


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="set", tag_field="do", omit_defaults=True):
    """Change these rules of the ways; what is None stays as it is."""

    ways: str
    delay_ms: Milliseconds | None = None
    jitter_ms: Milliseconds | None = None
    bytes_per_s: Count | None = None
    cut: bool | None = None
    drop: Fraction | None = None
    duplicate: Fraction | None = None
    reorder: Fraction | None = None
    reorder_ms: Milliseconds | None = None

    def over(self, rules: Rules) -> Rules:
        """`rules` with these changes."""
        changes = {name: getattr(self, name) for name in RULE_NAMES if getattr(self, name) is not None}
        return msgspec.structs.replace(rules, **changes)


class Heal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="heal", tag_field="do"):
    """Make the ways good again; what waited arrives. A reset that was yet to come does not come."""

    ways: str = "all"


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reset", tag_field="do", omit_defaults=True):
    """Break connections with RST, both ends: all at once, or the one that would carry what comes after so many frames
    or bytes. That piece does not arrive, all before it does."""

    ways: str
    after_frames: Count | None = None
    after_bytes: Count | None = None


Order = Set | Heal | Reset

RULE_NAMES = tuple(field.name for field in msgspec.structs.fields(Rules))


class BadOrder(Exception):
    """No order, or one that cannot be obeyed: a way that there is none of, a rule about frames where none are seen."""


def chosen(ways: str, source: str, to: str) -> bool:
    """Whether the way from `source` to `to` is among `ways`."""
    if ways in ("all", "*"):
        return True
    first, colon, second = ways.partition(":")
    if not colon:
        return first in (source, to)
    return first in ("*", source) and second in ("*", to)
