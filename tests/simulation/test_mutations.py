"""Thirteen known ways to lose data, each put in once: the simulator finds every one of them, and within few seeds."""

import re

import pytest

from dynkv.sim import checkers
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.unit.sources import ROOT

PAGE = (ROOT / "deploy" / "simulation.md").read_text()

# By which checkers: one that fails for another reason is not understood.
FOUND_BY = {
    "node id as actor": {"dots", "quiet"},
    "only the new value replicated": {"lost", "converged"},
    "hint deleted though the record changed": {"owed", "kept"},
    "a fallback's not-found counted": {"not-found"},
    "tombstone reaped early": {"forgotten"},
    "tombstone reaped without asking the fallbacks": {"forgotten"},
    "acknowledgement before sync": {"durable"},
    "merge that depends on order": {"quiet", "lost", "converged"},
    "repair that overwrites": {"lost"},
    "tree not updated on merge": {"quiet", "converged"},
    "retry without write id": {"twice"},
    "hedged answer counted twice": {"durable", "stale", "not-found"},
    "new incarnation skipped": {"dots", "quiet"},
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_it_is_found(mutation: Mutation) -> None:
    caught = mutation.hunt(mutation.known)
    assert caught is not None, f"{mutation.name} was not found in {mutation.seeds} seeds from {mutation.known} on"
    assert caught.checker in FOUND_BY[mutation.name], f"seed {caught.seed}: {caught.failed}"


def test_the_table_is_whole() -> None:
    assert {mutation.name for mutation in MUTATIONS} == set(FOUND_BY)
    assert len(MUTATIONS) >= 13


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_same_lives_are_clean_without_it(mutation: Mutation) -> None:
    without = Mutation(
        "nothing",
        "",
        lambda patches: None,
        mutation.faults,
        1,
        nodes=mutation.nodes,
        seconds=mutation.seconds,
        operations=mutation.operations,
    )
    assert without.hunt(mutation.known) is None


def test_the_page_tells_of_each() -> None:
    for mutation in MUTATIONS:
        row = rf"\| {re.escape(mutation.name)} \| {', '.join(mutation.faults.split(','))} \| ([\w-]+), (\d+) \|"
        told = re.search(row, PAGE)
        assert told is not None, mutation.name
        assert told[1] in FOUND_BY[mutation.name]
        assert int(told[2]) <= mutation.seeds


def test_the_page_tells_of_each_judge_and_each_fault() -> None:
    judges = re.findall(r"^(?:    [a-z ]{18}| {22})([a-z-]+) +(?=\S)", str(checkers.__doc__), re.MULTILINE)
    assert len(judges) > 15
    assert [judge for judge in judges if not re.search(rf"^\| [\w, -]*\b{judge}\b", PAGE, re.MULTILINE)] == []
