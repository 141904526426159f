"""Numbers, times and lists as people say them."""

import math
from collections.abc import Sequence

NAMES_MAX = 4

_UNITS = ((60.0, "s", 120.0), (60.0, "min", 120.0), (24.0, "h", 48.0))


def count(number: int, one: str, many: str = "") -> str:
    """`1 key`, `1,204 keys`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """`3 s`, `5 min`, `7 h`, `12 days`; rounded up, so that no age is flattered and no wait is short of the truth."""
    value = max(seconds, 0.0)
    for step, unit, limit in _UNITS:
        if value < limit:
            return f"{max(1, math.ceil(value))} {unit}"
        value /= step
    return f"{math.ceil(value):,} days"


def age(then_ms: int | None, now_ms: int, never: str = "never") -> str:
    """`3 s ago`, or `never`."""
    return never if then_ms is None else f"{duration((now_ms - then_ms) / 1000)} ago"


def names(nodes: Sequence[str]) -> str:
    """`n1`, `n1 and n2`, `n1, n2 and n3`; the rest of many is only counted."""
    if len(nodes) > NAMES_MAX:
        return f"{', '.join(nodes[: NAMES_MAX - 1])} and {len(nodes) - NAMES_MAX + 1} others"
    if len(nodes) < 2:
        return "".join(nodes)
    return f"{', '.join(nodes[:-1])} and {nodes[-1]}"


def percent(fraction: float) -> str:
    """`62 %`; 100 % only of what is whole."""
    return f"{math.floor(min(max(fraction, 0.0), 1.0) * 100)} %"
