"""Deciding between siblings, and changing a value by hand.

Both read first and write with the context of that read: whoever writes in between is not overwritten, but stands beside
the result as a new sibling, and the command says so.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import typer

from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.key_request import Found, Key, Value, counted, read, write
from dynkv.cli.kv import show_written
from dynkv.cli.options import Output

MARK = "<<<<<<< dynkv: sibling {number} of {count}, written {time}\n"
END = ">>>>>>> dynkv: make one of them, and take these lines out\n"


class Written(NamedTuple):
    """How the result is written, and how that is told. `timeout` in milliseconds, of the read too."""

    w: str | None
    timeout: int | None
    output: Output


def resolve_key(name: Key, take: int | None, value: str | None, how: Written, *, latest: bool) -> None:
    """Write one of the siblings, or `value`, or what is said at the terminal, in place of all. Failure."""
    if (take is not None) + latest + (value is not None) > 1:
        raise Failure(Exit.USAGE, "give one of --take, --latest and --value")
    found = _there(name, how.timeout)
    if len(found.values) == 1 and value is None:
        raise Failure(Exit.OK, f"{name.shown()} has one value: there is nothing to resolve")
    if value is not None:
        chosen = Value(value.encode("utf-8", "surrogateescape"), "text/plain; charset=utf-8", "", "")
    elif latest:
        chosen = max(found.values, key=lambda one: (one.time, one.dot))
    elif take is not None:
        if not 1 <= take <= len(found.values):
            raise Failure(Exit.USAGE, f"--take {take}: there are {len(found.values)} siblings")
        chosen = found.values[take - 1]
    elif sys.stdin.isatty() and sys.stdout.isatty():
        with Draft(name.bucket) as draft:
            _write(name, found, _ask(name, found, draft), how)
        return
    else:
        raise Failure(
            Exit.CONFLICT,
            f"{name.shown()} has {len(found.values)} siblings; say which with --take, --latest or --value",
        )
    _write(name, found, chosen, how)


def edit_key(name: Key, how: Written) -> None:
    """Write what is left in an editor of the value, or of all siblings. Failure."""
    found = read(name, timeout=how.timeout)
    before = _as_text(found)
    with Draft(name.bucket) as draft:
        after = draft.edited(before)
        if after == before:
            raise Failure(Exit.OK, "nothing was changed, and nothing written")
        if any(line.startswith(("<<<<<<< dynkv:", ">>>>>>> dynkv:")) for line in after.splitlines()):
            raise Failure(Exit.CONFLICT, "the marks between siblings are still there; nothing was written")
        kind = found.values[0].content_type if found.values else "text/plain; charset=utf-8"
        _write(name, found, Value(after.encode(), kind, "", ""), how)


def _there(name: Key, timeout: int | None) -> Found:
    found = read(name, timeout=timeout)
    if not found.values:
        raise Failure(Exit.NO, f"{name.shown()} {'was deleted' if found.deleted else 'is not there'}")
    return found


def _write(name: Key, found: Found, chosen: Value, how: Written) -> None:
    headers = {"Content-Type": chosen.content_type or "application/octet-stream"}
    if found.context:
        headers["Dynkv-Context"] = found.context
    done = write(name, "PUT", chosen.data, headers, w=how.w, timeout=how.timeout)
    show_written(done, name.shown(), how.output)


def _ask(name: Key, found: Found, draft: "Draft") -> Value:
    """Show all side by side, and have one chosen or made in an editor."""
    from rich.columns import Columns
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console(highlight=False)
    console.print(f"{name.shown()} has {len(found.values)} siblings:", markup=False)
    width = max(24, console.width // len(found.values) - 2)
    panels = [
        Panel(Text(_shown(value)), title=f"{number}", subtitle=_subtitle(value), width=width)
        for number, value in enumerate(found.values, 1)
    ]
    console.print(Columns(panels))
    while True:
        word = typer.prompt(f"Take 1..{len(found.values)}, e to edit all of them, q to leave it").strip().lower()
        if word == "q":
            raise Failure(Exit.CONFLICT, "left as it is")
        if word == "e":
            text = draft.edited(_as_text(found))
            if MARK[:14] in text or END[:14] in text:
                console.print("The marks between siblings are still there.")
                continue
            return Value(text.encode(), found.values[0].content_type, "", "")
        if word.isdigit() and 1 <= int(word) <= len(found.values):
            return found.values[int(word) - 1]


def _subtitle(value: Value) -> str:
    return f"{value.time}, {counted(len(value.data), 'byte')}"


def _shown(value: Value) -> str:
    try:
        return value.data.decode()
    except UnicodeDecodeError:
        return f"{value.content_type}: {value.data[:64].hex(' ')}{' …' if len(value.data) > 64 else ''}"


def _as_text(found: Found) -> str:
    """What is given to the editor. Failure if it is no text."""
    try:
        texts = [value.data.decode() for value in found.values]
    except UnicodeDecodeError:
        raise Failure(Exit.USAGE, "the value is no text; use `kv get` and `kv put --file`") from None
    if len(texts) < 2:
        return "".join(texts)
    parts = []
    for number, (text, value) in enumerate(zip(texts, found.values, strict=True), 1):
        parts.append(MARK.format(number=number, count=len(texts), time=value.time))
        parts.append(text if text.endswith("\n") else text + "\n")
    return "".join([*parts, END])


class Draft:
    """`with` a text in an editor: its file is gone afterwards, but stays if what the user wrote came to nothing."""

    def __init__(self, bucket: str) -> None:
        self._name = f"{bucket}.txt"
        self._file: Path | None = None
        self._given = b""

    def edited(self, text: str) -> str:
        """`text` as the user left it; if it was edited before, that is gone on with. Failure."""
        try:
            if self._file is None:
                self._file, self._given = Path(tempfile.mkdtemp(prefix="dynkv-")) / self._name, text.encode()
                self._file.write_bytes(self._given)  # as bytes: an editor is shown the ends of lines as they are
            _run_editor(self._file)
            return self._file.read_bytes().decode()
        except OSError as error:
            raise Failure(Exit.USAGE, f"{self._file}: {error.strerror}; nothing was written") from error
        except UnicodeDecodeError as error:
            raise Failure(Exit.USAGE, "what was edited is no UTF-8; nothing was written") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if error is None or not self._is_changed(self._file):
            shutil.rmtree(self._file.parent, ignore_errors=True)
            return
        kept = f"what you wrote is kept in {self._file}"
        if isinstance(error, Failure):
            raise Failure(error.code, f"{error}\n  {kept}") from error
        print(f"dynkv: {kept}", file=sys.stderr)  # interrupted

    def _is_changed(self, file: Path) -> bool:
        try:
            return file.read_bytes() != self._given
        except OSError:
            return False


def _run_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except OSError as error:
        raise Failure(Exit.USAGE, f"the editor {editor!r} cannot be run: {error.strerror}") from error
    except ValueError as error:
        raise Failure(Exit.USAGE, f"the editor {editor!r} cannot be run: {error}") from error
    if done.returncode:
        raise Failure(Exit.USAGE, f"the editor {editor!r} ended with {done.returncode}; nothing was written")
