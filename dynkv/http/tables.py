"""The overview as plain HTML, for whoever has no script: tables, and all that is data escaped.

The script of the page replaces what is inside the sections; both say the same of a cluster.
"""

from collections.abc import Iterable, Sequence
from html import escape

from dynkv.core.overview_pairs import by_nodes, oldest_unknown
from dynkv.core.overview_rows import Estimate, HintRow, LogRow, NodeRow, Overview, PairCounts
from dynkv.core.phrases import age, count, duration
from dynkv.http.dates import http_date

LOG_ROWS = 20

NUMBER = ' class="number"'

STATES = {
    "up": "answers",
    "silent": "does not say how it is",
    "suspected": "suspected to be down",
    "down": "down",
    "unheard": "never heard of",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """Of texts. Columns from `numbers_from` on are numbers; each cell says its column, which a narrow screen shows."""

    def cell(place: int, text: str) -> str:
        if place == 0:
            return f'<th scope="row">{escape(text)}</th>'
        return f'<td{NUMBER if place >= numbers_from else ""} data-name="{escape(head[place])}">{escape(text)}</td>'

    heads = "".join(
        f'<th scope="col"{NUMBER if place >= numbers_from else ""}>{escape(name)}</th>'
        for place, name in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(cell(*item) for item in enumerate(row))}</tr>\n" for row in rows)
    return f'<table class="rows"><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table>'


def nodes(view: Overview) -> str:
    head = ("node", "state", "zone", "replicas", "reads/s", "writes/s", "trees", "owed to it")
    return table(head, (_node(row) for row in view.nodes), 3)


def pairs(view: Overview) -> str:
    head = ("replicas of", "pairs", "in step", "apart", "keys apart", "unknown", "not yet", "oldest comparison")
    return table(head, ((f"{row.a} and {row.b}", *_counted(row.counts, view)) for row in by_nodes(view.pairs)))


def hints(view: Overview) -> str:
    if not any(row.count for row in view.hints):
        return "<p>Nothing is owed to anybody.</p>"
    return table(("owed to", "writes", "bytes", "oldest", "paid/s"), (_hint(row, view) for row in view.hints))


def log(view: Overview) -> str:
    if not view.log:
        return "<p>Nothing was repaired yet.</p>"
    head = ("time", "what", "nodes", "partition", "pulled", "pushed", "bytes", "took", "result")
    return table(head, (_entry(row) for row in view.log[:LOG_ROWS]), 3)


def estimate(found: Estimate) -> str:
    """In words, escaped."""
    if found.seconds is None:
        return escape(f"When all replicas will agree cannot be said: {found.why}.")
    if found.seconds == 0:
        return ""
    return escape(f"All replicas should agree in about {duration(found.seconds)}.")


def _node(row: NodeRow) -> Sequence[str]:
    load, trees = row.load, row.trees
    state = STATES[row.state]
    if row.refill is not None:
        state = f"being refilled, {row.refill['done']} of {row.refill['total']}"
    elif row.not_ready:
        state = "; ".join(row.not_ready)
    return (
        row.id,
        state,
        row.zone,
        str(row.replicas),
        "?" if load is None else f"{load['reads_per_s']:,.0f}",
        "?" if load is None else f"{load['writes_per_s']:,.0f}",
        "?" if trees is None else _trees(trees["exact"], trees["exact"] + trees["building"] + trees["unreadable"]),
        f"{row.owed:,}",
    )


def _trees(exact: int, total: int) -> str:
    return "exact" if exact == total else f"{exact:,} of {total:,} exact"


def _counted(found: PairCounts, view: Overview) -> Sequence[str]:
    numbers = (found.total, found.in_step, found.apart, found.keys_apart, found.unknown, found.never)
    return (*(f"{number:,}" for number in numbers), age(found.oldest_ms, view.at_ms, oldest_unknown(found)))


def _hint(row: HintRow, view: Overview) -> Sequence[str]:
    return (row.target, f"{row.count:,}", f"{row.bytes:,}", age(row.oldest_ms, view.at_ms), f"{row.paid_per_s:,.0f}")


def _entry(row: LogRow) -> Sequence[str]:
    return (
        http_date(row.ended_ms // 1000),
        row.what,
        row.node if row.peer is None else f"{row.node} and {row.peer}",
        "" if row.partition is None else str(row.partition),
        f"{row.pulled:,}",
        f"{row.pushed:,}",
        f"{row.bytes:,}",
        f"{row.took_ms:,} ms",
        row.result,
    )


def about(view: Overview) -> str:
    """The line on top, escaped."""
    parts = (
        count(len(view.nodes), "node"),
        count(view.partitions, "partition"),
        count(view.n, "replica") + " of each key",
    )
    return escape(f"{view.node} · {' · '.join(parts)}")
