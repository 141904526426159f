"""Many simulated lives, all faults among them: nothing is wrong in any, and each was worth its time.

A soak is the same by command: `dynkv simulate --seeds 10000`.
"""

import os

import pytest

from dynkv.sim.campaign import Totals, campaign
from dynkv.sim.faults import BY_NAME, KINDS, chosen
from dynkv.sim.options import Options, length_of, size_of
from dynkv.sim.plan import plan

PARTS, LIVES = 5, 40
OPERATIONS = 1000


def part(number: int) -> list[Options]:
    seeds = range(1 + number * LIVES, 1 + (number + 1) * LIVES)
    return [
        Options(seed, nodes=size_of(seed), faults=chosen([]), operations=OPERATIONS, seconds=length_of(seed))
        for seed in seeds
    ]


@pytest.mark.parametrize("number", range(PARTS))
def test_forty_lives(number: int) -> None:
    totals = Totals()
    short: list[int] = []
    for result in campaign(part(number), os.cpu_count() or 1):
        totals.add(result)
        if result.operations < OPERATIONS:
            short.append(result.seed)
    failed = [f"dynkv simulate --seed {result.seed}: {result.failed}" for result in totals.failed]
    assert not failed, "\n".join(failed)
    assert totals.runs == LIVES
    assert short == []
    assert len([kind for kind in KINDS if totals.faults[kind]]) > len(KINDS) * 3 / 4
    assert totals.reaped > LIVES
    assert totals.acknowledged > LIVES * OPERATIONS / 4


def test_all_faults_and_all_sizes_are_among_them() -> None:
    lives = [options for number in range(PARTS) for options in part(number)]
    assert {options.nodes for options in lives} == {3, 4, 5, 7, 9}
    planned = {episode.kind for options in lives for episode in plan(options, options.faults)}
    assert planned == KINDS.keys() - set(BY_NAME)
