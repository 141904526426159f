"""Running nodes as children of one terminal: their logs under prefixes, their deaths reported, one stop for all.

A thread per node copies its log and notes its end; signals and ends meet in one queue, which the caller's thread works
off. A node that dies is reported and left dead: showing what a cluster does without it is what this is for.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from subprocess import PIPE
from typing import IO

from dynkv.cli.call import answers
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.launch import NodeProcess
from dynkv.config import Config

START_S = 120.0
POLL_S = 0.05
# Beyond the node's own patience with requests in progress: syncing and saving.
STOP_S = 30.0

_COLOURS = (36, 33, 32, 35, 34, 31)

Ended = tuple[str, int]
Signalled = int


class Supervisor:
    """The nodes of one terminal."""

    def __init__(self, configs: Sequence[Config], log: IO[str], *, colour: bool) -> None:
        self._configs = configs
        self._log = log
        self._colour = colour
        self._events: SimpleQueue[Ended | Signalled] = SimpleQueue()
        self._width = max(len(config.id) for config in configs)
        self._served: set[str] = set()
        self.running: dict[str, NodeProcess] = {}

    def start(self) -> None:
        """Start every node, and take over SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, _: self._events.put(got))
        for index, config in enumerate(self._configs):
            node = self.running[config.id] = NodeProcess(config, PIPE)
            threading.Thread(target=self._follow, args=(node, self._prefix(config.id, index)), daemon=True).start()

    def _prefix(self, node: str, index: int) -> str:
        text = f"{node:{self._width}} | "
        return f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{text}\x1b[0m" if self._colour else text

    def _follow(self, node: NodeProcess, prefix: str) -> None:
        assert node.process.stdout is not None
        for line in node.process.stdout:
            self._log.write(prefix + line.decode(errors="replace"))
            self._log.flush()
        self._events.put((node.config.id, node.process.wait()))

    def wait_ready(self, path: str) -> None:
        """Wait until every node answers 200 under `path`; Failure if one ends before, KeyboardInterrupt on a signal."""
        waiting = {config.id: f"http://{config.http}" for config in self._configs}
        deadline = time.monotonic() + START_S
        while waiting:
            if time.monotonic() > deadline:
                raise Failure(Exit.START_FAILED, f"not ready within {START_S:.0f} s: {', '.join(waiting)}")
            event = self._next(POLL_S)
            if isinstance(event, int):
                raise KeyboardInterrupt
            if event is not None:
                node, code = event
                del self.running[node]
                raise Failure(exit_of(code), f"{node} {describe(code)} before it was ready; its log says why")
            waiting = {node: url for node, url in waiting.items() if not answers(url, path)}
            self._served = self.running.keys() - waiting.keys()

    def wait(self, report: Callable[[str, int], None]) -> int:
        """Report each node that ends until all have ended or a signal comes; the exit code to end with.

        A signal is Exit.OK, for it is how this is meant to end.
        """
        code = 0
        while self.running:
            event = self._next(None)
            if isinstance(event, int):
                return Exit.OK
            if event is not None:
                node, code = event
                del self.running[node]
                report(node, code)
        return exit_of(code) if code else Exit.OK

    def stop(self) -> list[tuple[str, int]]:
        """SIGTERM to all and wait; a second signal, or a node that takes too long, makes it SIGKILL. Unclean ends."""
        self._signal_all(signal.SIGTERM)
        longest_ms = max(config.timeouts.stop_ms for config in self._configs)
        deadline = time.monotonic() + longest_ms / 1000 + STOP_S
        unclean: list[tuple[str, int]] = []
        while self.running:
            event = self._next(max(0.0, deadline - time.monotonic()))
            if isinstance(event, tuple):
                del self.running[event[0]]
                if not self._is_clean(*event):
                    unclean.append(event)
            else:
                self._signal_all(signal.SIGKILL)
                deadline = time.monotonic() + STOP_S
        return unclean

    def _is_clean(self, node: str, code: int) -> bool:
        """A node that was still loading knows no other way to end than the signal's own, and has nothing to save."""
        return code == 0 or (code == -signal.SIGTERM and node not in self._served)

    def _signal_all(self, number: int) -> None:
        for node in self.running.values():
            node.process.send_signal(number)

    def _next(self, seconds: float | None) -> Ended | Signalled | None:
        try:
            return self._events.get(timeout=seconds)
        except Empty:
            return None


def exit_of(code: int) -> Exit:
    """What a node's exit code becomes as ours: the same if it is in our table; NO if it was killed."""
    if code < 0:
        return Exit.NO
    return Exit(code) if code in Exit._value2member_map_ else Exit.START_FAILED


def describe(code: int) -> str:
    """How a process with this return code ended."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def wants_colour(out: IO[str]) -> bool:
    """Colour on a terminal, unless NO_COLOR is set (no-color.org)."""
    return out.isatty() and not os.environ.get("NO_COLOR")


def to_stderr(message: str) -> None:
    """One line of our own between the nodes' lines."""
    print(f"dynkv: {message}", file=sys.stderr, flush=True)
