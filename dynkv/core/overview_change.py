"""What changed between two overviews: all that somebody needs who has the first and wants the second.

A change is a dictionary of the overview's own members that differ. Of `pairs` and `nodes` it has the rows that differ,
of `log` the rows that are new, newest first; the other members stand whole. `leaves` is never in it: whoever looks at a
partition asks for them. Rows do not go, as members and partitions are fixed; where they do all the same, there is no
change to be told, and the overview has to be sent whole.
"""

from collections.abc import Iterable
from typing import Any

from dynkv.core.overview_rows import LogRow, NodeRow, Overview, PairRow

_WHOLE = ("verdict", "estimate", "counts", "cycle_s", "hints", "running", "totals", "convergence", "tombstones")


def change(before: Overview, after: Overview) -> dict[str, Any] | None:
    """From `before` to `after`; {} if they are equal but for their time, None if it takes the whole overview."""
    pairs = {_pair_key(pair): pair for pair in before.pairs}
    nodes = {node.id: node for node in before.nodes}
    if not (_still_there(pairs, map(_pair_key, after.pairs)) and _still_there(nodes, (n.id for n in after.nodes))):
        return None
    changed: dict[str, Any] = {
        name: getattr(after, name) for name in _WHOLE if getattr(after, name) != getattr(before, name)
    }
    differing_pairs = [pair for pair in after.pairs if pairs.get(_pair_key(pair)) != pair]
    differing_nodes = [node for node in after.nodes if nodes.get(node.id) != node]
    new_rows = _new_rows(before.log, after.log)
    if differing_pairs:
        changed["pairs"] = differing_pairs
    if differing_nodes:
        changed["nodes"] = differing_nodes
    if new_rows:
        changed["log"] = new_rows
    if changed:
        changed["at_ms"] = after.at_ms
    return changed


def _pair_key(pair: PairRow) -> tuple[int, int, str, str]:
    return (pair.partition, pair.n, pair.a, pair.b)


def _still_there(before: dict[Any, PairRow] | dict[Any, NodeRow], after: Iterable[Any]) -> bool:
    return before.keys() <= set(after)


def _new_rows(before: tuple[LogRow, ...], after: tuple[LogRow, ...]) -> list[LogRow]:
    known = {row.id for row in before}
    return [row for row in after if row.id not in known]
