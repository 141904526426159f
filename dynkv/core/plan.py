"""Where one key lives."""

from typing import NamedTuple


class Plan(NamedTuple):
    """The preference list of one key, cut at n: no node stands in both parts."""

    partition: int
    primaries: tuple[str, ...]
    fallbacks: tuple[str, ...]
