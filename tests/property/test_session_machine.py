"""The session machine, whole and with one rule broken at a time: each broken one must turn red."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dynkv.core.record import Record, Vector, union
from dynkv.core.search import Search
from dynkv.core.session import Demand, Session
from tests.property.causality_oracle import Violation
from tests.property.session_world import PRIMARIES, TOKENS, SessionMachine, View

WHOLE = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# The same draws in every run: red once, red for good. Nothing is shrunk; that it is red is all that is asked.
BROKEN = settings(
    WHOLE, max_examples=4000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False
)


class TakesWhatRSay(SessionMachine):
    """A read shows what r replicas say, whatever its session has seen."""

    searches = False


class WritesWhereItLikes(SessionMachine):
    """A write is coordinated by a copy that does not know what its session has seen."""

    catches_up = False


class AsksPrimariesOnly(SessionMachine):
    """That no primary has it is taken for "nowhere"."""

    def look(self, demand: Demand, record: Record | None) -> Search:
        return Search(demand.vector, [str(node) for node in PRIMARIES], [], record)


class AsksOnce(SessionMachine):
    """Copies that move while they are looked for are not looked for again."""

    def given_up(self, search: Search) -> bool:
        return not search.awaited and not search.silence


class KeepsTheOwnValue(SessionMachine):
    """A session's second write stands beside its first."""

    def own_of(self, demand: Demand) -> Vector:
        return ()


class ReplacesWhatItRead(SessionMachine):
    """A write without a context replaces all that its session has seen."""

    def coordinate(
        self, key: bytes, node: int, context: Vector, demand: Demand, write_id: bytes, deletes: bool
    ) -> tuple[int, int]:
        return super().coordinate(key, node, union(context, demand.vector), demand, write_id, deletes)


class OwnValuesAsAVector(SessionMachine):
    """The session's own dots are put into the context, where each covers those below it, too."""

    def coordinate(
        self, key: bytes, node: int, context: Vector, demand: Demand, write_id: bytes, deletes: bool
    ) -> tuple[int, int]:
        return super().coordinate(key, node, union(context, demand.own), demand, write_id, deletes)


class TheLastTokenWins(SessionMachine):
    """Of requests that were sent side by side only the last answer counts."""

    def session_of(self, views: Sequence[View]) -> Session:
        return TOKENS.parse(views[-1].token)


def test_the_guarantees_hold() -> None:
    run_state_machine_as_test(SessionMachine, settings=WHOLE)


@pytest.mark.parametrize(
    "broken",
    [
        TakesWhatRSay,
        WritesWhereItLikes,
        AsksPrimariesOnly,
        AsksOnce,
        KeepsTheOwnValue,
        ReplacesWhatItRead,
        OwnValuesAsAVector,
        TheLastTokenWins,
    ],
    ids=lambda machine: machine.__name__,
)
def test_the_oracle_turns_red_without(broken: type[SessionMachine]) -> None:
    with pytest.raises(Violation):
        run_state_machine_as_test(broken, settings=BROKEN)
