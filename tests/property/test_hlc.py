"""Hybrid time: greater along every chain of events, near the wall clock, and deaf to clocks gone mad."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.hlc import AHEAD_MS_MAX, LOGICAL_BITS, HybridClock, wall_ms_of

NOON = 1_800_000_000_000
HOUR = 3_600_000

walls = st.integers(NOON - HOUR, NOON + HOUR)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), walls, st.none() | st.integers(0, 2)), max_size=30))
def test_time_grows_along_every_chain_of_messages(steps: list[tuple[int, int, int | None]]) -> None:
    """Three nodes whose wall clocks jump within two hours; each event is a tick, told to one other node or none."""
    clocks = [HybridClock(NOON - HOUR) for _ in range(3)]
    latest = [0, 0, 0]
    for node, wall, told in steps:
        time = clocks[node].tick(wall)
        assert time > latest[node]
        latest[node] = time
        if told is not None:
            clocks[told].observe(time)
            latest[told] = max(latest[told], time)


@given(st.lists(walls, min_size=1))
def test_time_is_the_wall_clock_at_its_furthest(seen: list[int]) -> None:
    clock = HybridClock(seen[0])
    times = [clock.tick(wall) for wall in seen]
    assert wall_ms_of(times[-1]) == max(seen)
    assert times == sorted(set(times))


def test_ten_ticks_in_one_millisecond_differ() -> None:
    clock = HybridClock(NOON)
    assert [clock.tick(NOON) - (NOON << LOGICAL_BITS) for _ in range(10)] == list(range(10))


def test_the_counter_runs_over_into_the_milliseconds() -> None:
    clock = HybridClock(NOON)
    clock.observe((NOON << LOGICAL_BITS) + 0xFFFF)
    assert clock.tick(NOON) == (NOON + 1) << LOGICAL_BITS


def test_a_clock_a_day_ahead_is_followed_and_a_broken_one_is_not() -> None:
    clock = HybridClock(NOON)
    believed = (NOON + AHEAD_MS_MAX) << LOGICAL_BITS
    clock.observe(believed + 1)
    assert clock.tick(NOON) == NOON << LOGICAL_BITS
    clock.observe(believed)
    assert clock.tick(NOON) == believed + 1


def test_what_is_believed_moves_on_with_the_wall_clock() -> None:
    clock = HybridClock(NOON)
    ahead = (NOON + AHEAD_MS_MAX + HOUR) << LOGICAL_BITS
    clock.tick(NOON + HOUR)
    clock.observe(ahead)
    assert clock.tick(NOON + HOUR) > ahead
