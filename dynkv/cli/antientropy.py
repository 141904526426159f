"""`dynkv antientropy`: how far the replicas agree, having them compared, and watching them come to agree."""

import json
import sys
from typing import Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption

HELP = """See how far the replicas agree, and have them compared.

For example:

  dynkv antientropy status
  dynkv antientropy run --node n2
  dynkv antientropy watch --until-agree

Replicas are compared by themselves, each pair within a cycle (60 s unless
set otherwise), and what differs is repaired. Nothing has to be run for that.
"""

STATUS_HELP = """Say how far the replicas agree, as all nodes tell it together.

Exit code 0 only if everything was checked of late and is equal; what could
not be checked is unknown, which is not good.
"""

RUN_HELP = """Have replicas compared now, and what differs repaired.

All pairs, or only those of one partition, or those that one node is in; by
whichever node compares them. Returns when that has begun; watch shows it.
"""

WATCH_HELP = """Show how far the replicas agree, and how that changes, until Ctrl-C.

With --until-agree it ends when they do. If the node stops answering it goes
on trying, and says that what it shows is old.
"""

STATUS_EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)
RUN_EPILOG = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)
WATCH_EPILOG = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")

Partition = Annotated[int | None, typer.Option("--partition", min=0, metavar="K", help="Only this partition.")]


@app.command(help=STATUS_HELP, epilog=STATUS_EPILOG)
def status(url: UrlOption = URL_DEFAULT, partition: Partition = None, output: OutputOption = Output.TEXT) -> None:
    from dynkv.cli import agreement, agreement_text

    if partition is None:
        told = agreement.look(url)
        good = agreement.is_good(agreement.overview(told))
        text = agreement_text.cluster
    else:
        told = agreement.look(url, partition)
        good = all(pair["state"] == "in_step" for pair in told["pairs"])
        text = agreement_text.partition
    if output is Output.JSON:
        print(json.dumps(told, indent=2))
    else:
        agreement_text.console().print(text(told))
    if not good:
        raise typer.Exit(Exit.NO)


@app.command(help=RUN_HELP, epilog=RUN_EPILOG)
def run(
    url: UrlOption = URL_DEFAULT,
    partition: Partition = None,
    node: Annotated[str | None, typer.Option("--node", metavar="ID", help="Only with this node.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli import agreement
    from dynkv.core.phrases import count, names

    told = agreement.run(url, partition, node)
    if output is Output.JSON:
        print(json.dumps(told, indent=2))
    else:
        begun, silent = sum(told[name] or 0 for name in told), [name for name in told if told[name] is None]
        print(f"{count(begun, 'comparison')} begun{f'; no answer of {names(silent)}' if silent else ''}")


@app.command(help=WATCH_HELP, epilog=WATCH_EPILOG)
def watch(
    url: UrlOption = URL_DEFAULT,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between looks.")] = 1.0,
    until_agree: Annotated[bool, typer.Option("--until-agree", help="End when all replicas agree.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.agreement_watch import JsonLines, Lines, Screen, follow

    if output is Output.JSON:
        shown: JsonLines | Lines | Screen = JsonLines(sys.stdout)
    elif sys.stdout.isatty():
        shown = Screen()
    else:
        shown = Lines(sys.stdout)
    try:
        with shown:
            follow(url, interval, until_agree, shown)
    except KeyboardInterrupt:
        pass  # the usual end
