"""An exchange finds exactly the keys that differ, at a cost that follows the difference, and trusts no peer."""

import doctest
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antientropy
from antientropy import (
    FANOUT,
    LEAVES,
    PAGE_KEYS_MAX,
    PAGES_MAX,
    Answer,
    AskKeys,
    AskLeaves,
    AskRoot,
    Exchange,
    Finish,
    Inner,
    Keys,
    Leaves,
    ListOwn,
    Outcome,
    Repair,
    Result,
    Same,
    Settle,
    Unknown,
    answer_leaves,
)
from tests.property.antientropy_sides import (
    EVENTS,
    KEYS,
    LEAF_CHOICES,
    RECORDS,
    Run,
    Side,
    apart,
    key_of,
    name_of,
)

PAGES = st.integers(1, 5) | st.just(1000)
QUESTIONS = (AskRoot, AskLeaves, AskKeys)


@given(RECORDS, RECORDS, RECORDS, PAGES, PAGES)
def test_it_finds_exactly_the_differing_keys_and_repairs_them(
    shared: dict[bytes, int], only_ours: dict[bytes, int], only_theirs: dict[bytes, int], page: int, our_page: int
) -> None:
    ours, theirs = Side(shared | only_ours), Side(shared | only_theirs)
    expected = apart(ours, theirs)
    run = Run(ours, theirs, page, our_page)
    result = run.to_the_end()

    assert run.found == expected
    assert result.whole
    assert result.outcome is (Outcome.REPAIRED if expected else Outcome.IN_STEP)
    assert (result.counts.keys, result.counts.repaired, result.counts.skipped) == (len(expected), len(expected), 0)
    assert result.counts.leaves == len({one.key[2:] for one in expected})
    assert ours.records == theirs.records
    _costs_one_question(ours, theirs)


@given(RECORDS, RECORDS, PAGES, PAGES, st.data())
def test_writes_may_land_at_any_moment_on_either_side(
    our_records: dict[bytes, int], their_records: dict[bytes, int], page: int, our_page: int, data: st.DataObject
) -> None:
    """That each difference is one between what both sides listed is checked as it is found (`Run`)."""
    ours, theirs = Side(our_records), Side(their_records)
    writes = st.lists(
        st.tuples(st.sampled_from([(ours,), (theirs,), (ours, theirs)]), KEYS, st.integers(0, EVENTS - 1))
    )

    def pause() -> None:
        for sides, key, event in data.draw(writes.filter(lambda drawn: len(drawn) < 4)):
            for side in sides:
                side.merge(key, 1 << event)

    run = Run(ours, theirs, page, our_page, pause)
    busy = run.to_the_end()
    assert busy.counts.keys == len(run.found) == busy.counts.repaired + busy.counts.skipped
    assert busy.whole == (busy.counts.skipped == 0)
    assert (busy.outcome is Outcome.IN_STEP) == (not run.found)

    quiet = Run(ours, theirs, page, our_page).to_the_end()
    assert quiet.whole
    assert ours.records == theirs.records
    _costs_one_question(ours, theirs)


def _costs_one_question(ours: Side, theirs: Side) -> None:
    run = Run(ours, theirs)
    result = run.to_the_end()
    assert (result.outcome, result.counts.leaves) == (Outcome.IN_STEP, 0)
    assert run.actions == [AskRoot(ours.tree.root)]
    assert run.node_bytes == 8


@given(RECORDS)
def test_a_tree_compared_with_itself_costs_one_small_question_and_answer(records: dict[bytes, int]) -> None:
    side = Side(records)
    _costs_one_question(side, side)
    _costs_one_question(side, Side(dict(reversed(records.items()))))


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([3, 50, 1000]), st.sampled_from([2, 1000]))
def test_its_cost_is_bounded_by_the_difference_times_the_depth(
    seed: int, changed: int, page: int, our_page: int
) -> None:
    """With d differing keys, whatever is held in common: at most d inner nodes and d leaves are looked at.

    Questions: the root, the leaves twice, and one for each full page of keys in leaves that differ, and one.
    Bytes of nodes: 8 for the root, 256 for the inner nodes, then for each differing key, twice, an index of 1 byte and
    32 leaves of 8, and 2 for its leaf's index in each page's question. Keys listed: those in leaves that differ.
    """
    chance = random.Random(seed)
    common = {key_of(number, chance.randrange(LEAVES)): 1 for number in range(2000)}
    ours, theirs = Side(common), Side(common)
    for number in range(changed):
        side = chance.choice((ours, theirs))
        if chance.random() < 0.5:
            side.merge(chance.choice(sorted(common)), 2)
        else:
            side.merge(key_of(3000 + number, chance.randrange(LEAVES)), 1)
    difference = len(apart(ours, theirs))
    leaves = {one.key[2:] for one in apart(ours, theirs)}
    listed = sum(key[2:] in leaves for key in theirs.records)

    run = Run(ours, theirs, page, our_page)
    assert run.to_the_end().counts.keys == difference
    questions = [action for action in run.actions if isinstance(action, QUESTIONS)]
    pages = 1 + listed // page
    assert len(questions) <= 3 + pages
    assert run.node_bytes <= 8 + 256 + difference * (2 * (1 + 8 * FANOUT) + 2 * pages)
    assert run.entries == listed


@given(RECORDS, st.dictionaries(KEYS, st.integers(1, 2**EVENTS - 1), min_size=1, max_size=5), st.booleans())
def test_what_is_only_on_its_way_settles_and_no_key_is_listed(
    records: dict[bytes, int], on_the_way: dict[bytes, int], ours_first: bool
) -> None:
    early, late = Side(records), Side(records)

    def arrive(at: Side) -> None:
        for key, record in on_the_way.items():
            at.merge(key, record)

    arrive(early)
    behind = len({one.key[2:] for one in apart(early, late)})
    run = Run(*((early, late) if ours_first else (late, early)))
    run.pause = lambda: arrive(late) if isinstance(run.actions[-1], Settle) else None
    result = run.to_the_end()
    assert not [action for action in run.actions if isinstance(action, AskKeys | ListOwn | Repair)]
    assert (result.outcome, result.counts.settled, result.counts.leaves) == (Outcome.IN_STEP, behind, 0)


def test_only_the_leaf_that_is_apart_both_times_is_listed() -> None:
    """Of one that is apart at first only, and of one that is apart the second time only, nothing is asked."""
    stays, settles, comes = key_of(1, 0), key_of(1, 1), key_of(1, 2)
    ours, theirs = Side({stays: 1, settles: 1}), Side({})
    run = Run(ours, theirs)

    def pause() -> None:
        if isinstance(run.actions[-1], Settle):
            theirs.merge(settles, 1)
            theirs.merge(comes, 1)

    run.pause = pause
    result = run.to_the_end()
    assert [action.leaves for action in run.actions if isinstance(action, AskKeys)] == [(0,)]
    assert [one.key for one in run.found] == [stays]
    assert (result.counts.settled, result.counts.leaves) == (1, 1)


def test_a_leaf_that_settles_just_before_its_keys_are_listed_is_counted_and_in_step() -> None:
    """Again and again, it would mean a tree that is not exact: so it must be seen in the counts."""
    key = key_of(1, 7)
    ours, theirs = Side({key: 1}), Side({})
    run = Run(ours, theirs)
    run.pause = lambda: theirs.merge(key, 1) if isinstance(run.actions[-1], AskKeys) else None
    result = run.to_the_end()
    assert (result.outcome, result.counts.leaves, result.counts.keys) == (Outcome.IN_STEP, 1, 0)


def test_the_example_of_the_package_is_true() -> None:
    done = doctest.testmod(antientropy)
    assert done.attempted > 10
    assert done.failed == 0


# --- peers that are not honest ----------------------------------------------------------------------------------------

NODES = st.lists(st.integers(0, 2**64 - 1), max_size=3 * FANOUT).map(tuple) | st.integers(0, 4 * FANOUT).map(
    lambda count: tuple(range(count))
)
ANY_KEY = KEYS | st.binary(max_size=6)
ENTRIES = st.lists(st.tuples(ANY_KEY, st.binary(max_size=20)), max_size=6)
HOSTILE: st.SearchStrategy[Answer] = (
    st.just(Same())
    | st.builds(Inner, NODES)
    | st.builds(Leaves, NODES)
    | st.builds(Keys, ENTRIES | ENTRIES.map(sorted), st.just(b"") | ANY_KEY)
    | st.builds(Unknown, st.text(max_size=5))
)


@given(RECORDS, RECORDS, PAGES, st.data())
def test_nothing_a_peer_says_raises_or_keeps_us_forever(
    our_records: dict[bytes, int], their_records: dict[bytes, int], page: int, data: st.DataObject
) -> None:
    """Each answer is honest or not. A Repair that comes of it names only keys of the leaves asked, ascending."""
    run = Run(Side(our_records), Side(their_records), page)
    exchange = Exchange(run.ours.tree, name_of)
    action = exchange.action
    asked: tuple[int, ...] = ()
    steps = 0
    while not isinstance(action, Finish):
        steps += 1
        assert steps < 1000
        match action:
            case AskRoot() | AskLeaves() | AskKeys():
                asked = action.leaves if isinstance(action, AskKeys) else asked
                honest = data.draw(st.integers(0, 3))
                action = exchange.heard(run.answer(action) if honest else data.draw(HOSTILE))
            case Settle():
                action = exchange.settled()
            case ListOwn(leaves, after, until):
                action = exchange.listed(*run.ours.page(leaves, after, until, page))
            case Repair(differences):
                keys = [one.key for one in differences]
                assert keys == sorted(set(keys))
                assert all((name_of(key) or 0) % LEAVES in asked for key in keys)
                action = exchange.repaired(len(differences))
    assert exchange.action == action
    assert action.result.counts == exchange.counts


def _asking(leaf: int = 0, after: bytes = b"") -> Exchange:
    """An exchange that has just asked for keys of one leaf, beyond `after`."""
    exchange = Exchange(Side({key_of(1, leaf): 1}).tree, name_of)
    other = Side({}).tree
    exchange.heard(Inner(other.inner()))
    exchange.heard(Leaves(other.leaves(leaf // FANOUT)))
    exchange.settled()
    assert exchange.heard(Leaves(other.leaves(leaf // FANOUT))) == AskKeys((leaf,), b"")
    if after:
        exchange.heard(Keys([], after))
        assert exchange.listed([]) == AskKeys((leaf,), after)
    return exchange


def _outcome(exchange: Exchange, answer: Answer) -> Result:
    action = exchange.heard(answer)
    assert isinstance(action, Finish), action
    return action.result


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (Keys([(key_of(7, 0), b"d"), (key_of(6, 0), b"d")], b""), "out of order"),
        (Keys([(key_of(7, 0), b"d"), (key_of(7, 0), b"d")], b""), "out of order"),
        (Keys([(key_of(5, 0), b"d")], b""), "another stretch"),
        (Keys([(key_of(5, 1), b"d")], b""), "another stretch"),
        (Keys([(key_of(8, 0), b"d")], key_of(7, 0)), "another stretch"),
        (Keys([(b"", b"d")], b""), "another stretch"),
        (Keys([(key_of(7, 1), b"d")], b""), "not asked for"),
        (Keys([(b"no key", b"d")], b""), "not asked for"),
        (Keys([], key_of(5, 0)), "does not get on"),
        (Keys([], key_of(5, 1)), "does not get on"),
        (Keys([(number.to_bytes(4, "big"), b"d") for number in range(PAGE_KEYS_MAX + 1)], b""), "too long"),
    ],
)
def test_a_page_that_breaks_the_rules_fails_the_exchange(keys: Keys, why: str) -> None:
    result = _outcome(_asking(leaf=0, after=key_of(5, 1)), keys)
    assert (result.outcome, result.whole) == (Outcome.FAILED, False)
    assert why in result.why


@pytest.mark.parametrize("entries", [[], [(key_of(6, 0), b"d")], [(key_of(6, 0), b"d"), (key_of(9, 0), b"")]])
def test_a_page_that_keeps_them_is_taken(entries: list[tuple[bytes, bytes]]) -> None:
    exchange = _asking(leaf=0, after=key_of(5, 1))
    assert exchange.heard(Keys(entries, key_of(9, 0))) == ListOwn((0,), key_of(5, 1), key_of(9, 0))


def test_a_listing_that_leads_on_forever_is_left() -> None:
    exchange = _asking()
    for number in range(1, PAGES_MAX + 1):
        exchange.heard(Keys([], number.to_bytes(4, "big")))
        exchange.listed([])
    result = _outcome(exchange, Keys([], (PAGES_MAX + 1).to_bytes(4, "big")))
    assert (result.outcome, result.why) == (Outcome.FAILED, "a listing that is too long")


def _asking_root() -> Exchange:
    return Exchange(Side({key_of(1, 0): 1}).tree, name_of)


def _asking_leaves() -> Exchange:
    exchange = _asking_root()
    exchange.heard(Inner(Side({}).tree.inner()))
    return exchange


@pytest.mark.parametrize(
    ("begun", "answer"),
    [
        (_asking_root, Inner((1,) * (FANOUT - 1))),
        (_asking_root, Inner((1,) * (FANOUT + 1))),
        (_asking_root, Leaves((1,) * FANOUT)),
        (_asking_root, Keys([], b"")),
        (_asking_leaves, Leaves((1,) * (FANOUT - 1))),
        (_asking_leaves, Leaves((1,) * (2 * FANOUT))),
        (_asking_leaves, Inner((1,) * FANOUT)),
        (_asking_leaves, Same()),
        (_asking, Same()),
        (_asking, Leaves((1,) * FANOUT)),
    ],
)
def test_an_answer_to_another_question_fails_the_exchange(begun: Callable[[], Exchange], answer: Answer) -> None:
    result = _outcome(begun(), answer)
    assert (result.outcome, result.whole) == (Outcome.FAILED, False)


@pytest.mark.parametrize("begun", [_asking_root, _asking_leaves, _asking])
def test_unknown_is_neither_in_step_nor_a_failure(begun: Callable[[], Exchange]) -> None:
    result = _outcome(begun(), Unknown("rebuilding"))
    assert (result.outcome, result.why, result.whole) == (Outcome.UNKNOWN, "rebuilding", False)


def test_breaking_off_keeps_the_counts_and_what_was_said_first() -> None:
    exchange = _asking()
    exchange.heard(Keys([(key_of(2, 0), b"d")], b""))
    exchange.listed([])
    finish = exchange.failed("no answer in time")
    assert isinstance(finish, Finish)
    assert (finish.result.outcome, finish.result.why) == (Outcome.FAILED, "no answer in time")
    assert (finish.result.counts.keys, finish.result.counts.repaired, finish.result.whole) == (1, 0, False)
    assert exchange.unknown("set aside") is finish
    assert _unknown_result().outcome is Outcome.UNKNOWN


def _unknown_result() -> Result:
    finish = _asking().unknown("our range is unreadable")
    assert isinstance(finish, Finish)
    return finish.result


@pytest.mark.parametrize("event", ["settled", "listed", "repaired"])
def test_an_event_that_the_driver_makes_up_is_a_defect(event: str) -> None:
    exchange = _asking_root()
    with pytest.raises(AssertionError):
        getattr(exchange, event)(*([[]] if event == "listed" else []))


def test_an_own_listing_out_of_order_is_a_defect() -> None:
    exchange = _asking()
    exchange.heard(Keys([], b""))
    with pytest.raises(AssertionError, match="our own listing"):
        exchange.listed([(key_of(2, 0), b"d"), (key_of(1, 0), b"d")])


@pytest.mark.parametrize("inner", [(-1,), (FANOUT,), (1, 1), (2, 1), tuple(range(FANOUT)) * 2])
def test_a_question_for_nodes_that_are_not_there_is_answered_and_does_not_raise(inner: tuple[int, ...]) -> None:
    assert isinstance(answer_leaves(Side({}).tree, inner), Unknown)


def test_the_leaves_of_several_inner_nodes_come_in_the_order_asked() -> None:
    tree = Side({key_of(1, leaf): 1 for leaf in LEAF_CHOICES}).tree
    answer = answer_leaves(tree, (0, 1, FANOUT - 1))
    assert answer == Leaves(tree.leaves(0) + tree.leaves(1) + tree.leaves(FANOUT - 1))
