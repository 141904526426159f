"""Which faults happen when: a list of episodes, a function of the seed.

All is planned before the run begins, and each episode draws from a stream of its own, so one can be left out without
changing the others.

Every run is of another mood: some kinds of faults are frequent in it and others absent, few at a time or many. What
only the sum of all kinds would hide is found by the runs in which little else happens.
"""

import msgspec

from dynkv.sim.chance import Chance
from dynkv.sim.options import SHORT_S, Options

# The first quiet seconds, in which the cluster forms.
FORMING_S = 2.0
EPISODES = (6, 16)


class Episode(msgspec.Struct, frozen=True):
    """`seconds`: how long it lasts."""

    number: int
    kind: str
    at: float
    seconds: float


def plan(options: Options, kinds: tuple[str, ...]) -> list[Episode]:
    """The episodes of a run, by number."""
    chance = Chance(options.seed, "plan")
    moods = [(kind, chance.pick((0.0, 0.5, 1.0, 3.0))) for kind in kinds]
    if not any(weight for _, weight in moods):
        moods = [(kind, 1.0) for kind in kinds]
    low, high = EPISODES
    count = low + chance.below(high - low + 1) if kinds else 0
    longest = chance.pick((1.0, 4.0, 10.0) if options.seconds <= 2 * SHORT_S else (4.0, 10.0, 40.0))
    episodes = []
    for number in range(count):
        kind = chance.weighted(moods)
        at = chance.uniform(FORMING_S, options.seconds)
        episodes.append(Episode(number, kind, round(at, 3), round(chance.uniform(0.05, longest), 3)))
    if options.only is not None:
        episodes = [episode for episode in episodes if episode.number in options.only]
    return episodes
