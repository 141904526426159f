"""What `dynkv chaos` does: a proxy in this terminal, orders to the control of one that runs, and scripts of orders."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dynkv.chaos import words
from dynkv.chaos.network import Door
from dynkv.chaos.rules import BadOrder, Order, Reset, Set
from dynkv.chaos.thread import NetworkThread
from dynkv.chaos.words import Line
from dynkv.cli.call import call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.config import address
from dynkv.runtime import SeededRandom

TIMEOUT_S = 5.0


def run(
    door: Door, first: Sequence[Order], script: Sequence[Line], *, control: str, frames: bool, seed: str | None
) -> None:
    """Carry connections until SIGINT or SIGTERM. BadOrder, ValueError, AddressInUse."""
    for where in (door.listen, door.target, control):
        address(where)
    stop = threading.Event()
    network = NetworkThread(None if seed is None else SeededRandom(seed))
    try:
        network.add(door, frames=frames)
        network.control(control)
        for order in first:
            network.obey(order)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        ways = f"{door.source}:{door.to} and back"
        print(f"{ways}: {door.listen} leads to {door.target}; orders at {control}; Ctrl-C stops", flush=True)

        def obey(order: Order) -> None:
            print(f"{told(order)}: {', '.join(network.obey(order))}", file=sys.stderr, flush=True)

        follow(script, obey, stop)
        stop.wait()
    finally:
        network.close()


def script(file: Path) -> list[Line]:
    """The script's lines. BadOrder; Failure if it cannot be read."""
    try:
        return words.script_of(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Exit.USAGE, f"{file}: {getattr(error, 'strerror', None) or error}") from error


def follow(lines: Sequence[Line], obey: Callable[[Order], None], stop: threading.Event | None = None) -> None:
    """Give each order at its time, the first time being now; until `stop`."""
    stop = stop or threading.Event()
    began = time.monotonic()
    for line in lines:
        if stop.wait(max(0.0, began + line.at_s - time.monotonic())):
            return
        obey(line.order)


def give(control: str, order: Order) -> list[str]:
    """Have it done; the ways it was done to. Failure."""
    ways: list[str] = _called(control, "POST", msgspec.json.encode(order))["ways"]
    return ways


def ask(control: str) -> Any:
    """What is the matter. Failure."""
    return _called(control, "GET", None)


def _called(control: str, method: str, body: bytes | None) -> Any:
    headers = {"Content-Type": "application/json"}
    answer = call(f"http://{control}", method, "/", body=body, headers=headers, timeout_s=TIMEOUT_S)
    said = answer.json()
    if answer.status != 200:
        raise Failure(Exit.USAGE, str(said.get("error", said)))
    return said


def told(order: Order) -> str:
    """The order in a few words."""
    if isinstance(order, Set):
        return "cut" if order.cut else "set"
    return "reset" if isinstance(order, Reset) else "healed"


def line_of(way: dict[str, Any]) -> str:
    """A way in one line: its rules, and what was counted."""
    rules = way["rules"]
    said = ", ".join("cut" if name == "cut" else f"{name} {value:g}" for name, value in rules.items()) or "good"
    counted = [f"{way['bytes']:,} bytes", f"{way['frames']:,} frames"]
    counted += [f"{way[name]:,} {name}" for name in ("dropped", "duplicated", "reordered", "resets") if way[name]]
    return f"{way['way']:12} {said}; {', '.join(counted)} over {way['connections']} connections, {way['open']} open"


__all__ = ["BadOrder", "ask", "follow", "give", "line_of", "run", "script", "told"]
