"""Many simulated lives, all faults among them: nothing is wrong in any, and each was worth its time.

A soak is the same by command: `dynkv simulate --seeds 10000`.
"""

import os

from dynkv.sim.campaign import Totals, campaign
from dynkv.sim.faults import KINDS, UNNOTICED, chosen
from dynkv.sim.options import Options, length_of, size_of

FIRST_SEED, RUNS = 1, 200
OPERATIONS = 1000


def test_two_hundred_lives() -> None:
    seeds = range(FIRST_SEED, FIRST_SEED + RUNS)
    runs = [
        Options(seed, nodes=size_of(seed), faults=chosen([]), operations=OPERATIONS, seconds=length_of(seed))
        for seed in seeds
    ]
    totals = Totals()
    short: list[int] = []
    for result in campaign(runs, os.cpu_count() or 1):
        totals.add(result)
        if result.operations < OPERATIONS:
            short.append(result.seed)
    failed = [f"dynkv simulate --seed {result.seed}: {result.failed}" for result in totals.failed]
    assert not failed, "\n".join(failed)
    assert totals.runs == RUNS
    assert short == []
    assert [kind for kind in KINDS if totals.faults[kind] == 0 and kind not in UNNOTICED] == []
    assert {options.nodes for options in runs} >= {3, 4, 5, 7, 9}
    assert totals.reaped > RUNS
    assert totals.acknowledged > RUNS * OPERATIONS / 4
