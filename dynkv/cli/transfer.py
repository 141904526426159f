"""`dynkv export` and `dynkv import`: a bucket as JSON lines, out of one cluster and into the same or another.

One line a key, whatever it holds:

    {"key": "caf%C3%A9", "values": [{"content_type": "text/plain", "text": "…"}]}        or "base64": "…"

Keys are percent-encoded, as in a path. A key in conflict has several values, and is in conflict again where it is
imported. What a line does not keep is history: dots, times and contexts are those of the cluster.

An export writes FILE.partial and renames it when all is there: FILE is a whole export, this one or an earlier.

Both can be broken off and taken up again. Beside FILE lies FILE.progress, a line of JSON that is replaced now and then
(written aside, renamed): for an export how long FILE.partial is and where the listing goes on, for an import how much
of the file is written for certain, and the id of its run. What was under way is done once more: an export cuts the
partial file to that length first, and an import's writes carry ids made from their run and line, so that a write
repeated by --resume is the same write, and one of another import is another, whatever became of the first.
"""

import asyncio
import base64
import gc
import hashlib
import json
import os
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure

if TYPE_CHECKING:
    from dynkv.client import AsyncClient, ClientError

PART_KEYS = 500
PARTS_AT_ONCE = 5
# A part of an import is one request, unless its values are large.
IMPORT_KEYS = 1000
IMPORT_BYTES = 4 * 1024 * 1024
NOTE_EVERY_S = 0.25
LINE_BYTES_MAX = 64 * 1024 * 1024

JsonObject = dict[str, Any]


class Done(NamedTuple):
    """Keys of this run, and of all runs together."""

    keys: int
    total: int


class Bar(Protocol):
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

    def __init__(self, file: Path, fields: tuple[str, ...], *, resume: bool) -> None:
        """`fields`: what is noted. Failure if there is one and it is not to be gone on from, or is none of these."""
        self._path = file.with_name(file.name + ".progress")
        self.facts: JsonObject = {}
        if self._path.exists():
            if not resume:
                raise Failure(Exit.USAGE, f"{self._path} is of a run that was broken off: give --resume, or remove it")
            try:
                facts: Any = json.loads(self._path.read_bytes())
            except (OSError, ValueError) as error:
                raise Failure(Exit.USAGE, f"{self._path} is damaged: {error}") from error
            if not isinstance(facts, dict) or facts.keys() != {*fields}:
                raise Failure(Exit.USAGE, f"{self._path} is damaged, or of another command")
            self.facts = facts

    def note(self, *, durable: bool, **facts: Any) -> None:
        """Replace what was noted; `durable`: it is on disk when this returns."""
        aside = self._path.with_name(self._path.name + ".new")
        try:
            with aside.open("w") as out:
                out.write(json.dumps(facts) + "\n")
                if durable:
                    out.flush()
                    os.fsync(out.fileno())
            aside.replace(self._path)
            if durable:
                _sync_folder(self._path.parent)
        except OSError as error:
            raise Failure(Exit.NO, f"{self._path}: {error.strerror}") from error
        self.facts = facts

    def hint(self) -> str:
        return "; go on with --resume" if self.facts else ""

    def end(self) -> None:
        """All is done, or nothing: there is nothing to go on from."""
        self._path.unlink(missing_ok=True)
        self.facts = {}


def _sync_folder(folder: Path) -> None:
    """Make what was renamed in it last."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


# --- export -----------------------------------------------------------------------------------------------------------


async def export_bucket(url: str, token: str, bucket: str, prefix: str, file: Path, *, resume: bool, bar: Bar) -> Done:
    """Write every key of the bucket to `file`. Failure if some cannot be had; `file` is then as it was before, and what
    was written stays beside it, to go on from."""
    file = _checked(file)
    progress = Progress(file, ("bytes", "keys", "cursor"), resume=resume)
    partial = file.with_name(file.name + ".partial")
    client = _client(url, token)
    try:
        with _opened(partial, "r+b" if progress.facts else "wb") as out:
            done = await _export(client, bucket, prefix, out, progress, bar)
            os.fsync(out.fileno())
        # In this order: what has no progress is done again from its beginning, and a file in place needs none.
        progress.end()
        partial.replace(file)
    except OSError as error:
        raise Failure(Exit.NO, f"{partial}: {error.strerror or error}{progress.hint()}") from error
    finally:
        if not progress.facts:
            with suppress(OSError):
                partial.unlink()
    return done


async def _export(client: "AsyncClient", bucket: str, prefix: str, out: Any, progress: Progress, bar: Bar) -> Done:
    from dynkv.client import ClientError

    facts = progress.facts or {"bytes": 0, "keys": 0, "cursor": None}
    earlier, keys = facts["keys"], 0
    out.truncate(facts["bytes"])
    out.seek(facts["bytes"])
    async with client:
        try:
            listing = client.keys(bucket, prefix, cursor=facts["cursor"])
            async for page in listing.pages():
                for start in range(0, len(page), PART_KEYS):
                    found = await client.get_many(bucket, page[start : start + PART_KEYS], resolve="keep", raw=True)
                    lines = [_line(entry) for entry in found if entry.found]
                    out.writelines(lines)
                    keys += len(lines)
                    bar.advance(len(lines))
                out.flush()
                # `cursor` is still the one that led here: this page is done again by whoever goes on from it.
                progress.note(durable=False, bytes=facts["bytes"], keys=facts["keys"], cursor=listing.cursor)
                facts = {"bytes": out.tell(), "keys": earlier + keys}
        except ClientError as error:
            raise _failure(error, progress.hint()) from error
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
    from dynkv.client import ClientError

    file = _checked(file)
    progress = Progress(file, ("bytes", "keys", "run"), resume=resume)
    fresh = not progress.facts
    facts = progress.facts or {"bytes": 0, "keys": 0, "run": secrets.token_hex(16)}
    end, keys, noted_at = facts["bytes"], 0, 0.0
    async with _client(url, token) as client:
        gc.freeze()  # of what there is by now nothing is let go: to look at it again and again is a tenth of the work
        try:
            parts = _parts(file, end, facts["run"])
            first = next(parts, None)  # a file that is none is told before anything is written
            if first is not None and fresh:
                # Who is killed after the first write and goes on must know the ids that it had.
                progress.note(durable=True, **facts)
            async for part in _written(client, bucket, chain(() if first is None else (first,), parts)):
                end, keys = part.end, keys + part.keys
                bar.advance(part.keys)
                if time.monotonic() - noted_at > NOTE_EVERY_S:
                    progress.note(durable=True, bytes=end, keys=facts["keys"] + keys, run=facts["run"])
                    noted_at = time.monotonic()
        except BaseException as error:
            if keys:
                progress.note(durable=True, bytes=end, keys=facts["keys"] + keys, run=facts["run"])
            elif fresh and isinstance(error, ClientError) and not _may_stand(error):
                progress.end()
            if isinstance(error, ClientError):
                raise _failure(error, progress.hint()) from error
            raise
        finally:
            gc.unfreeze()
    progress.end()
    return Done(keys, facts["keys"] + keys)


async def _written(client: "AsyncClient", bucket: str, parts: Iterator[Part]) -> AsyncIterator[Part]:
    """The parts in their order, each once it is written; a few are under way at a time. ClientError."""
    waiting: deque[tuple[Part, asyncio.Task[Any]]] = deque()
    at_once = 1  # what is wrong with the address, the token or the bucket shows before more is in doubt
    try:
        for part in parts:
            waiting.append((part, asyncio.create_task(client.put_many(bucket, part.puts, receipts=False))))
            if len(waiting) == at_once:
                await waiting[0][1]
                yield waiting.popleft()[0]
                at_once = PARTS_AT_ONCE
        while waiting:
            await waiting[0][1]
            yield waiting.popleft()[0]
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


def _may_stand(error: "ClientError") -> bool:
    """Whether some of the writes that failed so are done, or may be yet."""
    from dynkv.client import BatchError

    if not isinstance(error, BatchError):
        return True
    return len(error.failed) < len(error.results) or any(one.outcome == "ambiguous" for one in error.failed.values())


def _parts(file: Path, start: int, run: str) -> Iterator[Part]:
    from dynkv.client import Put

    salt = run.encode()
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
                write_id = hashlib.blake2b(b"%b:%d:%b" % (salt, position, line), digest_size=16).hexdigest()
                puts.append(Put(key, data, "", content_type, write_id))
            keys += 1
            size += len(line)
            if keys == IMPORT_KEYS or size > IMPORT_BYTES:
                yield Part(source.tell(), keys, puts)
                puts, keys, size = [], 0, 0
        if keys:
            yield Part(source.tell(), keys, puts)


# --- what may go wrong ------------------------------------------------------------------------------------------------


def _client(url: str, token: str) -> "AsyncClient":
    from dynkv.client import AsyncClient

    try:
        return AsyncClient(url, token=token)
    except ValueError as error:
        raise Failure(Exit.USAGE, str(error)) from error


def _failure(error: "ClientError", hint: str) -> Failure:
    """With the exit code that its meaning has; of a batch the worst that came of one of its operations."""
    from dynkv.client import BatchError, NotDynkv, Refused, Unreachable

    if isinstance(error, BatchError):
        failed = list(error.failed.values())
        error = next((one for one in failed if one.outcome == "ambiguous"), failed[0])
    told = error.detail
    if error.status and not error.kind:  # a status without one of our problems
        code, told = Exit.UNREACHABLE, f"this is not dynkv: status {error.status}"
    elif isinstance(error, NotDynkv):
        code, told = Exit.UNREACHABLE, f"this is not dynkv: {told}"
    elif error.outcome == "ambiguous":
        code, told = Exit.AMBIGUOUS, f"{told}; the writes under way may have been applied"
    elif isinstance(error, Unreachable):
        code = Exit.UNREACHABLE
    else:
        code = Exit.REFUSED if isinstance(error, Refused) else Exit.UNAVAILABLE
    return Failure(code, told + hint)


def _checked(file: Path) -> Path:
    """What a link leads to. Failure if it is there and cannot be gone on from: a pipe, /dev/null, a folder."""
    try:
        folder = file.parent.resolve()  # /dev/stdout may well lead to a file, but to one that others write, too
        if (file.exists() and not file.is_file()) or folder == Path("/dev") or folder.is_relative_to("/proc"):
            raise Failure(Exit.USAGE, f"{file} is not a regular file, as it has to be to go on with it")
        return file.resolve()
    except OSError as error:
        raise Failure(Exit.USAGE, f"{file}: {error.strerror}") from error


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
