"""`dynkv chaos`: a bad network on purpose, between nodes or between clients and nodes."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.options import Output, OutputOption

CONTROL_DEFAULT = "127.0.0.1:8100"

HELP = """Make the network bad on purpose, and see what the cluster does.

For example, in one terminal and then in another:

  dynkv up --dir ./cluster --chaos
  dynkv chaos cut n3
  dynkv chaos set n1:n2 --delay 200ms --jitter 50ms
  dynkv chaos status
  dynkv chaos heal

WAYS names what one end sends to another: n1:n2 is all that n1 sends to n2,
requests and answers. `*` stands for any end, a bare name for all ways from
it and to it, and `all` for all. A cut is silent: connections stay open, and
what was sent waits until the cut is healed.
"""

PROXY_HELP = """Stand between two addresses, and carry TCP from one to the other.

For example, between clients and a node, and from another terminal:

  dynkv chaos proxy --listen 127.0.0.1:7101 --to 127.0.0.1:8101 --delay 50ms
  dynkv chaos reset server:client --after-bytes 0

Between nodes give --frames, so that single messages can be lost, doubled or
overtaken; then the node that connects must know the other at --listen (in
its --members). Rules given here hold both ways from the beginning.

A script (--script) has a line for each order, with its time in front:

  2s    cut client:server
  2.5s  set server:client --rate 64k
  10s   heal all
"""

SET_HELP = """Change some rules of some ways; the others stay as they are.

For example:

  dynkv chaos set n1:n2 --delay 100ms --jitter 20ms
  dynkv chaos set all --drop 20% --duplicate 10% --reorder 50%
"""

CUT_HELP = """Let nothing through; connections stay open, and what is sent waits.

For example, what n1 sends to n2 and not what n2 sends, and a node alone:

  dynkv chaos cut n1:n2
  dynkv chaos cut n3
"""

HEAL_HELP = """Make the ways good again: no rules, no cut. What waited arrives.
"""

RESET_HELP = """Break connections with RST, both ends; now, or in place of what comes later.

For example, n1 is to apply the next message and its answer to be lost:

  dynkv chaos reset n1:n2 --after-frames 0
"""

STATUS_HELP = """Say what is the matter with each way, and what became of what was sent.
"""

RUN_HELP = """Give the orders of a script, each at its time.

A line is a time since the start and an order, as on this command line:

  2s  cut n1:n2
  5s  heal all
"""

_PROXY = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.ADDRESS_IN_USE)
_ORDER = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.UNREACHABLE)

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")

Ways = Annotated[str, typer.Argument(metavar="WAYS", help="Such as n1:n2, n1:*, n3 or all.")]
ControlOption = Annotated[
    str, typer.Option("--control", envvar="DYNKV_CHAOS", metavar="HOST:PORT", help="Where orders are taken.")
]
Delay = Annotated[
    str | None, typer.Option("--delay", metavar="TIME", help="Everything comes so much later: 100ms, 2s.")
]
Jitter = Annotated[str | None, typer.Option("--jitter", metavar="TIME", help="And up to so much more, in order.")]
Rate = Annotated[str | None, typer.Option("--rate", metavar="BYTES", help="In a second: 4096, 64k; 0 for no bound.")]
Drop = Annotated[str | None, typer.Option("--drop", metavar="PART", help="Of the frames are lost: 20%, 0.2.")]
Duplicate = Annotated[str | None, typer.Option("--duplicate", metavar="PART", help="Of the frames come twice.")]
Reorder = Annotated[str | None, typer.Option("--reorder", metavar="PART", help="Of the frames may be overtaken.")]
ReorderBy = Annotated[str | None, typer.Option("--reorder-by", metavar="TIME", help="By so much at most (50ms).")]


@app.command(help=PROXY_HELP, epilog=_PROXY)
def proxy(
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to be connected to.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="Where that leads.")],
    names: Annotated[
        str, typer.Option("--names", metavar="FROM:TO", help="What the two ends are called.")
    ] = "client:server",
    frames: Annotated[bool, typer.Option("--frames", help="It is the protocol between nodes: see its frames.")] = False,
    control: ControlOption = CONTROL_DEFAULT,
    script: Annotated[Path | None, typer.Option("--script", metavar="FILE", help="Orders, each at its time.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="The same lots for the same frames.")] = None,
    delay: Delay = None,
    jitter: Jitter = None,
    rate: Rate = None,
    drop: Drop = None,
    duplicate: Duplicate = None,
    reorder: Reorder = None,
    reorder_by: ReorderBy = None,
) -> None:
    from dynkv.chaos import words
    from dynkv.chaos.network import Door
    from dynkv.chaos.rules import BadOrder
    from dynkv.cli import chaos_proxy

    rules = _rules(delay, jitter, rate, drop, duplicate, reorder, reorder_by)
    source, colon, end = names.partition(":")
    if not (source and colon and end) or source == end:
        raise Failure(Exit.USAGE, f"--names {names!r} is not FROM:TO")
    try:
        first = [words.set_of("all", rules)] if any(rules.values()) else []
        lines = chaos_proxy.script(script) if script is not None else []
        chaos_proxy.run(Door(source, end, listen, to), first, lines, control=control, frames=frames, seed=seed)
    except (BadOrder, ValueError) as error:
        raise Failure(Exit.USAGE, str(error)) from error


@app.command("set", help=SET_HELP, epilog=_ORDER)
def set_(
    ways: Ways,
    control: ControlOption = CONTROL_DEFAULT,
    delay: Delay = None,
    jitter: Jitter = None,
    rate: Rate = None,
    drop: Drop = None,
    duplicate: Duplicate = None,
    reorder: Reorder = None,
    reorder_by: ReorderBy = None,
) -> None:
    from dynkv.chaos import words
    from dynkv.chaos.rules import BadOrder

    try:
        order = words.set_of(ways, _rules(delay, jitter, rate, drop, duplicate, reorder, reorder_by))
    except BadOrder as error:
        raise Failure(Exit.USAGE, str(error)) from error
    _give(control, order)


def _rules(*given: str | None) -> dict[str, str | None]:
    """The options of `set`, by name; given in the order of the words' table."""
    from dynkv.chaos.words import RULES

    return dict(zip(RULES, given, strict=True))


@app.command(help=CUT_HELP, epilog=_ORDER)
def cut(ways: Ways, control: ControlOption = CONTROL_DEFAULT) -> None:
    from dynkv.chaos.rules import Set

    _give(control, Set(ways, cut=True))


@app.command(help=HEAL_HELP, epilog=_ORDER)
def heal(ways: Ways = "all", control: ControlOption = CONTROL_DEFAULT) -> None:
    from dynkv.chaos.rules import Heal

    _give(control, Heal(ways))


@app.command(help=RESET_HELP, epilog=_ORDER)
def reset(
    ways: Ways,
    control: ControlOption = CONTROL_DEFAULT,
    after_frames: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="In place of the frame after N more.")
    ] = None,
    after_bytes: Annotated[int | None, typer.Option(min=0, metavar="N", help="After N more bytes.")] = None,
) -> None:
    from dynkv.chaos.rules import Reset

    _give(control, Reset(ways, after_frames, after_bytes))


@app.command(help=STATUS_HELP, epilog=_ORDER)
def status(control: ControlOption = CONTROL_DEFAULT, output: OutputOption = Output.TEXT) -> None:
    from dynkv.cli import chaos_proxy

    told = chaos_proxy.ask(control)
    if output is Output.JSON:
        print(json.dumps(told))
        return
    for way in told["ways"]:
        print(chaos_proxy.line_of(way))


@app.command(help=RUN_HELP, epilog=_ORDER)
def run(
    file: Annotated[Path, typer.Argument(metavar="SCRIPT", help="Its file.")], control: ControlOption = CONTROL_DEFAULT
) -> None:
    from dynkv.chaos.rules import BadOrder
    from dynkv.cli import chaos_proxy

    try:
        lines = chaos_proxy.script(file)
    except BadOrder as error:
        raise Failure(Exit.USAGE, f"{file}: {error}") from error
    chaos_proxy.follow(lines, lambda order: _give(control, order))


def _give(control: str, order: Any) -> None:
    from dynkv.cli import chaos_proxy

    print(f"{chaos_proxy.told(order)}: {', '.join(chaos_proxy.give(control, order))}", flush=True)
