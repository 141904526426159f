"""Checkers against a correct store: all of its histories pass, and each way to spoil one is found."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.check.history import History
from dynkv.check.verdict import CHECKERS
from tests.property.check_model import SPOILS, Model, Spoil

STEPS = st.integers(5, 120)
SEEDS = st.integers(0, 2**32)
# At least one history of twelve can be spoiled, in whatever way.
TRIES = 500


@pytest.mark.parametrize("workload", ["register", "counter", "session"])
@given(seed=SEEDS, steps=STEPS)
def test_what_a_correct_store_says_is_clean(workload: str, seed: int, steps: int) -> None:
    history = Model(workload, Random(seed), steps).history()
    assert CHECKERS[workload](history) == []


@pytest.mark.parametrize(("workload", "spoil"), [(name, spoil) for name, spoils in SPOILS.items() for spoil in spoils])
@given(seed=SEEDS, steps=st.integers(10, 120))
def test_one_thing_that_cannot_be_is_found(workload: str, spoil: Spoil, seed: int, steps: int) -> None:
    assert CHECKERS[workload](_first_spoiled(workload, spoil, seed, steps)) != []


def _first_spoiled(workload: str, spoil: Spoil, seed: int, steps: int) -> History:
    """Not every history has what can be spoiled: of those of this seed and the next ones, the first that has."""
    for one in range(seed, seed + TRIES):
        spoiled = spoil(Model(workload, Random(one), steps).history(), Random(one + 1))
        if spoiled is not None:
            return spoiled
    raise AssertionError(f"none of {TRIES} histories can be spoiled so")


def test_the_histories_are_worth_it() -> None:
    """Enough of them have conflicts, deletions, doubts and refusals, so that passing says something."""
    histories = [Model("register", Random(seed), 100).history() for seed in range(50)]
    ops = [op for history in histories for op in history.ops]
    assert sum(len(op.saw) > 1 for op in ops if op.op == "read") > 50
    for kind in ("delete", "write"):
        for how in ("ok", "info", "fail"):
            assert sum(op.op == kind and op.outcome == how for op in ops) > 10
    spoiled = {
        spoil.__name__: sum(spoil(one, Random(1)) is not None for one in histories) for spoil in SPOILS["register"]
    }
    assert all(count >= 5 for count in spoiled.values()), spoiled
