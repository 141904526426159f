"""The commands, put together. Their modules import what they need when they are called, so --help is quick."""

import sys
from typing import Annotated

import typer

import dynkv
from dynkv.cli import (
    antientropy,
    bench,
    chaos,
    check,
    demo,
    exit_codes,
    kv,
    kv_keys,
    kv_resolve,
    serve,
    simulate,
    status,
    transfer_commands,
    up,
)
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.core.errors import StartError

HELP = """A leaderless, eventually consistent key-value store that does not lose writes.

See it lose a node and nothing else: dynkv demo

Run three nodes on this machine, write, and read:

  dynkv up --nodes 3 --dir ./cluster --port 8101
  dynkv kv put greeting hello --value world
  dynkv kv get greeting hello

Run a node of a real cluster: dynkv serve --help
"""

app = typer.Typer(
    help=HELP,
    epilog=exit_codes.epilog(*Exit),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dynkv {dynkv.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of all commands; each acts by its own callback."""


app.command(help=serve.HELP, epilog=serve.EPILOG)(serve.serve)
app.command(help=up.HELP, epilog=up.EPILOG, context_settings=up.CONTEXT)(up.up)
kv.app.command(help=kv_keys.HELP, epilog=kv_keys.EPILOG)(kv_keys.keys)
kv.app.command(help=kv_resolve.RESOLVE_HELP, epilog=kv_resolve.RESOLVE_EPILOG)(kv_resolve.resolve)
kv.app.command(help=kv_resolve.EDIT_HELP, epilog=kv_resolve.EDIT_EPILOG)(kv_resolve.edit)
app.add_typer(kv.app, name="kv")
app.command(help=transfer_commands.EXPORT_HELP, epilog=transfer_commands.EPILOG)(transfer_commands.export)
app.command(name="import", help=transfer_commands.IMPORT_HELP, epilog=transfer_commands.EPILOG)(
    transfer_commands.import_
)
app.command(help=status.HELP, epilog=status.EPILOG)(status.status)
app.add_typer(antientropy.app, name="antientropy")
app.command(help=demo.HELP, epilog=demo.EPILOG)(demo.demo)
app.add_typer(chaos.app, name="chaos")
app.command(help=check.HELP, epilog=check.EPILOG)(check.check)
app.command(help=bench.HELP, epilog=bench.EPILOG)(bench.bench)
app.command(help=simulate.HELP, epilog=simulate.EPILOG)(simulate.simulate)


def run() -> None:
    """Run the command that this process' arguments name; what fails ends in one line and an exit code."""
    try:
        app()
    except StartError as error:
        _say(str(error))
        sys.exit(exit_codes.of_start_error(error))
    except Failure as failure:
        _say(str(failure))
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def _say(message: str) -> None:
    if message:
        print(f"dynkv: {message}", file=sys.stderr)
