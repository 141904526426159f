"""Short stories of one key, told with `put` and `merge`: what two clients and a bad clock do to it."""

from dynkv.core.record import (
    Record,
    context_of_write,
    covers,
    hides_tombstone,
    is_deleted,
    latest,
    merge,
    put,
    shown,
    union,
)

A, B = 11, 22  # the actors of two copies


def write(copy: Record | None, seen: Record | None, actor: int, value: bytes | None, write_id: str = "") -> Record:
    context = () if seen is None else seen.vector
    return put(copy, context, actor, 0, value, "", write_id.encode() or value or b"delete")


def values(record: Record) -> list[bytes | None]:
    return [sibling.value for sibling in shown(record)]


def test_a_first_write_and_the_next_one_over_it() -> None:
    first = write(None, None, A, b"one")
    second = write(first, first, A, b"two")
    assert (second.vector, values(second)) == (((A, 2),), [b"two"])
    assert covers(second.vector, A, 1)
    assert not covers(second.vector, A, 3)


def test_two_blind_writes_at_one_node_are_siblings() -> None:
    record = write(write(None, None, A, b"one"), None, A, b"two")
    assert values(record) == [b"one", b"two"]
    assert values(write(record, record, A, b"both")) == [b"both"]


def test_a_stale_context_replaces_only_what_it_saw() -> None:
    first = write(None, None, A, b"one")
    second = write(first, first, A, b"two")
    late = write(second, first, A, b"late")
    assert values(late) == [b"two", b"late"]


def test_writes_on_both_sides_of_a_cut_meet_as_siblings_and_a_read_unites_them() -> None:
    start = write(None, None, A, b"start")
    left, right = write(start, start, A, b"left"), write(start, start, B, b"right")
    met = merge(left, right)
    assert values(met) == [b"left", b"right"]
    assert merge(met, start) is met
    after = write(left, met, A, b"united")
    assert values(merge(after, right)) == values(merge(right, after)) == [b"united"]


def test_a_retry_through_another_node_is_stored_twice_shown_once_and_covered_whole() -> None:
    once = write(None, None, A, b"value", "one id")
    again = write(None, None, B, b"value", "one id")
    both = merge(once, again)
    assert len(both.siblings) == 2
    assert values(both) == [b"value"]
    assert len(write(both, both, A, b"next").siblings) == 1


def test_one_write_id_for_two_values_hides_neither() -> None:
    both = merge(write(None, None, A, b"this", "one id"), write(None, None, B, b"that", "one id"))
    assert values(both) == [b"this", b"that"]


def test_a_delete_beside_a_write_is_said_but_not_shown() -> None:
    start = write(None, None, A, b"start")
    deleted, written = write(start, start, A, None), write(start, start, B, b"kept")
    assert (is_deleted(deleted), values(deleted), hides_tombstone(deleted)) == (True, [], False)
    both = merge(deleted, written)
    assert (is_deleted(both), values(both), hides_tombstone(both)) == (False, [b"kept"], True)
    assert not hides_tombstone(written)


def test_an_author_is_not_given_what_it_never_saw() -> None:
    """A blind write beside another's value: its context must not let the next write replace that value."""
    others = write(None, None, A, b"theirs")
    record = write(others, None, B, b"mine")
    assert context_of_write(record, b"mine") == ((B, 1),)
    second = put(record, context_of_write(record, b"mine"), B, 0, b"mine too", "", b"id")
    assert values(second) == [b"theirs", b"mine too"]


def test_an_author_whose_dot_cannot_be_said_alone_is_given_less() -> None:
    """Both values have dots of one actor: a vector that covers the later one covers the earlier one."""
    record = write(write(None, None, A, b"theirs"), None, A, b"mine")
    assert context_of_write(record, b"mine") == ()
    assert context_of_write(record, b"theirs") == ((A, 1),)


def test_latest_write_wins_follows_causality_whatever_the_clock_says() -> None:
    """An lww put covers the copy that it meets, and so stands above it, although its own clock is an hour behind."""
    ahead = put(None, (), A, 3_600_000 << 16, b"old", "", b"1")
    after = put(ahead, union(ahead.vector, ()), B, 0, b"new", "", b"2")
    assert latest(merge(ahead, after)).value == b"new"
    assert latest(after).time == (3_600_000 << 16) + 1


def test_the_latest_of_concurrent_writes_is_by_time_then_dot_and_may_be_a_delete() -> None:
    early, late = put(None, (), B, 1, b"early", "", b"1"), put(None, (), A, 2, b"late", "", b"2")
    assert latest(merge(early, late)).value == b"late"
    tied = put(None, (), B, 2, None, "", b"3")
    assert latest(merge(late, tied)).value is None
