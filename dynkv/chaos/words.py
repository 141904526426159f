"""Orders as people write them, the same on a command line and in a script.

    set n1:n2 --delay 100ms --jitter 20ms      drop 20 % of what n3 sends: set n3:* --drop 20%
    cut n1:n2        heal all        reset n2:n1 --after-frames 3

A script has a line for each, with the time since its start in front; what follows # is for people.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from dynkv.chaos.rules import BadOrder, Heal, Order, Reset, Set

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z%/]*)\Z")
_MS = {"ms": 1.0, "s": 1000.0, "min": 60_000.0}
_RATE = {"": 1, "b/s": 1, "k": 1024, "kib/s": 1024, "m": 1024**2, "mib/s": 1024**2}


class BadWords(BadOrder):
    """Not an order, or not a value; the text says what would be."""


class Line(NamedTuple):
    """A script's line: the order, and the seconds since the start at which it is given."""

    at_s: float
    order: Order


def duration_ms(text: str) -> float:
    """`100ms`, `1.5s`, `2min`."""
    number, unit = _split(text)
    if unit not in _MS:
        raise BadWords(f"{text!r} is no duration, such as 100ms or 1.5s")
    return number * _MS[unit]


def fraction(text: str) -> float:
    """`20%` or `0.2`."""
    number, unit = _split(text)
    value = number / 100 if unit == "%" else number
    if unit not in ("", "%") or not 0 <= value <= 1:
        raise BadWords(f"{text!r} is no part of a whole, such as 20% or 0.2")
    return value


def rate(text: str) -> int:
    """Bytes in a second: `4096`, `64k`, `1MiB/s`."""
    number, unit = _split(text)
    if unit.lower() not in _RATE:
        raise BadWords(f"{text!r} is no rate, such as 4096 or 64k: bytes in a second")
    return int(number * _RATE[unit.lower()])


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadWords(f"{text!r} is no number")
    return int(text)


def _split(text: str) -> tuple[float, str]:
    found = _NUMBER.match(text.strip())
    if found is None:
        raise BadWords(f"{text!r}: a number was expected, and perhaps a unit")
    return float(found[1]), found[2]


# Option -> the rule's name, and how its value is read.
RULES = {
    "delay": ("delay_ms", duration_ms),
    "jitter": ("jitter_ms", duration_ms),
    "rate": ("bytes_per_s", rate),
    "drop": ("drop", fraction),
    "duplicate": ("duplicate", fraction),
    "reorder": ("reorder", fraction),
    "reorder-by": ("reorder_ms", duration_ms),
}


def set_of(ways: str, options: Mapping[str, str | None]) -> Set:
    """The order of `set` with these options; those that are None were not given. BadWords."""
    changes = {}
    for option, text in options.items():
        if option not in RULES:
            raise BadWords(f"set has no --{option}; it has {', '.join(f'--{name}' for name in RULES)}")
        if text is not None:
            name, read = RULES[option]
            changes[name] = read(text)
    if not changes:
        raise BadWords(f"set {ways} changes nothing")
    return _checked({"do": "set", "ways": ways, **changes})


def _checked(order: dict[str, object]) -> Set:
    try:
        return msgspec.convert(order, Set)
    except msgspec.ValidationError as error:
        raise BadWords(str(error)) from error


def order_of(words: Sequence[str]) -> Order:
    """The order that these words give. BadWords."""
    if len(words) < 2:
        raise BadWords("an order is: set|cut|heal|reset WAYS, and options")
    verb, ways, *rest = words
    if len(rest) % 2 or any(not name.startswith("--") for name in rest[::2]):
        raise BadWords(f"{verb} {ways}: options are pairs, such as --delay 100ms")
    options = {name.removeprefix("--"): value for name, value in zip(rest[::2], rest[1::2], strict=True)}
    if verb == "set":
        return set_of(ways, options)
    if verb == "reset" and not options.keys() - {"after-frames", "after-bytes"}:
        given = {name.replace("-", "_"): count(value) for name, value in options.items()}
        return Reset(ways, **given)
    if verb in ("cut", "heal") and not options:
        return Set(ways, cut=True) if verb == "cut" else Heal(ways)
    raise BadWords(f"{verb!r} {' '.join(rest)}: an order is set|cut|heal|reset WAYS, and options".replace("  ", " "))


def script_of(text: str) -> list[Line]:
    """A script's lines, in the order of their times. BadWords names the line."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                lines.append(Line(duration_ms(words[0]) / 1000, order_of(words[1:])))
        except (BadWords, ValueError) as error:
            raise BadWords(f"line {number}: {error}") from error
    return sorted(lines, key=lambda line: line.at_s)
