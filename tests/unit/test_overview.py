"""The cluster put together from surveys: every pair once, everything from whoever knows it first hand."""

import msgspec
import pytest
from msgspec import structs

from dynkv.core import survey as surveys
from dynkv.core.overview_pairs import STALE, UNTOLD
from dynkv.core.survey import Compared, NodeSurvey, PairState
from tests.unit.surveys import CYCLE_S, NOW_MS, Told


def test_every_pair_of_the_placement_is_there_once() -> None:
    view = Told(nodes=5, partitions=32).overview()
    assert len(view.pairs) == 32 * 3
    assert len({(pair.partition, pair.n, pair.a, pair.b) for pair in view.pairs}) == 32 * 3
    assert all(pair.a < pair.b and pair.by in (pair.a, pair.b) for pair in view.pairs)
    assert (view.counts.total, view.counts.in_step, view.counts.oldest_ms) == (96, 96, NOW_MS - 58_000)


def test_a_pair_that_nobody_tells_of_is_unknown() -> None:
    told = Told()
    for name in told.ids:
        told.change(name, pairs=())
    view = told.overview()
    assert {(pair.state, pair.why, pair.compared_ms) for pair in view.pairs} == {("unknown", UNTOLD, None)}
    assert view.counts.unknown == 16 * 3


def test_pairs_of_a_node_that_does_not_answer_are_unknown_whoever_compares_them() -> None:
    view = Told().silent("n2", "down").overview()
    for pair in view.pairs:
        shared = "n2" in (pair.a, pair.b)
        assert (pair.state, pair.why) == (("unknown", "n2 is down") if shared else ("in_step", ""))
    # Of those that another node compares it is still said when that was.
    assert any(pair.compared_ms for pair in view.pairs if pair.state == "unknown")


def test_that_a_node_is_away_is_the_reason_and_not_what_broke_the_last_comparison_off() -> None:
    told = Told().unknown("n1", "the connection broke", lambda who, peer: "n2" in (who, peer)).silent("n2", "down")
    assert {pair.why for pair in told.overview().pairs if "n2" in (pair.a, pair.b)} == {"n2 is down"}


def test_of_two_that_tell_of_one_pair_the_later_is_believed() -> None:
    told = Told()

    def also(name: str, state: PairState, later_ms: int, partition: int) -> None:
        for survey in told.surveys.values():
            assert survey is not None
            for pair in survey.pairs:
                if {survey.node, pair.peer} == {"n1", "n2"} and pair.partition == partition and survey.node != name:
                    mine = told.surveys[name]
                    assert mine is not None
                    copy = structs.replace(
                        pair, peer=survey.node, state=state, apart=3, tried_ms=pair.tried_ms + later_ms
                    )
                    told.change(name, pairs=(*mine.pairs, copy))
                    return

    for name in ("n1", "n2"):
        also(name, PairState.APART, 1, 0)
        also(name, PairState.APART, -1, 1)
        also(name, PairState.UNKNOWN, 0, 2)  # at once: the worse
    found = {pair.partition: pair for pair in told.overview().pairs if (pair.a, pair.b) == ("n1", "n2")}
    assert (found[0].state, found[0].apart) == ("apart", 3)
    assert (found[1].state, found[1].apart) == ("in_step", 0)
    assert found[2].state == "unknown"


def test_a_result_gets_stale_after_two_cycles_and_never_where_nothing_is_compared_by_itself() -> None:
    def aged(seconds: float) -> Told:
        began = NOW_MS - int(seconds * 1000)
        return Told().pairs(lambda survey, pair: structs.replace(pair, compared_ms=began))

    assert aged(2 * CYCLE_S).overview().counts.in_step == 48
    stale = aged(2 * CYCLE_S + 0.001).overview()
    assert {(pair.state, pair.why) for pair in stale.pairs} == {("unknown", STALE)}
    told = aged(1_000_000)
    for name in told.ids:
        told.change(name, cycle_s=0.0)
    assert told.text() == "agree: All replicas agree as of 12 days ago"


def test_keys_apart_are_not_counted_twice() -> None:
    view = Told().apart(3, "n1", "n2", 14).apart(3, "n1", "n3", 15).apart(4, "n1", "n3", 2).overview()
    assert (view.counts.apart, view.counts.keys_apart) == (3, 17)


def test_what_several_nodes_owe_is_summed_by_target() -> None:
    view = Told().owes("n1", "n2", 4, 10.0).owes("n3", "n2", 6, 2.0).overview()
    (hint,) = view.hints
    assert (hint.target, hint.count, hint.bytes, hint.paid_per_s) == ("n2", 10, 10_240, 12.0)
    assert [(holder.node, holder.count) for holder in hint.holders] == [("n1", 4), ("n3", 6)]
    assert {node.id: node.owed for node in view.nodes} == {"n1": 0, "n2": 10, "n3": 0}


def test_the_log_is_merged_newest_first_and_each_entry_has_a_name_for_good() -> None:
    view = Told().overview()
    assert [row.ended_ms for row in view.log] == sorted((row.ended_ms for row in view.log), reverse=True)
    assert len({row.id for row in view.log}) == len(view.log) == 18
    assert view.log[0].id == "n1/3/6"


def test_a_node_is_described_by_itself_or_by_its_link() -> None:
    view = Told().silent("n3", "suspected").sees("n2", "n3", "up").overview()
    one, two, three = view.nodes
    assert (one.state, one.latency_ms, one.unreached_by) == ("up", None, ())
    assert (two.state, two.trees and two.trees["exact"], two.replicas) == ("up", 16, 16)
    assert (three.state, three.trees, three.load, three.unreached_by) == ("suspected", None, None, ("n1",))
    told = Told().silent("n3", why="its survey cannot be read")
    assert told.overview().nodes[2].why == "its survey cannot be read"


def test_sums_over_the_nodes_that_answered() -> None:
    view = Told().overview()
    assert view.totals["keys_pulled"] == 120
    assert view.convergence["mechanisms"]["exchange"][6] == 60
    assert view.tombstones["reaped"] == 930
    assert view.tombstones["waiting"][0] == {"why": "the grace period is not over", "count": 123}


def test_differing_leaves_are_there_for_whoever_opens_the_partition() -> None:
    view = Told().apart(3, "n1", "n3", 70, range(70)).overview()
    (row,) = view.leaves
    assert (row.partition, row.a, row.b, row.total, row.leaves) == (3, "n1", "n3", 70, tuple(range(64)))


@pytest.mark.parametrize(
    ("told", "seconds", "why"),
    [
        (Told(), 0.0, ""),
        (Told().owes("n1", "n2", 1000, 100.0).owes("n3", "n2", 900, 300.0), 10.0, ""),
        (Told().owes("n1", "n2", 1000), None, "hints for n2 are not being paid"),
        (Told().silent("n2", "down"), None, "n2 does not answer"),
        (Told(5).silent("n2").silent("n3"), None, "n2 and n3 do not answer"),
        (Told().change("n2", complete=False), None, "n2 lost data and is not being refilled yet"),
        (Told().refilling("n2", 4, 16, for_s=2.0), 6.0, ""),
        (Told().refilling("n2", 0, 16), None, "the refilling of n2 has only begun"),
        (Told().building("n3", 0.5), None, "trees of n3 are being rebuilt"),
        (Told().change("n3", trees=surveys.Trees(15, 0, 1, 1.0, "")), None, "trees of n3 cannot be read"),
        # The exchange that repairs them did 5 in 1.5 s.
        (Told().apart(3, "n1", "n3", 14).repairing(3, "n3", "n1", 5, 14), 2.7, ""),
        # Nobody repairs them yet: the next comparison comes within the cycle.
        (Told().apart(3, "n1", "n3", 14), 36.0, ""),
    ],
)
def test_the_estimate_is_the_longest_wait_or_none_and_why(told: Told, seconds: float | None, why: str) -> None:
    estimate = told.overview().estimate
    assert (estimate.seconds, estimate.why) == (seconds, why)


def test_a_survey_is_small_and_comes_back_as_it_was() -> None:
    for told in (Told(nodes=10, partitions=256), Told(nodes=3, partitions=256)):
        for survey in told.surveys.values():
            assert survey is not None
            data = surveys.encode(structs.replace(survey, log=tuple(_long_log(survey))))
            assert len(data) < 20_000
            assert surveys.decode(data).pairs == survey.pairs


def _long_log(survey: NodeSurvey) -> list[surveys.Entry]:
    return [structs.replace(survey.log[0], number=number) for number in range(surveys.LOG_ENTRIES)]


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made | {"pairs": [[1, 3, "n2", 9, 0, 0, 0, -1]]},
        lambda made: made | {"pairs": [[1, 3, "n2", 0, -1, 0, 0, -1]]},
        lambda made: made | {"log": [list(made["log"][0])] * (surveys.LOG_ENTRIES + 1)},
        lambda made: made | {"trees": [0, 0, 0, 1.5, ""]},
        lambda made: made | {"node": "n" * 64},
        lambda made: made | {"more": 1},
    ],
)
def test_what_is_no_survey_is_refused(change: object) -> None:
    survey = Told().surveys["n1"]
    assert survey is not None
    made = {name: msgspec.to_builtins(value) for name, value in structs.asdict(survey).items()}
    assert surveys.decode(msgspec.msgpack.encode(list(made.values()))) == survey
    assert callable(change)
    with pytest.raises(msgspec.DecodeError):
        surveys.decode(msgspec.msgpack.encode(list(change(made).values())))


def test_a_reason_that_is_not_in_the_table_is_none() -> None:
    survey = Told().surveys["n1"]
    assert survey is not None
    pair = Compared(0, 3, "n2", PairState.UNKNOWN, 0, 0, 0, 7)
    assert survey.why(pair) == ""


def test_rebasing_moves_every_time_and_never_stays_never() -> None:
    told = Told().apart(3, "n1", "n3", 1, [5]).owes("n1", "n2", 1).refilling("n1", 1, 2).repairing(3, "n1", "n3", 1, 2)
    told.pairs(lambda survey, pair: structs.replace(pair, compared_ms=0) if pair.partition == 1 else pair)
    survey = told.surveys["n1"]
    assert survey is not None
    moved = surveys.rebased(survey, 1_000)
    before, after = (_times(msgspec.to_builtins(each)) for each in (survey, moved))
    assert len(before) > 40
    assert all(there == (here + 1_000 if here else 0) for here, there in zip(before, after, strict=True))
    assert surveys.rebased(survey, 0) is survey
    assert min(_times(msgspec.to_builtins(surveys.rebased(survey, -NOW_MS - 1)))) == 0


def _times(value: object) -> list[int]:
    """All that looks like a time of the fakes, and the zeros where one could be."""
    if isinstance(value, list | tuple):
        return [time for item in value for time in _times(item)]
    return [value] if isinstance(value, int) and (value == 0 or abs(value - NOW_MS) < 10**9) else []
