"""An overview for people at a terminal: the sentence, then tables. What is data is never taken for markup."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynkv.cli.agreement import overview
from dynkv.core.overview_pairs import by_nodes, oldest_unknown
from dynkv.core.overview_rows import Estimate, NodeRow, Overview
from dynkv.core.phrases import age, count, duration

# A sign for each state beside its colour.
SIGNS = {"agree": ("✓", "green"), "apart": ("≠", "yellow"), "unknown": ("?", "cyan"), "down": ("!", "red")}
LOG_ROWS = 8
PAIR_ROWS = 12

STATES = {"in_step": "in step", "apart": "apart", "unknown": "unknown", "never": "not compared yet"}


def console() -> Console:
    """Where it is printed; of a fixed width where it is no terminal."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)


def cluster(told: dict[str, Any]) -> RenderableType:
    """All of it."""
    view = overview(told)
    parts: list[RenderableType] = [sentence(view), Text(), _nodes(view), Text(), _pairs(view)]
    for part in (_apart(view), _hints(view), _running(view), _log(view)):
        if part is not None:
            parts += [Text(), part]
    return Group(*parts)


def sentence(view: Overview) -> Text:
    """The judgement, what else is to be said, and how long it will take."""
    sign, colour = SIGNS.get(view.verdict.state, ("-", "default"))
    text = Text.assemble((f"{sign} ", f"bold {colour}"), (view.verdict.text, "bold"))
    for also in view.verdict.also:
        text.append(f"\n  {also}")
    words = _estimate(view.estimate)
    return text.append(f"\n  {words}") if words else text


def partition(told: dict[str, Any]) -> RenderableType:
    """One partition."""
    primaries = ", ".join(told["primaries"])
    title = Text.assemble(("Partition ", "bold"), (str(told["partition"]), "bold"), f": replicas on {primaries}")
    rows = (
        (
            f"{pair['a']} and {pair['b']}",
            _state(pair),
            age(pair["compared_ms"], told["at_ms"]),
            pair["by"] or "-",
            _leaves(pair, told["leaves"]),
        )
        for pair in told["pairs"]
    )
    return Group(title, Text(), _table(("pair", "state", "compared", "by", "leaves that differed"), rows))


def _estimate(found: Estimate) -> str:
    if found.seconds is None:
        return f"when all replicas will agree cannot be said: {found.why}"
    return f"all replicas should agree in about {duration(found.seconds)}" if found.seconds else ""


def _nodes(view: Overview) -> Table:
    head = ("node", "state", "reads/s", "writes/s", "link", "replicas", "trees", "owed")
    return _table(head, (_node(row) for row in view.nodes), (2, 3, 4, 5, 7))


def _node(row: NodeRow) -> Sequence[str]:
    load, trees = row.load or {}, row.trees
    state = row.why if row.state == "silent" else row.state
    if row.refill is not None:
        state = f"refilled {row.refill['done']} of {row.refill['total']}"
    elif row.not_ready:
        state = "; ".join(row.not_ready)
    exact = "?"
    if trees is not None:
        total = trees["exact"] + trees["building"] + trees["unreadable"]
        exact = "exact" if trees["exact"] == total else f"{trees['exact']} of {total}"
    link = "-" if row.latency_ms is None else f"{row.latency_ms:.1f} ms"
    rates = (f"{load[name]:,.0f}" if load else "?" for name in ("reads_per_s", "writes_per_s"))
    return (row.id, state, *rates, link, str(row.replicas), exact, f"{row.owed:,}")


def _pairs(view: Overview) -> Table:
    head = ("replicas of", "pairs", "in step", "apart", "keys apart", "unknown", "not yet", "oldest")
    rows = (
        (
            f"{row.a} and {row.b}",
            *(
                f"{number:,}"
                for number in (row.counts.total, row.counts.in_step, row.counts.apart, row.counts.keys_apart)
            ),
            *(f"{number:,}" for number in (row.counts.unknown, row.counts.never)),
            age(row.counts.oldest_ms, view.at_ms, oldest_unknown(row.counts)),
        )
        for row in by_nodes(view.pairs)
    )
    return _table(head, rows, range(1, 8))


def _apart(view: Overview) -> Table | None:
    apart = sorted((pair for pair in view.pairs if pair.state == "apart"), key=lambda pair: -pair.apart)
    if not apart:
        return None
    rows = [
        (str(pair.partition), f"{pair.a} and {pair.b}", f"{pair.apart:,}", age(pair.compared_ms, view.at_ms))
        for pair in apart[:PAIR_ROWS]
    ]
    if len(apart) > PAIR_ROWS:
        rows.append(("...", f"and {count(len(apart) - PAIR_ROWS, 'other pair')}", "", ""))
    return _table(("partition", "pair", "keys apart", "compared"), rows, (2,))


def _hints(view: Overview) -> Table | None:
    rows = [
        (row.target, f"{row.count:,}", f"{row.bytes:,}", age(row.oldest_ms, view.at_ms), f"{row.paid_per_s:,.0f}")
        for row in view.hints
        if row.count
    ]
    return _table(("owed to", "writes", "bytes", "oldest", "paid/s"), rows, (1, 2, 4)) if rows else None


def _running(view: Overview) -> Table | None:
    rows = [
        (
            f"{row.by} and {row.peer}",
            str(row.partition),
            row.step,
            f"{row.done:,} of {row.total:,}" if row.total else "",
        )
        for row in view.running
    ]
    return _table(("exchange", "partition", "step", "done"), rows) if rows else None


def _log(view: Overview) -> Table | None:
    rows = [
        (
            datetime.fromtimestamp(row.ended_ms / 1000).strftime("%H:%M:%S"),
            row.what,
            row.node if row.peer is None else f"{row.node} and {row.peer}",
            "-" if row.partition is None else str(row.partition),
            f"{row.pulled:,}",
            f"{row.pushed:,}",
            f"{row.bytes:,}",
            f"{row.took_ms:,} ms",
            row.result,
        )
        for row in view.log[:LOG_ROWS]
    ]
    head = ("time", "what", "nodes", "partition", "pulled", "pushed", "bytes", "took", "result")
    return _table(head, rows, (3, 4, 5, 6, 7)) if rows else None


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place in numbers else "left", header_style="dim")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _state(pair: dict[str, Any]) -> str:
    if pair["state"] == "apart" and pair["apart"]:
        return f"{count(pair['apart'], 'key')} apart"
    return f"{STATES[pair['state']]}: {pair['why']}" if pair["why"] else STATES[pair["state"]]


def _leaves(pair: dict[str, Any], leaves: Sequence[dict[str, Any]]) -> str:
    for row in leaves:
        if (row["a"], row["b"], row["n"]) == (pair["a"], pair["b"], pair["n"]):
            more = f" and {row['total'] - len(row['leaves'])} more" if row["total"] > len(row["leaves"]) else ""
            return ", ".join(str(leaf) for leaf in row["leaves"]) + more
    return ""
