"""The commands `dynkv export` and `dynkv import`."""

import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption
from dynkv.cli.settings import TOKEN_ENV

if TYPE_CHECKING:
    from dynkv.cli.transfer import Silent

EXPORT_HELP = """Write a bucket to a file, a line of JSON for each key.

For example:

  dynkv export shop shop.jsonl
  dynkv import shop shop.jsonl --url http://other:8101

A key in conflict is written with all its values. What is written or deleted
meanwhile may be in the file or not; all the rest is in it, once. FILE is
replaced when all is there. An export that was broken off goes on with
--resume.
"""

IMPORT_HELP = """Write every key of a file that `dynkv export` wrote.

Nothing is read first: a value that is there already stays, as a sibling of
the one that is imported. An import that was broken off goes on with
--resume, and what it wrote twice then is one write. Without it, importing a
file again writes every value again.
"""

# 1 if FILE, or what is noted beside it, cannot be written; only an import's writes can be in doubt.
EPILOG = exit_codes.epilog(
    Exit.OK, Exit.NO, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.AMBIGUOUS, Exit.REFUSED
)

BucketName = Annotated[str, typer.Argument(help="The bucket.")]
FileName = Annotated[Path, typer.Argument(metavar="FILE", help="The file, of JSON lines.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a run was broken off.")]


def export(
    bucket: BucketName,
    file: FileName,
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    resume: Resume = False,
    url: UrlOption = URL_DEFAULT,
    output: OutputOption = Output.TEXT,
) -> None:
    import asyncio

    from dynkv.cli.transfer import export_bucket

    with open_bar("exporting") as bar:
        done = asyncio.run(export_bucket(url, _token(), bucket, prefix, file, resume=resume, bar=bar))
    _say(done.keys, done.total, "exported", output)


def import_(
    bucket: BucketName,
    file: FileName,
    resume: Resume = False,
    url: UrlOption = URL_DEFAULT,
    output: OutputOption = Output.TEXT,
) -> None:
    import asyncio

    from dynkv.cli.transfer import import_bucket

    with open_bar("importing") as bar:
        done = asyncio.run(import_bucket(url, _token(), bucket, file, resume=resume, bar=bar))
    _say(done.keys, done.total, "imported", output)


def _token() -> str:
    return os.environ.get(TOKEN_ENV, "")


def _say(keys: int, total: int, what: str, output: Output) -> None:
    if output is Output.JSON:
        print(json.dumps({"keys": keys, "total": total}))
    else:
        from dynkv.cli.key_request import counted

        print(f"{counted(keys, 'key')} {what}" + (f", {total:,} with those of earlier runs" if total != keys else ""))


# --- for people -------------------------------------------------------------------------------------------------------


class Shown:
    """A bar on the terminal: keys so far, and how many a second."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import Progress as RichProgress
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description} {task.completed:,.0f} keys"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
        )
        self._task = self._bar.add_task(what, total=None, rate="")

    def __enter__(self) -> "Shown":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, keys: int) -> None:
        """So many more."""
        task = self._bar.tasks[0]
        self._bar.update(self._task, advance=keys, rate=f"{task.speed or 0:,.0f} keys/s")


def open_bar(what: str) -> "Shown | Silent":
    """A bar where somebody watches."""
    from dynkv.cli.transfer import Silent

    return Shown(what) if sys.stderr.isatty() else Silent()
