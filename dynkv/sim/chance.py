"""Chance of a simulation: streams of numbers that all come from one seed and do not disturb each other.

Each part of a run (the network, the faults, each client, each life of a node) draws from a stream of its own, named
after it. So a fault taken out of a run leaves the other parts' numbers as they were, which is what makes runs that
fail shrink.
"""

from collections.abc import Sequence
from typing import TypeVar

from dynkv.runtime import SeededRandom

T = TypeVar("T")


class Chance(SeededRandom):
    """One stream: a node's `Random`, and what a simulation draws besides."""

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(f"{seed}/{name}")

    def odds(self, chance: float) -> bool:
        """True with this chance in 0..1."""
        return chance > 0 and self.uniform(0, 1) < chance

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return self.u64() % count

    def pick(self, things: Sequence[T]) -> T:
        return things[self.below(len(things))]

    def weighted(self, things: Sequence[tuple[T, float]]) -> T:
        """One of (thing, weight), the heavier the likelier."""
        left = self.uniform(0, sum(weight for _, weight in things))
        for thing, weight in things:
            left -= weight
            if left < 0:
                return thing
        return things[-1][0]

    def some(self, things: Sequence[T], count: int) -> list[T]:
        """`count` different ones, in chance order."""
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(count)]
