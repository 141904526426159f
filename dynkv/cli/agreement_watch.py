"""Watching the replicas come to agree: one look after the other, shown as the place allows."""

import json
import time
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from dynkv.cli import agreement, agreement_text
from dynkv.cli.failure import Failure
from dynkv.core.overview_rows import Overview


class Shown(Protocol):
    """Where the looks go."""

    def look(self, told: dict[str, Any], view: Overview) -> None:
        """What was seen."""
        ...

    def lost(self, why: str) -> None:
        """The node did not answer; what was shown is old."""
        ...


class Stage:
    """What is opened and closed; nothing by itself."""

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class JsonLines(Stage):
    """A line of JSON for each look: the overview, or {"error": why}."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def look(self, told: dict[str, Any], view: Overview) -> None:
        print(json.dumps(told), file=self._out, flush=True)

    def lost(self, why: str) -> None:
        print(json.dumps({"error": why}), file=self._out, flush=True)


class Lines(Stage):
    """The sentence, whenever it says something else; not when only a number in it does."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ""

    def look(self, told: dict[str, Any], view: Overview) -> None:
        self._say(view.verdict.text, view.verdict.state)

    def lost(self, why: str) -> None:
        self._say(f"unknown: {why}", "unknown")

    def _say(self, text: str, state: str) -> None:
        shape = state + "".join(letter for letter in text if not letter.isdigit() and letter not in ",.")
        if shape != self._last:
            self._last = shape
            print(f"{datetime.now():%H:%M:%S}  {text}", file=self._out, flush=True)


class Screen(Stage):
    """The whole overview, always the newest."""

    def __init__(self) -> None:
        self._live = Live(console=agreement_text.console(), auto_refresh=False, vertical_overflow="crop")
        self._since = datetime.now()
        self._told: dict[str, Any] | None = None

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def look(self, told: dict[str, Any], view: Overview) -> None:
        self._since, self._told = datetime.now(), told
        self._live.update(agreement_text.cluster(told), refresh=True)

    def lost(self, why: str) -> None:
        notice = Text(f"? unknown: nothing was heard since {self._since:%H:%M:%S}: {why}", style="bold")
        self._live.update(notice if self._told is None else Group(notice, self._old()), refresh=True)

    def _old(self) -> Text:
        assert self._told is not None
        return Text(f"  last known: {agreement.overview(self._told).verdict.text}", style="dim")


def follow(url: str, interval_s: float, until_agree: bool, shown: Shown) -> None:
    """Look until interrupted, or until all replicas agree. Failure if the first look fails."""
    seen = False
    while True:
        try:
            told = agreement.look(url)
            view = agreement.overview(told)
        except Failure as failure:
            if not seen:
                raise
            shown.lost(str(failure))
        else:
            seen = True
            shown.look(told, view)
            if until_agree and agreement.is_good(view):
                return
        time.sleep(interval_s)
