"""The memory of recent writes: what it holds, what it forgets, and that it stays small."""

import pytest

from dynkv.core.recent import RecentWrites


def fill(recent: RecentWrites, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        recent.add("bucket", b"key", b"%d" % number)


def test_a_write_is_known_by_bucket_key_and_id() -> None:
    recent = RecentWrites(10)
    recent.add("bucket", b"key", b"id")
    assert recent.seen("bucket", b"key", b"id")
    assert not recent.seen("other", b"key", b"id")
    assert not recent.seen("bucket", b"other", b"id")
    assert not recent.seen("bucket", b"key", b"other")


def test_the_last_half_is_always_there_and_the_whole_is_bounded() -> None:
    recent = RecentWrites(10)
    for number in range(1000):
        fill(recent, 1, number)
        assert len(recent) <= 10
        assert all(recent.seen("bucket", b"key", b"%d" % late) for late in range(max(0, number - 4), number + 1))
    assert not recent.seen("bucket", b"key", b"900")


def test_a_repeated_write_takes_no_room() -> None:
    recent = RecentWrites(10)
    recent.add("bucket", b"key", b"first")
    for _ in range(100):
        recent.add("bucket", b"key", b"again")
    assert recent.seen("bucket", b"key", b"first")


def test_all_is_forgotten_at_once() -> None:
    recent = RecentWrites(10)
    fill(recent, 8)
    recent.clear()
    assert len(recent) == 0
    assert not recent.seen("bucket", b"key", b"7")


def test_a_limit_without_room_for_two_generations_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        RecentWrites(1)
