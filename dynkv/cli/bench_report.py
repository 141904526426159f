"""How the result of `dynkv bench` is printed."""

import sys

import msgspec

from dynkv.cli.bench_run import Result
from dynkv.cli.load import Report
from dynkv.cli.options import Output


def write(result: Result, output: Output) -> None:
    """One JSON object, or a table, to standard output."""
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    where = f"{len(result.targets)} nodes" + (f", {result.durability}" if result.durability else "")
    table = Table(box=None, pad_edge=False)
    compared = result.baseline is not None
    names = ["", "req/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "failed", "client µs"]
    for name in [*names, "ratio"] if compared else names:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    if result.baseline is not None:
        table.add_row("bare", *_cells(result.baseline), "1.00")
    for run in result.runs:
        table.add_row(run.mode, *_cells(run.report), *([] if run.ratio is None else [f"{run.ratio:.2f}"]))
    console = Console(highlight=False)
    console.print(f"{where}; values of {result.value_bytes} bytes; {result.connections} connections")
    console.print(table)
    legend = "client µs: processor time of the generator per request"
    console.print(f"{legend}; ratio: rate to that of the bare server" if compared else legend)
    for run in result.runs:
        if run.report.failed:
            console.print(f"{run.mode}: failed: {_failures(run.report)}")


def _cells(report: Report) -> list[str]:
    latency = report.latency
    times = [f"{ms:.2f}" for ms in (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms)]
    return [f"{report.rate:,.0f}", *times, str(report.failed), f"{report.client_us:.1f}"]


def _failures(report: Report) -> str:
    bad = {f"status {status}": count for status, count in report.statuses.items() if not status.startswith("2")}
    return ", ".join(f"{count} × {what}" for what, count in (bad | report.errors).items())
