"""All pairs of replicas of a cluster, each once, from what its nodes say of those that they compare.

Which pairs there must be follows from the placement, not from what was told: a pair that nobody tells of is unknown, it
is never left out. A pair of which two nodes tell is believed of the one that tried last.

A result is worth something only as long as it is fresh and both nodes can be asked. So a pair in step turns unknown
when one of its nodes does not answer, and when it was not compared anew within two cycles. Of a pair that is unknown
anyway, that a node is away is the reason that counts: what broke its last comparison off may be long over.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from dynkv.core import survey as surveys
from dynkv.core.overview_rows import ClusterFacts, PairCounts, PairRow, PairState, PairSummary
from dynkv.core.survey import Compared, NodeSurvey

CYCLES_FRESH = 2

STALE = "not compared within two cycles"
UNTOLD = "neither node tells of it"

# (partition, n, a, b) with a < b.
Key = tuple[int, int, str, str]

_STATES: dict[surveys.PairState, PairState] = {
    surveys.PairState.IN_STEP: "in_step",
    surveys.PairState.APART: "apart",
    surveys.PairState.UNKNOWN: "unknown",
    surveys.PairState.NEVER: "never",
}


def pair_rows(
    told: Mapping[str, NodeSurvey], facts: ClusterFacts, absent: Mapping[str, str], now_ms: int, cycle_s: float
) -> tuple[PairRow, ...]:
    """One row for each pair that the placement has or that a node tells of, by partition.

    `absent`: nodes that did not answer, and why, in words. `cycle_s` 0: nothing is compared by itself, so nothing gets
    stale; each result stands with its age.
    """
    known = _newest(told)
    keys = known.keys() | set(_placed(facts))
    oldest_ms = now_ms - CYCLES_FRESH * 1000 * cycle_s if cycle_s > 0 else 1
    return tuple(_row(key, known.get(key), absent, oldest_ms) for key in sorted(keys))


def counts(pairs: tuple[PairRow, ...]) -> PairCounts:
    """How many there are of each state.

    A key that one node misses is apart in several pairs of its partition; counting only the worst pair gives a number
    of keys that is never too high.
    """
    worst: dict[tuple[int, int], int] = {}
    number = {"in_step": 0, "apart": 0, "unknown": 0, "never": 0}
    for pair in pairs:
        number[pair.state] += 1
        if pair.apart:
            place = (pair.partition, pair.n)
            worst[place] = max(worst.get(place, 0), pair.apart)
    times = [pair.compared_ms for pair in pairs if pair.compared_ms is not None]
    return PairCounts(
        total=len(pairs),
        in_step=number["in_step"],
        apart=number["apart"],
        unknown=number["unknown"],
        never=number["never"],
        keys_apart=sum(worst.values()),
        oldest_ms=min(times) if times and len(times) == len(pairs) else None,
    )


def by_nodes(pairs: Iterable[PairRow]) -> list[PairSummary]:
    """The same, for each two nodes that share pairs."""
    shared: dict[tuple[str, str], list[PairRow]] = {}
    for pair in pairs:
        shared.setdefault((pair.a, pair.b), []).append(pair)
    return [PairSummary(a=a, b=b, counts=counts(tuple(rows))) for (a, b), rows in sorted(shared.items())]


def oldest_unknown(found: PairCounts) -> str:
    """Why there is no oldest comparison, in a word: of some pairs nobody tells, or nobody has compared them yet."""
    return "unknown" if found.unknown else "not yet"


def of_nodes(node: str, peer: str) -> tuple[str, str]:
    """The two in the order of rows."""
    return (node, peer) if node < peer else (peer, node)


def _placed(facts: ClusterFacts) -> Iterator[Key]:
    for partition, preference in enumerate(facts.preference):
        for a, b in combinations(sorted(preference[: facts.n]), 2):
            yield (partition, facts.n, a, b)


def _newest(told: Mapping[str, NodeSurvey]) -> dict[Key, tuple[NodeSurvey, Compared]]:
    """What was told of each pair by the node that tried last; of two at once, the worse."""
    known: dict[Key, tuple[NodeSurvey, Compared]] = {}
    for survey in told.values():
        for pair in survey.pairs:
            key = (pair.partition, pair.n, *of_nodes(survey.node, pair.peer))
            other = known.get(key)
            if other is None or (pair.tried_ms, pair.state) > (other[1].tried_ms, other[1].state):
                known[key] = (survey, pair)
    return known


def _row(key: Key, known: tuple[NodeSurvey, Compared] | None, absent: Mapping[str, str], oldest_ms: float) -> PairRow:
    away = [absent[node] for node in key[2:] if node in absent]
    if known is None:
        return _made(key, "", "unknown", 0, 0, away[0] if away else UNTOLD)
    survey, pair = known
    state, why = _STATES[pair.state], survey.why(pair)
    if away and state in ("in_step", "unknown"):
        state, why = "unknown", away[0]
    elif state == "in_step" and pair.compared_ms < oldest_ms:
        state, why = "unknown", STALE
    return _made(key, survey.node, state, pair.apart if state == "apart" else 0, pair.compared_ms, why)


def _made(key: Key, by: str, state: PairState, apart: int, compared_ms: int, why: str) -> PairRow:
    partition, n, a, b = key
    return PairRow(
        partition=partition,
        n=n,
        a=a,
        b=b,
        by=by,
        state=state,
        apart=apart,
        compared_ms=compared_ms or None,
        why=why,
    )
