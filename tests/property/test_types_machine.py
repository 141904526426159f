"""The machine of typed keys, for each kind, whole and with one rule broken at a time."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dynkv.core.record import Record, Vector, union
from dynkv.core.types import dots, reading
from dynkv.core.types import map as maps
from dynkv.core.types import update as updating
from dynkv.core.types.counter import Counter
from dynkv.core.types.dots import Dots
from dynkv.core.types.lineage import Both, Ids
from dynkv.core.types.map import Field, Operation
from dynkv.core.types.state import State, Waiting
from tests.property import types_machine as machines
from tests.property.types_machine import Applied, Attempt, TypedNode, TypesMachine
from tests.property.types_oracle import Violation

WHOLE = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)

KINDS = (
    machines.CounterMachine,
    machines.SetMachine,
    machines.FlagMachine,
    machines.RegisterMachine,
    machines.MapMachine,
)


@pytest.mark.parametrize("machine", KINDS, ids=lambda machine: machine.kind)
def test_every_copy_shows_what_its_updates_say(machine: type[TypesMachine]) -> None:
    run_state_machine_as_test(machine, settings=WHOLE)


# --- the machine turns red without a rule -----------------------------------------------------------------------------

# The same draws in every run: red once, red for good. Nothing is shrunk; that it is red is all that is asked.
BROKEN = settings(
    WHOLE, max_examples=1200, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False
)


class ReplacesWhatTheClientHasSeen(TypedNode):
    """The new sibling also replaces what the author of the update had read, which this copy may not have joined."""

    def update(self, kind: str, attempt: Attempt, *, repeated: bool) -> Applied | None:
        self.seen = attempt.context
        return super().update(kind, attempt, repeated=repeated)

    def context(self, before: Record | None) -> Vector:
        return union(super().context(before), self.seen)


class SetReplacing(machines.SetMachine):
    node_type = ReplacesWhatTheClientHasSeen


def _any_of_both(ours: Dots, theirs: Dots, both: Both) -> Dots:
    """Joins without asking what the other has seen."""
    return tuple(sorted({*ours, *theirs}))


def _no_waiting(before: State, operation: Operation, context: Vector, vector: Vector) -> tuple[Waiting, ...]:
    """Forgets what a removal names and this copy does not have."""
    return ()


def _as_it_is(state: State) -> State:
    """Keeps what one write did twice although one of the two was undone."""
    return state


def _unknown(ids: Ids, dot: tuple[int, int]) -> None:
    """Takes every increment for a write of its own."""


def _shorter(counter: Counter, theirs: Counter, both: Both) -> Counter:
    """Of two versions of a share takes its own, and so sometimes the older one."""
    return Counter(tuple({share.name: share for share in (*theirs.shares, *counter.shares)}.values()))


def _keeps_inside(field: Field, vector: Vector) -> Field:
    """Removes a field and not what the remover has seen inside it."""
    return Field(field.name, dots.without(field.there, vector), field.body)


@pytest.mark.parametrize(
    ("machine", "where", "name", "broken"),
    [
        (machines.CounterMachine, Ids, "of", _unknown),
        (machines.CounterMachine, Counter, "join", _shorter),
        (machines.SetMachine, dots, "joined", _any_of_both),
        (machines.SetMachine, updating, "_waiting", _no_waiting),
        (machines.SetMachine, reading, "settled", _as_it_is),
        (machines.FlagMachine, updating, "_waiting", _no_waiting),
        (machines.FlagMachine, reading, "settled", _as_it_is),
        (machines.RegisterMachine, reading, "settled", _as_it_is),
        (machines.MapMachine, maps, "_reset", _keeps_inside),
        (machines.MapMachine, updating, "_waiting", _no_waiting),
    ],
)
def test_the_machine_turns_red_without(
    machine: type[TypesMachine], where: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(Violation):
        run_state_machine_as_test(machine, settings=BROKEN)


def test_the_machine_turns_red_where_a_client_replaces_what_its_coordinator_has_not_joined() -> None:
    with pytest.raises(Violation):
        run_state_machine_as_test(SetReplacing, settings=BROKEN)
