"""Hybrid logical time: wall clock where it can be, a counter where it must (Kulkarni et al., "Logical Physical Clocks",
2014).

A time is an int: milliseconds since 1970 in the upper bits, 16 bits of counter below. Every tick is greater than all
ticks before and all times observed before it, so along any chain of messages time grows, whether the wall clocks step,
stand still, or are an hour apart. The counter needs no care: it overflows into the milliseconds.

It orders concurrent writes of `lww` buckets and dates values for `Last-Modified`. Nothing else depends on it: a wrong
clock costs no write of a default bucket.

A remote time more than `AHEAD_MS_MAX` beyond our own wall clock is not followed: else one node with a broken clock
would drag all clocks of the cluster to its year, for good. Such a time wins its key until somebody writes over it, and
`record.put` places that write above what it replaces however far ahead that was, so no key is stuck either.
"""

LOGICAL_BITS = 16
AHEAD_MS_MAX = 24 * 3600 * 1000
"""How far ahead of ours another clock is believed: a day covers every mistake of time zones and daylight saving."""


class HybridClock:
    """One node's clock. Both methods are a few operations on ints."""

    __slots__ = ("_believed", "_last")

    def __init__(self, wall_ms: int) -> None:
        """`wall_ms`: the wall clock now."""
        self._last = 0
        self._believed = (wall_ms + AHEAD_MS_MAX) << LOGICAL_BITS

    def tick(self, wall_ms: int) -> int:
        """The time of an event that happens now."""
        wall = wall_ms << LOGICAL_BITS
        self._believed = wall + (AHEAD_MS_MAX << LOGICAL_BITS)
        self._last = wall if wall > self._last else self._last + 1
        return self._last

    def observe(self, time: int) -> None:
        """An event of `time` is now known here: later ticks are greater, unless it is too far ahead to believe."""
        if self._last < time <= self._believed:
            self._last = time


def wall_ms_of(time: int) -> int:
    """The milliseconds since 1970 of a hybrid time."""
    return time >> LOGICAL_BITS
