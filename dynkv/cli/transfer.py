"""`dynkv export` and `dynkv import`: a bucket as JSON lines, out of one cluster and into the same or another.

One line a key, whatever it holds:

    {"key": "caf%C3%A9", "values": [{"content_type": "text/plain", "text": "…"}]}        or "base64": "…"

Keys are percent-encoded, as in a path. A key in conflict has several values, and is in conflict again where it is
imported. What a line does not keep is history: dots, times and contexts are those of the cluster.

Both can be broken off and taken up again. Beside FILE lies FILE.progress, a line of JSON that is replaced now and then
(written aside, renamed): for an export how long the file is and where the listing goes on, for an import how much of
the file is written for certain. What was under way is done once more: an export cuts the file to that length first,
and an import's writes carry ids made from their line, so that a write repeated soon is the same write.
"""

import asyncio
import base64
import gc
import hashlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure

PART_KEYS = 500
PARTS_AT_ONCE = 5
# A part of an import is one request, unless its values are large.
IMPORT_KEYS = 1000
IMPORT_BYTES = 4 * 1024 * 1024
NOTE_EVERY_S = 0.25
LINE_BYTES_MAX = 64 * 1024 * 1024

JsonObject = dict[str, Any]


class Done(NamedTuple):
    """What a transfer came to: keys of this run, and of all runs together."""

    keys: int
    total: int


class Bar(Protocol):
    """Told how far it is."""

    def advance(self, keys: int) -> None: ...


# --- lines ------------------------------------------------------------------------------------------------------------


def line_of(key: bytes, values: list[tuple[str, bytes]]) -> bytes:
    """A key with its (content type, bytes) as one line."""
    told = []
    for content_type, data in values:
        try:
            told.append({"content_type": content_type, "text": data.decode()})
        except UnicodeDecodeError:
            told.append({"content_type": content_type, "base64": base64.b64encode(data).decode()})
    return json.dumps({"key": quote_from_bytes(key, safe=""), "values": told}, ensure_ascii=False).encode() + b"\n"


class Value(msgspec.Struct, gc=False):
    """One value of a line, in one of its forms."""

    content_type: str
    text: str | None = None
    base64: str | None = None

    def data(self) -> bytes:
        """ValueError."""
        if self.text is not None:
            return self.text.encode()
        if self.base64 is None:
            raise ValueError("a value is text or base64")
        return base64.b64decode(self.base64, validate=True)


class Line(msgspec.Struct, gc=False):
    """A key, percent-encoded, and its values."""

    key: str
    values: list[Value]


_decode = msgspec.json.Decoder(Line).decode


def parse_line(line: bytes, number: int) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The way back. Failure that names the line and what is wrong with it."""
    try:
        told = _decode(line)
        key = unquote_to_bytes(told.key) if "%" in told.key else told.key.encode()
        values = [(one.content_type, one.data()) for one in told.values]
    except (ValueError, msgspec.MsgspecError) as error:
        raise Failure(Exit.USAGE, f"line {number} is not one of an export: {error}") from error
    if not key:
        raise Failure(Exit.USAGE, f"line {number} has no key")
    return key, values


# --- progress ---------------------------------------------------------------------------------------------------------


class Progress:
    """FILE.progress. `facts` are what was noted last, empty at the beginning."""

    def __init__(self, file: Path, *, resume: bool) -> None:
        """Failure if there is one and it is not to be gone on from, or the other way round."""
        self._path = file.with_name(file.name + ".progress")
        self.facts: JsonObject = {}
        if self._path.exists():
            if not resume:
                raise Failure(Exit.USAGE, f"{self._path} is of a run that was broken off: give --resume, or remove it")
            try:
                self.facts = json.loads(self._path.read_bytes())
            except ValueError as error:
                raise Failure(Exit.USAGE, f"{self._path} is damaged: {error}") from error

    def note(self, **facts: Any) -> None:
        """Replace what was noted."""
        self.facts = facts
        aside = self._path.with_name(self._path.name + ".new")
        aside.write_text(json.dumps(facts) + "\n")
        aside.replace(self._path)

    def end(self) -> None:
        """All is done: nothing is left to go on from."""
        self._path.unlink(missing_ok=True)


# --- export -----------------------------------------------------------------------------------------------------------


async def export_bucket(url: str, token: str, bucket: str, prefix: str, file: Path, *, resume: bool, bar: Bar) -> Done:
    """Write every key of the bucket to `file`. Failure if some cannot be had; what was written stays, to go on from."""
    from dynkv.client import AsyncClient, ClientError

    progress = Progress(file, resume=resume)
    facts = progress.facts or {"bytes": 0, "keys": 0, "cursor": None}
    earlier, keys = facts["keys"], 0
    with _opened(file, "r+b" if progress.facts else "wb") as out:
        out.truncate(facts["bytes"])
        out.seek(facts["bytes"])
        async with AsyncClient(url, token=token) as client:
            listing = client.keys(bucket, prefix, cursor=facts["cursor"])
            try:
                async for page in listing.pages():
                    for start in range(0, len(page), PART_KEYS):
                        found = await client.get_many(bucket, page[start : start + PART_KEYS], resolve="keep", raw=True)
                        lines = [_line(entry) for entry in found if entry.found]
                        out.writelines(lines)
                        keys += len(lines)
                        bar.advance(len(lines))
                    out.flush()
                    # `cursor` is still the one that led here: this page is done again by whoever goes on from it.
                    progress.note(bytes=facts["bytes"], keys=facts["keys"], cursor=listing.cursor)
                    facts = {"bytes": out.tell(), "keys": earlier + keys}
            except ClientError as error:
                raise Failure(Exit.UNAVAILABLE, f"{error}; go on with --resume") from error
        os.fsync(out.fileno())
    progress.end()
    return Done(keys, earlier + keys)


def _line(entry: Any) -> bytes:
    key = entry.key.encode("utf-8", "surrogateescape")
    return line_of(key, [(sibling.content_type, sibling.data) for sibling in entry.siblings])


# --- import -----------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """Some lines: where they end in the file, and what they hold."""

    end: int
    keys: int
    puts: list[Any]


async def import_bucket(url: str, token: str, bucket: str, file: Path, *, resume: bool, bar: Bar) -> Done:
    """Write every line of `file`. Failure at a line that is none, or if the cluster does not take one."""
    from dynkv.client import AsyncClient

    progress = Progress(file, resume=resume)
    facts = progress.facts or {"bytes": 0, "keys": 0}
    end, keys, noted_at = facts["bytes"], 0, 0.0
    async with AsyncClient(url, token=token) as client:
        gc.freeze()  # of what there is by now nothing is let go: to look at it again and again is a tenth of the work
        try:
            async for part in _written(client, bucket, _parts(file, end)):
                end, keys = part.end, keys + part.keys
                bar.advance(part.keys)
                if time.monotonic() - noted_at > NOTE_EVERY_S:
                    progress.note(bytes=end, keys=facts["keys"] + keys)
                    noted_at = time.monotonic()
        except BaseException:
            if keys:
                progress.note(bytes=end, keys=facts["keys"] + keys)
            raise
        finally:
            gc.unfreeze()
    progress.end()
    return Done(keys, facts["keys"] + keys)


async def _written(client: Any, bucket: str, parts: Iterator[Part]) -> AsyncIterator[Part]:
    """The parts in their order, each once it is written; a few are under way at a time. Failure."""
    from dynkv.client import BatchError, ClientError

    waiting: deque[tuple[Part, asyncio.Task[Any]]] = deque()
    try:
        for part in parts:
            waiting.append((part, asyncio.create_task(client.put_many(bucket, part.puts, receipts=False))))
            if len(waiting) == PARTS_AT_ONCE:
                await waiting[0][1]
                yield waiting.popleft()[0]
        while waiting:
            await waiting[0][1]
            yield waiting.popleft()[0]
    except BatchError as error:
        first = next(result for result in error.results if isinstance(result, ClientError))
        raise Failure(Exit.UNAVAILABLE, f"not all was written: {first}; go on with --resume") from error
    except ClientError as error:
        raise Failure(Exit.UNAVAILABLE, f"{error}; go on with --resume") from error
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


def _parts(file: Path, start: int) -> Iterator[Part]:
    from dynkv.client import Put

    with _opened(file, "rb") as source:
        source.seek(start)
        puts: list[Any] = []
        keys = number = size = 0
        while line := source.readline(LINE_BYTES_MAX):
            number += 1
            if not line.endswith(b"\n"):
                raise Failure(Exit.USAGE, f"{file}: the last line is cut, or longer than {LINE_BYTES_MAX} bytes")
            key, values = parse_line(line, number)
            for position, (content_type, data) in enumerate(values):
                write_id = hashlib.blake2b(b"%d:%b" % (position, line), digest_size=16).hexdigest()
                puts.append(Put(key, data, "", content_type, write_id))
            keys += 1
            size += len(line)
            if keys == IMPORT_KEYS or size > IMPORT_BYTES:
                yield Part(source.tell(), keys, puts)
                puts, keys, size = [], 0, 0
        if keys:
            yield Part(source.tell(), keys, puts)


# --- for people -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(file: Path, mode: str) -> Iterator[Any]:
    try:
        opened = file.open(mode)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{file}: {error.strerror}") from error
    with opened:
        yield opened


class Silent:
    """No bar: not on a terminal."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def advance(self, keys: int) -> None:
        """Not shown."""


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


def open_bar(what: str) -> Shown | Silent:
    """A bar where somebody watches."""
    return Shown(what) if sys.stderr.isatty() else Silent()
