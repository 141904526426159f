"""The algebra of records: what makes replicas agree whatever they heard, in whatever order, how often."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import (
    Record,
    Sibling,
    Vector,
    context_of_write,
    covers,
    digest,
    encode,
    hides_tombstone,
    is_deleted,
    latest,
    merge,
    merge_encoded,
    put,
    replaced,
    shown,
    union,
)
from tests.property.histories import Known, actors, histories, records, three_records, vectors

Three = tuple[Record, Record, Record]


def defined_merge(ours: Record, theirs: Record) -> Record:
    """The definition, word for word."""
    names = {actor for actor, _ in ours.vector + theirs.vector}
    vector = [(name, max(dict(ours.vector).get(name, 0), dict(theirs.vector).get(name, 0))) for name in names]
    stays = {
        (sibling.actor, sibling.counter): sibling
        for one, other in ((ours, theirs), (theirs, ours))
        for sibling in one.siblings
        if sibling in other.siblings or not covers(other.vector, sibling.actor, sibling.counter)
    }
    return Record(tuple(sorted(vector)), tuple(stays[dot] for dot in sorted(stays)))


@given(three_records())
def test_merge_is_what_it_is_defined_to_be(three: Three) -> None:
    ours, theirs, _ = three
    assert merge(ours, theirs) == defined_merge(ours, theirs)


@given(three_records())
def test_merge_is_commutative_associative_and_idempotent(three: Three) -> None:
    a, b, c = three
    assert encode(merge(a, b)) == encode(merge(b, a))
    assert encode(merge(merge(a, b), c)) == encode(merge(a, merge(b, c)))
    assert merge(a, a) is a
    assert merge(merge(a, b), b) == merge(a, b)


@given(three_records())
def test_merge_returns_its_very_argument_if_nothing_is_added(three: Three) -> None:
    a, b, _ = three
    merged = merge(a, b)
    assert (merged is a) == (merged == a)
    if merged != a:
        assert (merged is b) == (merged == b)


@given(three_records())
def test_merging_bytes_is_merging_records(three: Three) -> None:
    a, b, _ = three
    assert merge_encoded(encode(a), encode(b)) == encode(merge(a, b))


@given(histories())
def test_equal_events_are_equal_bytes_and_different_events_are_not(known: list[Known]) -> None:
    for one in known:
        for other in known:
            same = encode(one.record) == encode(other.record)
            assert same == (one.events == other.events)
            assert same == (digest(encode(one.record)) == digest(encode(other.record)))


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_and_repetition_ends_in_the_same_bytes(known: list[Known], random: Random) -> None:
    ends = set()
    for _ in range(3):
        order = [one.record for one in known] * 2
        random.shuffle(order)
        merged = order[0]
        for record in order[1:]:
            merged = merge(merged, record)
        ends.add(encode(merged))
    assert len(ends) == 1


@given(vectors, vectors, actors)
def test_union_covers_what_either_covers(ours: Vector, theirs: Vector, name: int) -> None:
    both = union(ours, theirs)
    assert both == union(theirs, ours) == tuple(sorted(both))
    for actor, counter in (*ours, *theirs, (name, 1)):
        assert covers(both, actor, counter) == (covers(ours, actor, counter) or covers(theirs, actor, counter))


# --- put --------------------------------------------------------------------------------------------------------------


@given(histories(), st.data())
def test_put_replaces_what_was_seen_and_nothing_else(known: list[Known], data: st.DataObject) -> None:
    copy = data.draw(st.sampled_from(known)).record
    context = data.draw(st.just(()) | st.sampled_from(known).map(lambda seen: seen.record.vector))
    name = data.draw(actors | st.sampled_from([actor for actor, _ in copy.vector]))
    after = put(copy, context, name, 2, b"new", "", b"id")
    counters = dict(after.vector)
    assert counters[name] == max(dict(copy.vector).get(name, 0), dict(context).get(name, 0)) + 1
    assert after.vector == union(union(copy.vector, context), ((name, counters[name]),))
    new = [sibling for sibling in after.siblings if (sibling.actor, sibling.counter) == (name, counters[name])]
    assert [sibling.value for sibling in new] == [b"new"]
    stays = [sibling for sibling in copy.siblings if not covers(context, sibling.actor, sibling.counter)]
    assert sorted(stays + new, key=lambda sibling: (sibling.actor, sibling.counter)) == list(after.siblings)
    gone = replaced(copy, after)
    assert [sibling for sibling in copy.siblings if sibling not in stays] == gone
    assert all(sibling.time < new[0].time for sibling in gone), "hybrid time must follow causality"


@given(histories(), actors)
def test_a_write_with_all_that_is_known_as_its_context_is_the_latest_of_all(known: list[Known], name: int) -> None:
    """So an lww bucket, whose writes cover the copy they meet, follows causality however wrong the clock is."""
    copy = known[-1].record
    after = put(copy, copy.vector, name, 0, b"new", "", b"id")
    assert len(after.siblings) == 1
    assert latest(after).time > latest(copy).time
    for older in known:
        if older.events <= known[-1].events:
            assert merge(after, older.record) is after


@given(histories(), st.data())
def test_the_context_of_a_write_covers_nothing_of_others(known: list[Known], data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(known)).record
    write_id = data.draw(st.sampled_from(record.siblings)).write_id
    context = context_of_write(record, write_id)
    others = [sibling for sibling in record.siblings if sibling.write_id != write_id]
    assert not any(covers(context, sibling.actor, sibling.counter) for sibling in others)
    assert union(record.vector, context) == record.vector
    for actor, counter in record.vector:
        more = union(context, ((actor, dict(context).get(actor, 0) + 1),))
        if covers(context, actor, counter):
            continue
        assert any(covers(more, sibling.actor, sibling.counter) for sibling in others), "a larger context was possible"


# --- what a client sees -----------------------------------------------------------------------------------------------


@given(records)
def test_every_live_value_is_shown_and_each_write_once(record: Record) -> None:
    live = [sibling for sibling in record.siblings if sibling.value is not None]
    values = shown(record)
    assert {(one.write_id, one.value, one.content_type) for one in values} == {
        (one.write_id, one.value, one.content_type) for one in live
    }
    assert len({(one.write_id, one.value, one.content_type) for one in values}) == len(values)
    assert set(values) <= set(live)
    assert is_deleted(record) == (not live) == (not values)
    assert hides_tombstone(record) == (0 < len(live) < len(record.siblings))


@given(three_records())
def test_the_latest_does_not_depend_on_the_order_of_merging(three: Three) -> None:
    a, b, _ = three
    assert latest(merge(a, b)) == latest(merge(b, a))


# --- records that cannot both be --------------------------------------------------------------------------------------


@given(actors, actors)
def test_contradictions_are_refused_and_not_resolved_by_losing_a_write(one: int, other: int) -> None:
    a = Record(((one, 1),), (Sibling(one, 1, 0, b"a", "", b"a"),))
    b = Record(((one, 1),), (Sibling(one, 1, 0, b"b", "", b"b"),))
    with pytest.raises(DamagedRecord, match="two different writes"):
        merge(a, b)
    if one != other:
        vector = tuple(sorted(((one, 1), (other, 1))))
        c = Record(vector, (Sibling(one, 1, 0, b"a", "", b"a"),))
        d = Record(vector, (Sibling(other, 1, 0, b"b", "", b"b"),))
        with pytest.raises(DamagedRecord, match="replaced all"):
            merge(c, d)
