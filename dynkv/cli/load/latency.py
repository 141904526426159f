"""Latencies as counts in slots: exact to a microsecond where it matters, bounded in memory, quick to add and merge."""

from collections.abc import Iterable

import msgspec

# Slots of 1 µs below 65 ms, then of about 1 ms (1024 µs) up to 67 s; what took longer counts in the last one.
FINE = 65_536
COARSE_SHIFT = 10
SLOTS = FINE + (1 << 16)


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds; all zero if there was no answer."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Latencies:
    """Add in whole microseconds."""

    def __init__(self) -> None:
        self.slots = [0] * SLOTS

    def add(self, us: int) -> None:
        self.slots[us if us < FINE else min(FINE + (us >> COARSE_SHIFT), SLOTS - 1)] += 1

    def sparse(self) -> dict[int, int]:
        """Slots that are not empty: what goes from one process to another."""
        return {slot: count for slot, count in enumerate(self.slots) if count}

    def merge(self, sparse: dict[int, int]) -> None:
        for slot, count in sparse.items():
            self.slots[slot] += count

    def summary(self) -> Latency:
        p50, p90, p99, longest = self.quantiles((0.5, 0.9, 0.99, 1.0))
        return Latency(p50, p90, p99, longest)

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """For each share, ascending, the smallest latency in ms that this share of all did not exceed."""
        total = sum(self.slots)
        found: list[float] = []
        seen, slot = 0, -1
        for share in shares:
            # At least one: the smallest latency is the answer for a share of zero.
            wanted = max(1, -(-int(share * total * 1_000_000) // 1_000_000))
            while total and seen < wanted:
                slot += 1
                seen += self.slots[slot]
            found.append(_ms(slot) if total else 0.0)
        return found


def _ms(slot: int) -> float:
    """The middle of a slot."""
    us = slot if slot < FINE else ((slot - FINE) << COARSE_SHIFT) + (1 << COARSE_SHIFT >> 1)
    return us / 1000
