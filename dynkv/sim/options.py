"""What a run is made of: all that a replay needs to be told."""

import msgspec

from dynkv.sim.chance import Chance

SHORT_S, LONG_S = 45.0, 120.0
LONG_NODES_MAX = 5
SIZES = ((3, 0.6), (4, 0.1), (5, 0.2), (7, 0.07), (9, 0.03))


class Options(msgspec.Struct, frozen=True):
    """`faults`: kinds that may happen; see `faults.KINDS`. `operations`, `seconds`: the safety phase takes at least so
    many and so long. `only`: episodes of the plan by number, None for all; `until`: when the safety phase ends whatever
    was done, 0 for when that is enough. By these two a failing run is made shorter.
    """

    seed: int
    nodes: int = 3
    n: int = 3
    r: int = 2
    w: int = 2
    faults: tuple[str, ...] = ()
    operations: int = 1000
    seconds: float = SHORT_S
    only: tuple[int, ...] | None = None
    until: float = 0.0

    @property
    def shortened(self) -> bool:
        """Whether this is a part of a run, of which nobody expects that enough happens."""
        return self.only is not None or self.until > 0


def length_of(seed: int) -> float:
    """The least seconds of the safety phase of this seed: in every fourth there is time to forget what was deleted."""
    return LONG_S if seed % 4 == 0 and size_of(seed) <= LONG_NODES_MAX else SHORT_S


def size_of(seed: int) -> int:
    """How many nodes the cluster of this seed has, where nobody says."""
    return Chance(seed, "size").weighted(SIZES)
