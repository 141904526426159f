"""The commands, put together. Their modules import what they need when they are called, so --help is quick."""

import contextlib
import errno
import os
import sys
import traceback
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

# Set to anything: the traceback of a defect is printed, for its report.
TRACEBACK_ENV = "DYNKV_TRACEBACK"

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
        code = _command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:  # the last of what was printed did not get out
        code = _stdout_is_broken(error)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    sys.exit(code)


def _command() -> int:
    """Its exit code."""
    try:
        app()
    except SystemExit as ended:  # how Typer ends, well or not
        if isinstance(ended.code, str):
            raise
        return ended.code or Exit.OK
    except StartError as error:
        _say(str(error))
        return exit_codes.of_start_error(error)
    except Failure as failure:
        _say(str(failure))
        return failure.code
    except OSError as error:
        return _stdout_is_broken(error) if _is_of_stdout(error) else _defect(error)
    except Exception as error:  # noqa: BLE001  the outermost edge: what nobody foresaw is a line and a code too
        return _defect(error)
    return Exit.OK


def _defect(error: Exception) -> Exit:
    if os.environ.get(TRACEBACK_ENV):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    _say(f"a defect of dynkv: {what} ({TRACEBACK_ENV}=1 shows where)")
    return Exit.BUG


def _is_of_stdout(error: OSError) -> bool:
    """Whether this error came from printing: then a flush fails again, unless nothing is buffered (python -u)."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return True
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _stdout_is_broken(error: OSError) -> Exit:
    """The command may have done its part, but nobody got to know: no answer, and not the answer no."""
    # What is left in its buffer would be tried, and complained about, once more when the interpreter ends.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return Exit.NO  # as Typer ends it elsewhere: whoever read had enough, and wants no word about it
    _say(f"standard output cannot be written: {error.strerror}")
    return Exit.UNKNOWN


def _say(message: str) -> None:
    if message:
        with contextlib.suppress(OSError):  # a standard error that is full, too, leaves the code
            print(f"dynkv: {message}", file=sys.stderr)
