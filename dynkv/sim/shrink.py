"""Making a failing run shorter: the fewest faults and the earliest end with which the same checker still fails.

Episodes are taken out in ever smaller parts (Zeller and Hildebrandt's ddmin, 2002); what is left is what the failure
needs, or seems to need: another seed's failure may hide behind the same checker. Each part of a run draws from its own
stream, so most runs stay what they were.
"""

from collections.abc import Callable

import msgspec

from dynkv.sim.options import Options
from dynkv.sim.plan import plan
from dynkv.sim.run import Result, simulate

RUNS_MAX = 60
# The end is found to within this part of what is left.
STEPS_OF_END = 5


class Shrunk(msgspec.Struct):
    options: Options
    result: Result
    runs: int


def shrink(options: Options, failed: Result, tried: Callable[[Options, Result], None] = lambda o, r: None) -> Shrunk:
    """`failed`: of `options`. `tried` is told of every attempt."""
    runs = 0
    best, result = options, failed

    def fails(candidate: Options) -> bool:
        nonlocal best, result, runs
        runs += 1
        heard = simulate(candidate)
        tried(candidate, heard)
        if heard.checker != failed.checker:
            return False
        best, result = candidate, heard
        return True

    left = tuple(episode.number for episode in plan(options, options.faults))
    parts = 1
    while left and runs < RUNS_MAX:
        size = max(1, len(left) // parts)
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            if runs < RUNS_MAX and fails(msgspec.structs.replace(options, only=fewer)):
                left, parts = fewer, max(1, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(left), 2 * parts)
    low, high = 0.0, result.safety_s
    for _ in range(STEPS_OF_END):
        middle = round((low + high) / 2, 1)
        if fails(msgspec.structs.replace(best, until=middle)):
            high = middle
        else:
            low = middle
    return Shrunk(best, result, runs)
