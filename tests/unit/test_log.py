"""One event, one line, whatever happens."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from dynkv import log


class Hand:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 0


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the lines go; everything is as it was afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield io.StringIO()
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = handlers


def events(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def configured(out: io.StringIO, level: str = "info", form: str = "json", clock: Hand | None = None) -> Any:
    log.configure(level, form, node="n1", stream=out, clock=clock, cache=False)
    return structlog.get_logger("dynkv.test")


def test_an_event_is_a_json_object_in_a_line(out: io.StringIO) -> None:
    configured(out).info("hint kept", target="n2", count=3, raw=b"\xff", odd="\udcff\n")
    (event,) = events(out)
    assert list(event)[:3] == ["time", "level", "event"]
    assert event["time"].endswith("Z")
    assert (event["event"], event["level"], event["at"], event["node"]) == ("hint kept", "info", "test", "n1")
    assert (event["target"], event["count"], event["odd"]) == ("n2", 3, "\udcff\n")


def test_console_lines_quote_what_needs_it(out: io.StringIO) -> None:
    configured(out, form="console").warning("peer suspected", peer="n2", why="no answer", empty="", odd="a\nb")
    line = out.getvalue()
    assert line.count("\n") == 1
    assert 'warning peer suspected peer=n2 why="no answer" empty="" odd="a\\nb" at=test node=n1' in line


def test_auto_is_json_where_nobody_watches(out: io.StringIO) -> None:
    configured(out, form="auto").info("started")
    assert events(out)[0]["event"] == "started"


def test_lower_levels_are_left_out(out: io.StringIO) -> None:
    logger = configured(out, "warning")
    logger.info("not this")
    logging.getLogger("other").info("nor this")
    logger.error("this")
    assert [event["event"] for event in events(out)] == ["this"]


def fail(logger: Any) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it failed")


def test_an_exception_is_one_line(out: io.StringIO) -> None:
    fail(configured(out))
    (event,) = events(out)
    assert event["error"] == "ValueError: two lines"
    assert event["trace"].startswith("test_log.py:")
    assert event["trace"].endswith(" fail")
    assert "Traceback" not in out.getvalue()


def test_a_flood_of_exceptions_is_dammed_and_counted(out: io.StringIO) -> None:
    clock = Hand()
    logger = configured(out, clock=clock)
    for _ in range(100):
        fail(logger)
    assert len(events(out)) == log.REPEATS_MAX
    logger.error("another kind", exc_info=KeyError("x"))
    assert len(events(out)) == log.REPEATS_MAX + 1, "one kind does not silence another"
    clock.seconds += log.REPEATS_S
    fail(logger)
    assert events(out)[-1]["repeated"] == 95
    fail(logger)
    assert "repeated" not in events(out)[-1]


def test_events_without_exceptions_are_never_held_back(out: io.StringIO) -> None:
    logger = configured(out, clock=Hand())
    for _ in range(100):
        logger.warning("peer suspected")
    assert len(events(out)) == 100


def test_the_standard_librarys_loggers_end_in_the_same_lines(out: io.StringIO) -> None:
    configured(out)
    logging.getLogger("asyncio").error("exception in\n%s", "callback", exc_info=OSError("gone"))
    (event,) = events(out)
    assert (event["event"], event["level"], event["at"]) == ("exception in | callback", "error", "asyncio")
    assert event["error"] == "OSError: gone"


def test_a_reader_that_is_gone_is_no_reason_to_fail(out: io.StringIO) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log.configure("info", "json", stream=Broken(), cache=False)
    structlog.get_logger().info("nobody reads this")
