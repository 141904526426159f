"""The causality machine, whole and with one rule broken at a time.

A failure prints the steps that led to it and a blob to repeat them with. The broken ones show that the oracle can turn
red at all: each is the same machine, run until Hypothesis finds the write that was lost.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property import causality_node as nodes
from tests.property.causality_machine import CausalityMachine
from tests.property.causality_oracle import Violation

WHOLE = settings(
    max_examples=800,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# The same draws in every run: red once, red for good. Nothing is shrunk; that it is red is all that is asked.
BROKEN = settings(
    WHOLE, max_examples=3000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False
)


class ActorRuleBroken(CausalityMachine):
    node_type = nodes.CountsUnderItsOwnName


class IncarnationRuleBroken(CausalityMachine):
    node_type = nodes.KeepsItsIncarnation


class WholeRecordRuleBroken(CausalityMachine):
    node_type = nodes.SendsOnlyTheNewValue
    whole_record = False


class RetryRuleBroken(CausalityMachine):
    node_type = nodes.ForgetsWriteIds


def test_no_write_is_lost_and_none_comes_back() -> None:
    run_state_machine_as_test(CausalityMachine, settings=WHOLE)


@pytest.mark.parametrize(
    "broken", [ActorRuleBroken, IncarnationRuleBroken, WholeRecordRuleBroken, RetryRuleBroken], ids=lambda m: m.__name__
)
def test_the_oracle_turns_red_without(broken: type[CausalityMachine]) -> None:
    with pytest.raises(Violation):
        run_state_machine_as_test(broken, settings=BROKEN)
