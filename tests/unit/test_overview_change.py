"""What changed between two overviews: who has the first and is told the change has the second."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.overview_change import change
from dynkv.core.overview_rows import Overview
from tests.unit.surveys import Told
from tests.unit.test_overview_words import clusters


def applied(before: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The dumb form of what the page does (page/model.js)."""
    after = before | {name: value for name, value in changed.items() if name not in ("pairs", "nodes", "log")}
    for name, keys in (("pairs", ("partition", "n", "a", "b")), ("nodes", ("id",))):
        rows = {tuple(row[key] for key in keys): row for row in before[name]}
        rows |= {tuple(row[key] for key in keys): row for row in changed.get(name, [])}
        after[name] = sorted(rows.values(), key=lambda row: [row[key] for key in keys])
    after["log"] = [*changed.get("log", []), *before["log"]][:200]
    return after


def plain(view: Overview) -> dict[str, Any]:
    """As JSON, without what is never told as a change."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(view))
    del made["leaves"]
    return made


@given(clusters(), st.integers(0, 5_000), st.integers(0, 2))
def test_the_change_makes_the_second_of_the_first(told: Told, later_ms: int, apart: int) -> None:
    before = told.overview()
    told.now_ms += later_ms
    if apart and told.facts.n > 1 and len(told.ids) > 1:
        a, b = sorted(told.facts.preference[0][:2])
        told.apart(0, a, b, apart)
    after = told.overview()
    changed = change(before, after)
    assert changed is not None
    if not changed:
        assert plain(before) | {"at_ms": 0} == plain(after) | {"at_ms": 0}
    else:
        assert applied(plain(before), msgspec.json.decode(msgspec.json.encode(changed))) == plain(after)


def test_nothing_is_told_of_what_only_got_older() -> None:
    told = Told().silent("n2", "down")
    before = told.overview()
    told.now_ms += 1_000
    assert change(before, told.overview()) == {}


def test_rows_that_are_gone_take_the_whole() -> None:
    before = Told(4, 8).overview()
    assert change(before, Told(4, 4).overview()) is None
    assert change(before, Told(3, 8).overview()) is None
    assert change(Told(3, 4).overview(), Told(3, 8).overview()) is not None
