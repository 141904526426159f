"""Suspicion: never on a peer that answers, always on one that is silent, once per outage, never for our own sleep."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.detector import Detector, Pace

INTERVAL = 0.25
LOW = 1.0
HIGH = 2.0
STEP = 0.05

moments = st.floats(0, 1e6, allow_nan=False)


def trusted_detector(now: float) -> Detector:
    detector = Detector(INTERVAL, LOW, HIGH)
    assert detector.suspected(now)
    detector.answered(now, now)
    assert not detector.suspected(now)
    return detector


@given(moments, st.lists(st.floats(0.01, LOW * 0.99), max_size=200))
def test_a_peer_that_answers_within_the_lower_bound_is_never_suspected(now: float, gaps: list[float]) -> None:
    detector = trusted_detector(now)
    for gap in gaps:
        now += gap
        assert not detector.suspected(now)
        detector.answered(now, now - 0.001)


@given(moments, st.lists(st.floats(0.01, 5.0), max_size=50))
def test_silence_is_suspected_between_the_bounds_whatever_was_learned(now: float, gaps: list[float]) -> None:
    detector = trusted_detector(now)
    for gap in gaps:
        now += gap
        detector.answered(now, now)
    while detector.suspected(now):
        now += INTERVAL
        detector.answered(now, now)
    assert LOW <= detector.patience_s <= HIGH
    assert not detector.suspected(now + LOW * 0.99)
    assert detector.suspected(now + HIGH * 1.01)


def test_an_irregular_peer_gets_more_patience_and_a_regular_one_loses_it_again() -> None:
    now = 0.0
    detector = trusted_detector(now)
    for turn in range(60):
        now += 0.9 if turn % 2 else 0.1
        detector.answered(now, now)
    assert detector.patience_s == HIGH
    for _ in range(200):
        now += INTERVAL
        detector.answered(now, now)
    assert detector.patience_s == LOW


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.3, 10)), min_size=1, max_size=8))
def test_suspicion_changes_at_most_once_per_outage(spells: list[tuple[float, float]]) -> None:
    """Spells of (silence, answers): within one spell trust is lost at most once and regained at most once."""
    now = 0.0
    detector = trusted_detector(now)
    suspected = False
    for silent_s, answering_s in spells:
        changes = 0
        end_of_silence = now + silent_s
        end = end_of_silence + answering_s
        next_answer = end_of_silence
        while now < end:
            now += STEP
            if now >= next_answer and now >= end_of_silence:
                detector.answered(now, now - 0.001)
                next_answer = now + INTERVAL
            before, suspected = suspected, detector.suspected(now)
            changes += before != suspected
        assert changes <= 2
        if answering_s > 3 * INTERVAL:
            assert not suspected


def test_after_a_silence_two_prompt_answers_in_a_row_are_needed_and_a_burst_is_one() -> None:
    detector = trusted_detector(0.0)
    assert detector.suspected(30.0)
    for second in range(28):
        detector.answered(30.0, float(second))  # what lay in its buffer: sent long ago
    assert detector.suspected(30.0)
    for sent in (28.5, 29.0, 29.5):
        detector.answered(30.0, sent)
    assert detector.suspected(30.0), "a burst counts once"
    detector.answered(31.5, 31.4)
    assert detector.suspected(31.5), "not in a row"
    detector.answered(31.75, 31.7)
    assert not detector.suspected(31.75)


def test_other_frames_keep_trust_but_do_not_restore_it() -> None:
    detector = trusted_detector(0.0)
    for tenth in range(1, 100):
        detector.heard(tenth / 10)
        assert not detector.suspected(tenth / 10)
    assert detector.suspected(20.0)
    detector.heard(20.1)
    assert detector.suspected(20.1)
    assert detector.heard_at == 20.1


def test_a_broken_connection_is_suspected_at_once_and_trusted_after_one_answer() -> None:
    detector = trusted_detector(0.0)
    detector.broken()
    assert detector.suspected(0.0)
    detector.heard(0.1)
    assert detector.suspected(0.1)
    detector.answered(0.2, 0.15)
    assert not detector.suspected(0.2)


def test_a_break_after_a_silence_still_owes_two() -> None:
    detector = trusted_detector(0.0)
    assert detector.suspected(5.0)
    detector.broken()
    detector.answered(6.0, 6.0)
    assert detector.suspected(6.0)
    detector.answered(6.25, 6.25)
    assert not detector.suspected(6.25)


@given(st.floats(0.3, 1000), st.integers(0, 40))
def test_our_own_sleep_is_nobodys_fault(stall_s: float, ticks_before: int) -> None:
    pace = Pace(STEP)
    detector = trusted_detector(0.0)
    now = 0.0
    for tick in range(ticks_before):
        now += STEP
        assert pace.tick(now) == 0.0
        if tick % 5 == 4:
            detector.answered(now, now)
    pace.tick(now)
    now += STEP + stall_s
    stalled = pace.tick(now)
    assert abs(stalled - stall_s) < 1e-6
    detector.excuse(now, stalled)
    assert not detector.suspected(now)
    # ...and from then on silence counts as ever.
    assert detector.suspected(now + HIGH * 1.01)


def test_small_delays_of_a_tick_are_usual() -> None:
    pace = Pace(STEP)
    now = 0.0
    for late in (0.0, 0.01, 0.1, 0.19):
        now += STEP + late
        assert pace.tick(now) == 0.0
