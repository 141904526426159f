"""What is shown while the demo runs: a live display on a terminal, lines otherwise."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

from dynkv.cli.demo.workload import Snapshot
from dynkv.cli.options import Output

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_EVERY_S = 1.0
BARS = "▁▂▃▄▅▆▇█"
HISTORY = 60


class Screen(Protocol):
    """Where the story is shown."""

    def step(self, text: str) -> None:
        """Something happens."""
        ...

    def figures(self, snapshot: Snapshot, note: str) -> None:
        """What the clients did of late, and what the cluster is busy with."""
        ...

    def __enter__(self) -> "Screen": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_screen(output: Output) -> Screen:
    """The fitting one: JSON alone on standard output leaves standard error for lines."""
    if output is Output.JSON:
        return LineScreen(sys.stderr)
    return LiveScreen() if sys.stdout.isatty() else LineScreen(sys.stdout)


class LineScreen:
    """A line for each step, and one with figures every second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> "LineScreen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def step(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", file=self._out, flush=True)

    def figures(self, snapshot: Snapshot, note: str) -> None:
        if snapshot.done and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            print(f"          {line_of(snapshot, note)}", file=self._out, flush=True)


class LiveScreen:
    """The steps so far, and below them the figures with the rate of the last seconds as a curve."""

    def __init__(self) -> None:
        from rich.live import Live

        self._began = time.monotonic()
        self._steps: list[str] = []
        self._rates: list[float] = []
        self._figures = ""
        # Drawn when there is something new, not by a thread of its own.
        self._live = Live(auto_refresh=False)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._figures = ""
        self._rates = []
        self._live.update(self._drawn(), refresh=True)
        self._live.stop()

    def step(self, text: str) -> None:
        self._steps.append(f"{time.monotonic() - self._began:5.1f} s  {text}")
        self._live.update(self._drawn(), refresh=True)

    def figures(self, snapshot: Snapshot, note: str) -> None:
        if not snapshot.checked:  # the check's rate is another thing than the load's
            self._rates = [*self._rates, snapshot.done / snapshot.seconds][-HISTORY:]
        self._figures = line_of(snapshot, note)
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        lines = [Text(step) for step in self._steps]
        if self._figures:
            lines += [Text(), Text(curve(self._rates), style="green"), Text(self._figures, style="bold")]
        return Group(*lines)


def line_of(snapshot: Snapshot, note: str) -> str:
    """The figures of a moment in one line."""
    rate = snapshot.done / snapshot.seconds if snapshot.seconds else 0.0
    if snapshot.checked:
        return f"{rate:8,.0f} reads/s  {snapshot.checked:,} checked"
    return (
        f"{rate:8,.0f} requests/s  p50 {snapshot.p50_ms:6.2f} ms  p99 {snapshot.p99_ms:6.2f} ms  "
        f"retried {snapshot.retried}  refused {snapshot.refused}  {note}"
    )


def curve(values: list[float]) -> str:
    """`values` as a line of bars, the largest one full."""
    top = max(values, default=0.0) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in values)
