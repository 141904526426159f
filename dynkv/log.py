"""What a node says to its operator: one event a line on stderr, as JSON or as key=value for a person.

Modules say `structlog.get_logger("dynkv.something").info("what happened", key=value)`; `configure` decides once, at
start, what becomes of it. The standard library's loggers (asyncio, aiohttp) are led into the same lines.

An exception is one line too: its type, its message and where it came from, innermost first. A broken thing fails at
the rate of requests, so of exceptions with one event and one place only a few in a while are written; the next one
after a pause says how many were left out. Nothing else is held back.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog

from dynkv.runtime import Clock, SystemClock

Event = MutableMapping[str, Any]

# Of one kind of exception, so many lines in so many seconds.
REPEATS_MAX = 5
REPEATS_S = 10.0
# Kinds remembered at a time. An exception's kind is a place in the code, so this is never reached but by a bug.
KINDS_MAX = 1000

FRAMES_MAX = 8

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    level: str,
    form: str,
    *,
    node: str = "",
    stream: TextIO | None = None,
    clock: Clock | None = None,
    cache: bool = True,
) -> None:
    """Send every event of `level` and above to `stream` (stderr), in `form` "json", "console" or "auto".

    `auto` is console on a terminal, else json. `node` is named in every line. `cache`: loggers keep what they are told
    here at their first use, which is quicker; a later `configure` then reaches only new ones.
    """
    out = sys.stderr if stream is None else stream
    if form == "auto":
        form = "console" if out.isatty() else "json"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(node),
            Exceptions(clock or SystemClock()),
            _json if form == "json" else _console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda name="": _Lines(out, name),
        cache_logger_on_first_use=cache,
    )
    logging.basicConfig(level=_LEVELS[level], handlers=[_Bridge()], force=True)


class _Lines:
    """Where rendered lines end up; structlog calls the method named after the level."""

    def __init__(self, out: TextIO, name: str) -> None:
        self._out = out
        self.name = name

    def msg(self, line: str) -> None:
        try:
            self._out.write(line)
            self._out.flush()
        except BrokenPipeError:
            # Whoever read our log is gone. There is nobody left to tell, and it is no reason to stop serving.
            pass

    debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """The standard library's records as our events."""

    def emit(self, record: logging.LogRecord) -> None:
        message = " | ".join(record.getMessage().splitlines())
        structlog.get_logger(record.name).log(record.levelno, message, exc_info=record.exc_info)


class Exceptions:
    """Turns `exc_info` into `error` and `trace`, and drops what comes too often."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        error = _exception(event.pop("exc_info", None))
        if error is None:
            return event
        event["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        trace = _trace(error.__traceback__)
        if trace:
            event["trace"] = trace
        left_out = self._left_out((str(event["event"])[:200], trace or event["error"][:200]))
        if left_out:
            event["repeated"] = left_out
        return event

    def _left_out(self, key: tuple[str, str]) -> int:
        """How many lines of this kind were left out before this one; DropEvent if this one is to be left out too."""
        now = self._clock.now()
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[key] = _Kind(now)
        if now - kind.since >= REPEATS_S:
            left_out = max(0, kind.count - REPEATS_MAX)
            kind.since, kind.count = now, 1
            return left_out
        kind.count += 1
        if kind.count > REPEATS_MAX:
            raise structlog.DropEvent
        return 0


class _Kind:
    """How often one kind of exception came since when."""

    __slots__ = ("count", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0


def _exception(
    given: bool
    | BaseException
    | tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, ...]
    | None,
) -> BaseException | None:
    """The exception meant by `exc_info`, which may be one, a triple of one, or True for the current one."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1]
    return sys.exception() if given else None


def _trace(where: TracebackType | None) -> str:
    """file:line function, innermost first."""
    frames = traceback.extract_tb(where)[-FRAMES_MAX:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))


def _named(node: str) -> Callable[[_Lines, str, Event], Event]:
    def name(logger: _Lines, method: str, event: Event) -> Event:
        if logger.name:
            event["at"] = logger.name.removeprefix("dynkv.")
        if node:
            event["node"] = node
        return event

    return name


def _json(logger: object, method: str, event: Event) -> str:
    ordered = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event"), **event}
    # The standard encoder takes whatever comes (bytes, the lone surrogates of a file name): a log line must not fail.
    return json.dumps(ordered, default=repr) + "\n"


def _console(logger: object, method: str, event: Event) -> str:
    clock = str(event.pop("timestamp"))[11:23]
    head = f"{clock} {event.pop('level'):7} {event.pop('event')}"
    return " ".join([head, *(f"{name}={_word(value)}" for name, value in event.items())]) + "\n"


def _word(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(mark in text for mark in ' "='):
        return text
    return json.dumps(text)
