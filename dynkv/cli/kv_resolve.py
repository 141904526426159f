"""`dynkv kv resolve` and `dynkv kv edit`."""

from typing import Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.kv import Bucket, KeyName, Timeout, WriteLevel
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption

RESOLVE_HELP = """Decide between the siblings of a key.

On a terminal they are shown side by side, and asked for; by a script the
decision is an option:

  dynkv kv resolve greeting hello
  dynkv kv resolve greeting hello --take 2
  dynkv kv resolve greeting hello --latest
  dynkv kv resolve greeting hello --value both

The write covers exactly the siblings that were read.
"""

EDIT_HELP = """Open a key's value in an editor ($VISUAL or $EDITOR), and write it back.

Nothing is written if nothing was changed. Siblings are opened one after the
other in one file, between marks, to be made one. If the write fails, the
file is kept, and the message says where.
"""

RESOLVE_EPILOG = exit_codes.epilog(
    Exit.OK, Exit.NO, Exit.USAGE, Exit.CONFLICT, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.AMBIGUOUS, Exit.REFUSED
)
EDIT_EPILOG = RESOLVE_EPILOG


def resolve(
    bucket: Bucket,
    key: KeyName,
    take: Annotated[int | None, typer.Option(metavar="N", help="The N-th of them, as `kv get` shows them.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="The one written last, by the nodes' clocks.")] = False,
    value: Annotated[str | None, typer.Option(help="Another value, as text.")] = None,
    url: UrlOption = URL_DEFAULT,
    w: WriteLevel = None,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import Key
    from dynkv.cli.resolving import Written, resolve_key

    resolve_key(Key(url, bucket, key), take, value, Written(w, timeout, output), latest=latest)


def edit(
    bucket: Bucket,
    key: KeyName,
    url: UrlOption = URL_DEFAULT,
    w: WriteLevel = None,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import Key
    from dynkv.cli.resolving import Written, edit_key

    edit_key(Key(url, bucket, key), Written(w, timeout, output))
