"""What came of the demo."""

import sys

import msgspec

from dynkv.cli.load.latency import Latency
from dynkv.cli.options import Output


class Summary(msgspec.Struct, frozen=True):
    """One object with all figures; times in ms where the name does not say otherwise."""

    ok: bool
    acknowledged: int
    lost: int
    refused: int
    wrong_reads: int
    requests: int
    retried: int
    availability: float
    longest_gap_ms: float
    latency: dict[str, Latency]
    conflicts_resolved: int
    hints_peak: int
    hints_paid: int
    handoff_ms: float | None
    refilled_keys: int
    refill_ms: float | None
    checked_reads: int
    late_reads: int
    killed: str
    seconds: float
    nodes: list[dict[str, str | int]] | None
    """Only with --keep: id, pid and URL of each."""
    directory: str | None
    complaints: list[str]


def write(summary: Summary, output: Output) -> None:
    """One JSON object, or a report for people, to standard output."""
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    for name, said in _rows(summary):
        table.add_row(name, escape(said))
    console.print(table)
    for complaint in summary.complaints:
        console.print(f"! {escape(complaint)}")
    for node in summary.nodes or ():
        console.print(f"{node['id']}  pid {node['pid']}  {node['http']}")
    if summary.nodes:
        pids = " ".join(str(node["pid"]) for node in summary.nodes)
        console.print(f"The cluster stays up in {summary.directory}; stop it with: kill {pids}")
    verdict = "[green]Nothing lost, nobody refused.[/]" if summary.ok else "[red]Something was lost or refused.[/]"
    console.print(verdict)


def _refill(summary: Summary) -> str:
    took = "not finished" if summary.refill_ms is None else f"in {summary.refill_ms:,.0f} ms"
    return f"{summary.refilled_keys:,} keys of the deleted data directory back {took}, by comparison"


def _rows(summary: Summary) -> list[tuple[str, str]]:
    handed = "not finished" if summary.handoff_ms is None else f"in {summary.handoff_ms:,.0f} ms"
    rows = [
        ("requests", f"{summary.requests:,}; {summary.retried} retried on another node, {summary.refused} refused"),
        ("availability", f"{summary.availability * 100:.3f} %"),
        ("longest gap", f"{summary.longest_gap_ms:.0f} ms without an answer around the kills of {summary.killed}"),
    ]
    rows += [
        (f"latency {phase}", f"p50 {latency.p50_ms:.2f} ms, p99 {latency.p99_ms:.2f} ms, max {latency.max_ms:.1f} ms")
        for phase, latency in summary.latency.items()
    ]
    rows += [
        ("conflicts", f"{summary.conflicts_resolved} made and resolved"),
        ("hints", f"{summary.hints_peak:,} at most, {summary.hints_paid:,} paid {handed}"),
        ("refill", _refill(summary)),
        ("checked", f"{summary.checked_reads:,} reads: every key, every node, r=1 and r=3; {summary.late_reads} late"),
        ("acknowledged", f"{summary.acknowledged:,} writes; {summary.lost} lost, {summary.wrong_reads} wrong reads"),
        ("took", f"{summary.seconds:.1f} s"),
    ]
    return rows
