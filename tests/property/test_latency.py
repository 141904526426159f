"""The running quantiles against the plain ones."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.latency import (
    DELAY_S_MAX,
    DELAY_S_MIN,
    DELAY_S_UNKNOWN,
    FIRST,
    RECOMPUTE_EVERY,
    RING,
    Latency,
    common_delay_s,
)


@given(st.lists(st.floats(0, 1), max_size=500))
def test_quantiles_are_those_of_the_last_samples(samples: list[float]) -> None:
    latency = Latency()
    expected: tuple[float | None, float] = (None, DELAY_S_UNKNOWN)
    due = FIRST
    for count, sample in enumerate(samples, 1):
        latency.add(sample)
        if count == due:
            ordered = sorted(samples[max(0, count - RING) : count])
            high = ordered[len(ordered) * 95 // 100]
            expected = (ordered[len(ordered) // 2], min(max(high, DELAY_S_MIN), DELAY_S_MAX))
            due += RECOMPUTE_EVERY if count >= RECOMPUTE_EVERY else FIRST
        assert (latency.median_s, latency.delay_s) == expected


def test_a_slow_peer_does_not_raise_the_common_delay() -> None:
    quick, slow, new = Latency(), Latency(), Latency()
    for _ in range(RING):
        quick.add(0.004)
        slow.add(0.5)
    assert common_delay_s([quick, slow, new]) == 0.004
    assert slow.delay_s == DELAY_S_MAX
    assert common_delay_s([slow]) == DELAY_S_MAX
    assert common_delay_s([new]) == common_delay_s([]) == DELAY_S_UNKNOWN
