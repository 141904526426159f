"""deploy/faults.md points to tests that are there."""

import ast
import re

from dynkv.check.chances import KINDS
from dynkv.check.verdict import WORKLOADS
from tests.unit.sources import ROOT

PAGE = (ROOT / "deploy" / "faults.md").read_text()
NAMED = re.compile(r"`([a-z]+/test_\w+\.py)::(\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 60
    missing = []
    for file, test in named:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        if test not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{test}")
    assert missing == []


def test_every_row_names_a_test() -> None:
    tables = PAGE.split("## Trying it on a cluster")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| what ")]
    rows = [row for row in rows if not row.startswith("| ---")]
    assert len(rows) == 36
    assert [row for row in rows if not NAMED.search(row)] == []


def test_every_workload_and_fault_is_told() -> None:
    told = PAGE.split("## Trying it on a cluster")[1]
    assert all(f"| {workload} |" in told for workload in WORKLOADS)
    assert all(re.search(rf"\| [\w, ]*\b{kind}\b[\w, ]* \|", told) for kind in KINDS)
