"""The big sentence: stories and what is said of them; and that it never says agree of what was not checked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from dynkv.core import phrases
from dynkv.core.overview_rows import KnownMember
from dynkv.core.survey import Compared, NodeSurvey, Owed, PairState, Refill, Scrub, Trees
from tests.unit.surveys import CYCLE_S, NOW_MS, Told


def never(told: Told, name: str) -> Told:
    fresh = Compared(0, 3, "", PairState.NEVER, 0, 0, 0, -1)
    return told.pairs(
        lambda survey, pair: (
            structs.replace(fresh, partition=pair.partition, peer=pair.peer) if survey.node == name else pair
        )
    )


def unheard() -> Told:
    told = Told().silent("n3", "down")
    members = (*told.facts.members[:2], KnownMember(id="n3", http=None))
    told.facts = structs.replace(told.facts, members=members, preference=())
    return told


STORIES: list[tuple[str, Told, str]] = [
    ("all is well", Told(), "agree: All replicas agree as of 58 s ago"),
    ("one node", Told(nodes=1), "nothing: There is one replica of each key: nothing to compare"),
    ("one replica", Told(n=1), "nothing: There is one replica of each key: nothing to compare"),
    (
        "a node is down and owed",
        Told().silent("n2", "down").owes("n1", "n2", 1200).owes("n3", "n2", 4),
        "down: n2 is down: 1,204 writes wait for it",
    ),
    (
        "one write waits",
        Told().silent("n2", "down").owes("n1", "n2", 1),
        "down: n2 is down: 1 write waits for it",
    ),
    ("nothing was written", Told().silent("n2", "down"), "down: n2 is down: no writes wait for it"),
    (
        "two of five are down, and what they kept for each other is not known",
        Told(5).silent("n2", "down").silent("n4", "down").owes("n1", "n2", 7),
        "down: n2 and n4 are down: at least 7 writes wait for them",
    ),
    (
        "many are down",
        Told(9)
        .silent("n2", "down")
        .silent("n3", "down")
        .silent("n4", "down")
        .silent("n5", "down")
        .silent("n6", "down"),
        "down: n2, n3, n4 and 2 others are down: no writes wait for them",
    ),
    (
        "one is suspected",
        Told().silent("n2", "suspected"),
        "down: n2 is suspected to be down: no writes wait for it",
    ),
    (
        "the asked node is alone",
        Told().silent("n2", "down").silent("n3", "down"),
        "down: n1 reaches none of the others: they are down, or it is cut off",
    ),
    (
        "the only other one is down",
        Told(2).silent("n2", "down"),
        "down: n2 is down: no writes wait for it",
    ),
    (
        "the asked node is cut off from one",
        Told().silent("n2", "down").sees("n3", "n2", "up"),
        "unknown: unknown: n1 cannot reach n2, which n3 can",
    ),
    ("two others are cut off from each other", Told().sees("n2", "n3", "down"), "down: n2 cannot reach n3"),
    (
        "one that answered has just been lost",
        Told().sees("n1", "n3", "suspected"),
        "down: n1 cannot reach n3",
    ),
    (
        "one does not say how it is",
        Told().silent("n2", "up"),
        "unknown: unknown: n2 did not say how it is: no answer in time",
    ),
    ("the cluster is forming", unheard(), "unknown: The cluster is not formed yet: never heard of n3"),
    (
        "a disk is full",
        Told().change("n3", not_ready=("store: no space left",)),
        "down: n3 takes no requests: store: no space left",
    ),
    (
        "a node is refilled",
        Told(partitions=256).refilling("n2", 40, 256),
        "apart: n2 is being refilled: 40 of 256 partitions done, about 11 s left",
    ),
    (
        "a refill has only begun",
        Told(partitions=256).refilling("n2", 0, 256),
        "apart: n2 is being refilled: 0 of 256 partitions done",
    ),
    (
        "a node lost data and nobody refills it",
        Told().change("n2", complete=False),
        "apart: n2 lost data and is not being refilled yet",
    ),
    ("trees are rebuilt", Told().building("n3", 0.629), "unknown: unknown: trees of n3 are being rebuilt, 62 %"),
    (
        "a tree cannot be read",
        Told().change("n3", trees=Trees(15, 0, 1, 1.0, "damaged block")),
        "unknown: unknown: 1 tree of n3 cannot be read: damaged block",
    ),
    (
        "damage was found",
        Told().change("n3", scrub=Scrub(2, 0.5, 9000, 5, 2)),
        "apart: 3 damaged records on n3, to be refilled from the other replicas",
    ),
    (
        "keys are apart",
        Told().apart(3, "n1", "n3", 14),
        "apart: 14 keys apart on n1 and n3; to be repaired within 60 s",
    ),
    (
        "keys are repaired",
        Told().apart(3, "n1", "n3", 1).repairing(3, "n1", "n3", 0, 1),
        "apart: 1 key apart on n1 and n3; repairing",
    ),
    (
        "apart, by how much is not known yet",
        Told().apart(3, "n1", "n3", 0),
        "apart: keys apart on n1 and n3; to be repaired within 60 s",
    ),
    (
        "a node is back",
        Told().owes("n1", "n2", 1204, 400.0),
        "apart: 1,204 writes are on the way to n2, about 4 s left",
    ),
    ("one write is left", Told().owes("n1", "n2", 1), "apart: 1 write is on the way to n2"),
    (
        "pairs cannot be compared",
        Told().unknown("n1", "a range of n1 cannot be read", lambda a, b: b == "n2"),
        "unknown: unknown: 8 of 48 pairs of replicas: a range of n1 cannot be read",
    ),
    (
        "stale",
        Told().pairs(lambda survey, pair: structs.replace(pair, compared_ms=NOW_MS - 121_000)),
        "unknown: unknown: 48 of 48 pairs of replicas: not compared within two cycles",
    ),
    ("just started", never(Told(), "n1"), "unknown: unknown: 16 of 48 pairs of replicas not compared yet"),
    (
        "everything at once, the worst first",
        never(
            Told(partitions=32).silent("n3", "down").owes("n1", "n3", 5).apart(2, "n1", "n2", 3).building("n2", 0.1),
            "n1",
        ),
        "down: n3 is down: 5 writes wait for it\n"
        "unknown: trees of n2 are being rebuilt, 10 %\n"
        "unknown: 32 of 96 pairs of replicas not compared yet",
    ),
]


@pytest.mark.parametrize(("told", "text"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_stories(told: Told, text: str) -> None:
    assert told.text() == text


# --- never better than the truth --------------------------------------------------------------------------------------


@st.composite
def clusters(draw: st.DrawFn) -> Told:
    """A cluster in which a few things, or nothing, are wrong."""
    told = Told(draw(st.integers(1, 4)), partitions=4, n=draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(told.ids))
        change = draw(st.sampled_from(["pair", "drop", "link", "hint", "refill", "trees", "silent", "age", "scrub"]))
        survey = told.surveys[name]
        if survey is None:
            continue
        _change(draw, told, survey, change)
    return told


def _change(draw: st.DrawFn, told: Told, survey: NodeSurvey, change: str) -> None:
    name = survey.node
    if change in ("pair", "drop", "age") and survey.pairs:
        which = draw(st.integers(0, len(survey.pairs) - 1))
        pairs = list(survey.pairs)
        pair = pairs.pop(which)
        if change == "pair":
            state = draw(st.sampled_from(PairState))
            pairs.append(
                structs.replace(pair, state=state, apart=draw(st.integers(0, 3)), why=draw(st.integers(-1, 3)))
            )
        elif change == "age":
            age_ms = draw(st.sampled_from([0, 1, 119_999, 120_000, 120_001, NOW_MS]))
            pairs.append(structs.replace(pair, compared_ms=NOW_MS - age_ms))
        told.change(name, pairs=tuple(pairs))
    elif change == "link":
        told.sees(name, draw(st.sampled_from(told.ids)), draw(st.sampled_from(["up", "suspected", "down"])))
    elif change == "hint":
        owed = Owed(draw(st.sampled_from(told.ids)), draw(st.integers(0, 2)), 10, 0, draw(st.sampled_from([0.0, 5.0])))
        told.change(name, hints=(*survey.hints, owed))
    elif change == "refill":
        told.change(name, complete=draw(st.booleans()), refill=draw(st.sampled_from([None, Refill(0, 4, 0)])))
    elif change == "trees":
        told.change(name, trees=Trees(1, draw(st.integers(0, 1)), draw(st.integers(0, 1)), 0.5, "x"))
    elif change == "scrub":
        told.change(name, scrub=Scrub(1, 0.5, 10, draw(st.integers(0, 1)), 0))
    elif change == "silent" and name != told.facts.node:
        told.silent(name, draw(st.sampled_from(["up", "suspected", "down"])))


def well(told: Told) -> bool:
    """The oracle: everything that can be wrong, looked up in the surveys one by one."""
    everybody = [survey for survey in told.surveys.values() if survey is not None]
    if len(everybody) < len(told.ids):
        return False
    for survey in everybody:
        trees, scrub = survey.trees, survey.scrub
        if any(owed.count for owed in survey.hints) or any(peer.state != "up" for peer in survey.peers):
            return False
        if not survey.complete or survey.refill or trees.building or trees.unreadable or scrub.damaged:
            return False
    fresh = {
        (pair.partition, frozenset((survey.node, pair.peer)))
        for survey in everybody
        for pair in survey.pairs
        if pair.state is PairState.IN_STEP and 0 <= NOW_MS - pair.compared_ms <= 2 * CYCLE_S * 1000
    }
    n = told.facts.n
    return all(
        (partition, frozenset((a, b))) in fresh
        for partition, nodes in enumerate(told.facts.preference)
        for a in nodes[:n]
        for b in nodes[:n]
        if a < b
    )


@settings(max_examples=500)
@given(clusters())
def test_it_says_agree_if_and_only_if_all_was_checked_and_is_equal(told: Told) -> None:
    view = told.overview()
    assert (view.verdict.state in ("agree", "nothing")) == well(told)
    assert (view.verdict.as_of_ms is not None) == (view.verdict.state == "agree")
    if view.verdict.state == "agree":
        assert view.verdict.as_of_ms == min(pair.compared_ms or 0 for pair in view.pairs)
        assert view.estimate.seconds == 0
        assert not view.verdict.also
    assert view.verdict.text


@given(clusters())
def test_whoever_is_asked_tells_of_the_same_pairs(told: Told) -> None:
    views = []
    for name in told.ids:
        if told.surveys[name] is not None:
            told.facts = structs.replace(told.facts, node=name)
            views.append(told.overview())
    assert len({tuple((pair.partition, pair.a, pair.b, pair.apart) for pair in view.pairs) for view in views}) == 1


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "1 s"),
        (0, "1 s"),
        (0.2, "1 s"),
        (2.1, "3 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_800, "2 days"),
        (10**9, "11,575 days"),
    ],
)
def test_durations_are_rounded_up(seconds: float, text: str) -> None:
    assert phrases.duration(seconds) == text


def test_numbers_and_lists() -> None:
    assert [phrases.count(number, "key") for number in (0, 1, 1204)] == ["0 keys", "1 key", "1,204 keys"]
    assert phrases.names([]) == ""
    assert phrases.names(["a", "b", "c", "d"]) == "a, b, c and d"
    assert phrases.names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 others"
    assert [phrases.percent(part) for part in (0, 0.999, 1, 2)] == ["0 %", "99 %", "100 %", "100 %"]
