"""A verdict as a page: what was done, what was found, and the picture. One file that needs nothing else."""

from collections.abc import Mapping

from dynkv.check.history import Anomaly, Fault, History
from dynkv.check.timeline import escaped, svg, told
from dynkv.check.verdict import Verdict

SHOWN_MAX = 200

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --line: #d5d9df; --ground: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #99a; --line: #3a4048; --ground: #15181c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
body { margin: 2rem; max-width: 1240px }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem }
.clean { color: #13803c } .anomalies { color: #c62828 } .unknown { color: #b26a00 }
@media (prefers-color-scheme: dark) { .clean { color: #5bd68a } .anomalies { color: #ff7b72 } }
@media (prefers-color-scheme: dark) { .unknown { color: #f0b429 } }
table { border-collapse: collapse } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top }
th { color: var(--soft); font-weight: 500 } td.n { text-align: right; font-variant-numeric: tabular-nums }
li { margin: .3rem 0 } .ops { color: var(--soft); font: 12px/1.4 ui-monospace, monospace; display: block }
.picture { overflow-x: auto; border: 1px solid var(--line); padding: .5rem }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft) } svg .name { text-anchor: end; fill: var(--ink) }
svg text.tick { text-anchor: middle } svg line.tick { stroke: var(--line) } svg rect.rate { fill: #8fa3b8 }
svg .ok.r { fill: #8ab6e6 } svg .ok.w { fill: #3f9d5f } svg .info { fill: #f0a020 } svg .fail { fill: #9aa3ad }
svg .odd { stroke: #d32f2f; stroke-width: 2 } svg line.anomaly { stroke: #d32f2f; stroke-dasharray: 3 2 }
svg .kill { fill: #b3403a } svg .pause { fill: #c98a2b } svg .cut { fill: #7b4fa3 } svg .slow { fill: #a99bd1 }
svg .flaky { fill: #c77fb0 } svg .disk { fill: #5b7f95 } svg .clock { fill: #4aa3a2 }
"""

SAID = {"clean": "Clean", "anomalies": "Anomalies", "unknown": "Unknown"}
LEGEND = (
    "Read: blue, write: green; orange: nobody knows whether it was done; grey: not done; outlined in red: part of an "
    "anomaly. Faults: kill red, pause ochre, cut violet, slow lavender, flaky pink, disk slate, clock teal."
)


def page(history: History, verdict: Verdict) -> str:
    """The whole file."""
    head = history.head
    title = f"dynkv check: {head.workload}, {SAID[verdict.state].lower()}"
    facts = {
        "workload": head.workload,
        "seed": head.seed,
        "nodes": ", ".join(head.nodes),
        "time": f"{head.seconds:g} s",
        "version": head.version,
    }
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escaped(title)}</title><style>{STYLE}</style>',
        f'<h1>{escaped(head.workload)}: <span class="{verdict.state}">{SAID[verdict.state]}</span></h1>',
        f"<p>{escaped(sentence(verdict))}</p>",
        _list("What keeps this from being proof", verdict.why),
        _anomalies(verdict.anomalies),
        f'<h2>Timeline</h2><div class="picture">{svg(history, verdict.anomalies)}</div><p>{LEGEND}</p>',
        _table("Run", facts),
        _table("Operations", verdict.operations),
        _table("Faults", verdict.faults),
        _list("Not possible", [_impossible(fault) for fault in history.faults if fault.impossible]),
        _list("Notes", list(head.notes)),
    ]
    return "\n".join(part for part in parts if part) + "\n</html>\n"


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if verdict.state == "anomalies":
        kinds = ", ".join(f"{count} × {kind}" for kind, count in verdict.kinds.items())
        return f"The cluster did not keep its word: {kinds}."
    if verdict.state == "unknown":
        return f"Nothing wrong was found, but that proves too little: {'; '.join(verdict.why)}."
    done = sum(count for name, count in verdict.operations.items() if name.endswith(" ok") and "final" not in name)
    faults = sum(verdict.faults.values())
    return f"Nothing wrong in {done:,} operations that were answered, under {faults} faults."


def _impossible(fault: Fault) -> str:
    return f"{fault.kind} {fault.target}: {fault.impossible}"


def _anomalies(anomalies: list[Anomaly]) -> str:
    if not anomalies:
        return ""
    items = []
    for anomaly in anomalies[:SHOWN_MAX]:
        ops = "".join(f'<span class="ops">{escaped(told(op))}</span>' for op in anomaly.ops[:8])
        what = f"<b>{escaped(anomaly.kind)}</b> {escaped(anomaly.key)}: {escaped(anomaly.detail)}"
        items.append(f"<li>{what}{ops}</li>")
    more = len(anomalies) - SHOWN_MAX
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<h2>Anomalies</h2><ol>{''.join(items)}</ol>{rest}"


def _list(title: str, items: list[str]) -> str:
    if not items:
        return ""
    return f"<h2>{escaped(title)}</h2><ul>{''.join(f'<li>{escaped(item)}</li>' for item in items)}</ul>"


def _table(title: str, rows: Mapping[str, str | int]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><th>{escaped(name)}</th>"
        + (f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{escaped(value)}</td>")
        + "</tr>"
        for name, value in rows.items()
    )
    return f"<h2>{escaped(title)}</h2><table>{cells}</table>"
