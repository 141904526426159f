"""What a run is made of: all that a replay needs to be told."""

import msgspec


class Options(msgspec.Struct, frozen=True):
    """`faults`: kinds that may happen; see `faults.KINDS`. `operations`, `seconds`: the safety phase takes at least so
    many and so long. `only`: episodes of the plan by number, None for all: how a failing run is made shorter."""

    seed: int
    nodes: int = 3
    n: int = 3
    r: int = 2
    w: int = 2
    faults: tuple[str, ...] = ()
    operations: int = 1000
    seconds: float = 30.0
    only: tuple[int, ...] | None = None
