"""Budgets: who keeps to them moves no more than they say, and is not kept from any of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antientropy import Budget, Deference, courtesy_s


@given(st.floats(1, 1e9), st.floats(0, 1e9), st.lists(st.tuples(st.integers(0, 10**8), st.floats(0, 100)), min_size=1))
def test_who_rests_as_told_keeps_to_the_rate_and_is_not_told_to_rest_longer(
    rate: float, burst: float, spends: list[tuple[int, float]]
) -> None:
    """Before each spend of one who rests, no window up to it held more than the burst and its share of the rate."""
    budget = Budget(rate, burst)
    now = 0.0
    spent: list[tuple[float, int]] = []
    for size, idle_s in spends:
        for start in range(len(spent)):
            window = sum(bytes_ for _, bytes_ in spent[start:])
            assert window <= (burst + rate * (now - spent[start][0])) * (1 + 1e-6) + 1
        spent.append((now, size))
        rest = budget.spend(size, now)
        worst = max(
            sum(bytes_ for _, bytes_ in spent[start:]) - burst - rate * (now - spent[start][0])
            for start in range(len(spent))
        )
        assert abs(rest - max(0.0, worst / rate)) <= 1e-6 * (1 + now + rest)
        now += rest + idle_s


def test_debts_of_several_add_up_and_a_clock_that_stands_or_steps_back_gives_nothing() -> None:
    budget = Budget(bytes_per_s=100, burst=50)
    assert budget.spend(50, 10.0) == 0
    assert budget.spend(100, 10.0) == 1.0
    assert budget.spend(100, 9.0) == 2.0
    assert budget.spend(0, 10.0) == 1.0


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_who_comes_late_leaves_more_to_others_within_bounds(late: float, later: float) -> None:
    late, later = sorted((late, later))
    assert 0 <= courtesy_s(late) <= courtesy_s(later) <= 0.1
    assert courtesy_s(late) == 0 or late >= 0.003
    assert courtesy_s(0.01) == pytest.approx(0.04)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2)), min_size=1))
def test_clients_come_first_exactly_while_one_has_asked_lately(looks: list[tuple[float, int]]) -> None:
    """Against all that was ever seen: a look that finds more requests than the last holds for the next second."""
    deference, now, asked = Deference(), 0.0, 0
    seen: list[float] = []
    for idle_s, more in looks:
        now, asked = now + idle_s, asked + more
        if more:
            seen.append(now)
        assert deference.due(asked, now) is any(now < at + 1.0 for at in seen)
