"""`dynkv status`: the nodes as they see each other, what is owed to whom, and how loaded they are."""

import sys
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption

HELP = """Show the nodes of a cluster: who suspects whom, hints owed, and load.

Asks the node at --url who the others are, and then each of them. A node that
does not answer is shown as this one sees it. Exit code 1 unless all answer
and nobody suspects anybody.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.UNREACHABLE)


def status(
    url: UrlOption = URL_DEFAULT,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds over which the rates are taken.")] = 0.5,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli import cluster_view

    view = cluster_view.look(url, interval)
    if output is Output.JSON:
        import json

        print(json.dumps(view, indent=2))
    else:
        _write(view)
    if not view["healthy"]:
        raise typer.Exit(Exit.NO)


def _write(view: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("node", "HTTP", "state", "suspected by"):
        table.add_column(name, no_wrap=True)
    for name in ("owed", "reads/s", "writes/s", "memory", "stall"):
        table.add_column(name, justify="right", no_wrap=True)
    for node in view["nodes"]:
        owed = node["hints_owed"]
        table.add_row(
            node["id"],
            node["http"] or "?",
            node["state"],
            ", ".join(node["suspected_by"]) or "-",
            f"{owed['count']:,}",
            *_load(node["load"]),
        )
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    console.print(table)
    for node in view["nodes"]:
        if node["state"] != "up":
            console.print(f"{node['id']} does not answer; {view['asked']} sees it as {node['seen']['state']}")
        if node["hints_owed"]["count"]:
            console.print(f"{node['id']} is owed records for {node['hints_owed']['oldest_age_s']:.0f} s")
        for reason in node["not_ready"]:
            console.print(f"{node['id']} is not ready: {escape(reason)}")


def _load(load: dict[str, float] | None) -> list[str]:
    if load is None:
        return ["?"] * 4
    return [
        f"{load['reads_per_s']:,.0f}",
        f"{load['writes_per_s']:,.0f}",
        f"{load['memory_bytes'] / 2**20:.0f} MB",
        f"{load['stall_p999_ms']:.1f} ms",
    ]
