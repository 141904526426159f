"""How long it took until a write was at one more replica, by the mechanism that brought it there.

replication   from the coordinator's start of the write until the last primary had it, by one clock
hint          from the making of the hint until it was paid, by one clock
read repair   from the hybrid time of the newest value until the replica had it, which compares two nodes' clocks
exchange      the same
"""

from dynkv.core.survey import CONVERGENCE_BOUNDS_S, MECHANISMS
from dynkv.metrics import Histogram


class Convergence:
    """Histograms by mechanism, one of `survey.MECHANISMS`."""

    def __init__(self) -> None:
        self.histograms = {mechanism: Histogram(CONVERGENCE_BOUNDS_S) for mechanism in MECHANISMS}
        self.replicated = self.histograms["replication"].observe  # on the path of every write

    def observe(self, mechanism: str, seconds: float) -> None:
        """`seconds` may be below zero where two clocks are compared: that counts as none."""
        self.histograms[mechanism].observe(max(0.0, seconds))
