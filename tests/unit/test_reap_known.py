"""The list of known tombstones: bounded, by partition, patient with what cannot go, and its counts are right."""

from dynkv.core.reaping import Obstacle
from dynkv.core.tombstones import QUEUED, REST_S, REST_S_MAX, STEP_KEYS, Tombstones

GRACE = Obstacle("grace", "in its grace period")
DIFFERS = Obstacle("differs", "n2 differs")


def test_a_partition_at_a_time_and_no_busy_one() -> None:
    known = Tombstones()
    for number in range(6):
        assert known.add(number % 2, ("b", b"%d" % number), float(number))
    assert known.take(-1.0, 10, ()) is None
    assert known.take(3.0, 10, ()) == (0, [("b", b"0"), ("b", b"2")])
    assert known.take(9.0, 1, ()) == (1, [("b", b"1")])
    assert known.take(9.0, 10, {1}) == (0, [("b", b"4")])
    assert known.take(9.0, 10, {1}) is None
    assert known.take(9.0, 10, ()) == (1, [("b", b"3"), ("b", b"5")])
    assert known.take(9.0, 10, ()) is None
    assert len(known) == 6  # taken, and still known


def test_what_is_known_is_not_taken_in_twice() -> None:
    known = Tombstones()
    assert known.add(0, ("b", b"k"), 5.0)
    assert known.add(0, ("b", b"k"), 0.0)
    assert known.take(0.0, 10, ()) is None
    assert known.counts() == {"being confirmed": 1}


def test_who_could_not_go_rests_longer_each_time_unless_hurried() -> None:
    known, name, now = Tombstones(), ("b", b"k"), 0.0
    known.add(0, name, now)
    assert known.take(now, 1, ()) == (0, [name])
    for rest_s in (REST_S, 2 * REST_S, 4 * REST_S, *(min(REST_S * 2**n, REST_S_MAX) for n in range(3, 12))):
        known.put_back(name, now, DIFFERS)
        assert known.take(now + rest_s - 0.1, 1, ()) is None
        now += rest_s
        assert known.take(now, 1, ()) == (0, [name])
    assert known.counts() == {"differs": 1}
    known.put_back(name, now, DIFFERS)
    known.hurry()
    assert known.take(now, 1, ()) == (0, [name])
    known.put_back(name, now, DIFFERS)
    assert known.take(now + REST_S, 1, ()) == (0, [name])


def test_who_is_looked_at_while_all_are_hurried_rests_a_short_time() -> None:
    known, name = Tombstones(), ("b", b"k")
    known.add(0, name, 0.0)
    now = 0.0
    for _ in range(4):
        assert known.take(now, 1, ()) == (0, [name])
        known.put_back(name, now, DIFFERS)
        now += REST_S_MAX
    assert known.take(now, 1, ()) == (0, [name])
    known.hurry()
    known.put_back(name, now, DIFFERS)
    assert known.take(now + REST_S, 1, ()) == (0, [name])


def test_grace_is_neither_hurried_nor_counted_beyond_its_end() -> None:
    known, young, ready = Tombstones(), ("b", b"young"), ("b", b"ready")
    known.add(0, young, 100.0, GRACE)
    known.add(0, ready, 0.0)
    known.hurry()
    assert known.take(0.0, 9, ()) == (0, [ready])
    known.too_young(ready, 50.0, GRACE)
    assert known.counts() == {"grace": 2}
    known.hurry()
    assert known.take(49.0, 9, ()) is None
    known.make_ready(50.0)
    assert known.counts() == {"grace": 1, "being confirmed": 1}
    assert known.obstacle(ready) == QUEUED


def test_the_list_is_bounded_and_grace_has_half_of_it() -> None:
    known = Tombstones(keys_max=10, name_bytes_max=1000)
    added = [known.add(0, ("b", b"y%d" % number), 100.0, GRACE) for number in range(8)]
    assert added == [True] * 5 + [False] * 3
    added = [known.add(0, ("b", b"%d" % number), 0.0) for number in range(8)]
    assert added == [True] * 5 + [False] * 3
    assert (len(known), known.overflowed) == (10, 6)
    known.take(0.0, 1, ())
    known.gone(("b", b"0"))
    assert known.add(0, ("b", b"new"), 0.0)
    small = Tombstones(keys_max=10, name_bytes_max=100)
    assert small.add(0, ("b", bytes(90)), 0.0)
    assert not small.add(0, ("b", bytes(10)), 0.0)
    small.take(0.0, 1, ())
    small.gone(("b", bytes(90)))
    assert small.add(0, ("b", bytes(10)), 0.0)


def test_a_step_makes_only_so_many_ready() -> None:
    known = Tombstones()
    for number in range(STEP_KEYS + 5):
        known.add(0, ("b", b"%d" % number), 0.0)
    known.make_ready(0.0)
    assert known.take(-1.0, 9999, ()) is not None
    known.make_ready(0.0)
    left = known.take(-1.0, 9999, ())
    assert left is not None
    assert len(left[1]) == 5
