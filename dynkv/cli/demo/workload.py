"""The demo's clients as a process of their own, so that drawing the screen never shows as a latency of the cluster's.

story -> workload    Command(word, argument), one at a time
workload -> story    ("done", result) to each, and a ("snapshot", Snapshot) every 0.2 s
"""

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe
from types import TracebackType
from typing import Any, Literal, NamedTuple

import uvloop

from dynkv.cli.demo.check import check
from dynkv.cli.demo.clients import Clients
from dynkv.cli.demo.ledger import Ledger
from dynkv.cli.load.interrupts import kept_from_children

SNAPSHOT_S = 0.2

Word = Literal["load", "run", "phase", "alive", "expect", "halt", "verify", "end"]


class Command(NamedTuple):
    """What the story wants.

    load, run (returns at once), phase (its name), alive (a node), expect (key, version, number of acknowledged writes),
    halt (returns the Outcome), verify (returns the Verdict), end.
    """

    word: Word
    argument: Any = None


class Snapshot(NamedTuple):
    """What happened in the last `seconds`; `acknowledged` and `checked` from the beginning."""

    seconds: float
    done: int
    retried: int
    refused: int
    p50_ms: float
    p99_ms: float
    acknowledged: int
    checked: int


class WorkloadProcess:
    """`with WorkloadProcess(targets) as pipe:` the story's end of it."""

    def __init__(self, targets: dict[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(targets, theirs), daemon=True)
        with kept_from_children():
            self._process.start()
        theirs.close()

    def __enter__(self) -> Pipe:
        return self._ours

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join(2.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def work(targets: dict[str, str], pipe: Pipe) -> None:
    """The whole life of the process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Workload(targets, pipe).serve())


class _Workload:
    def __init__(self, targets: dict[str, str], pipe: Pipe) -> None:
        self._pipe = pipe
        self._ledger = Ledger()
        self._clients = Clients(targets, self._ledger)
        self._running: asyncio.Future[None] | None = None
        self._checked = 0
        self._told = (time.perf_counter(), 0, 0, 0)
        self._words: asyncio.Queue[Command] = asyncio.Queue()

    async def serve(self) -> None:
        """Do what the story says until it says `end`, or is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._heard)
        ticking = loop.call_later(SNAPSHOT_S, self._tick)
        while (command := await self._words.get()).word != "end":
            result = await self._obey(command)
            self._send(("done", result))
        ticking.cancel()
        loop.remove_reader(self._pipe.fileno())

    def _heard(self) -> None:
        try:
            self._words.put_nowait(self._pipe.recv())
        except (EOFError, OSError):  # the latter if the story went without hearing our last words
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._words.put_nowait(Command("end"))

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            self._words.put_nowait(Command("end"))  # the story was broken off

    async def _obey(self, command: Command) -> Any:
        clients = self._clients
        match command.word:
            case "load":
                await clients.load()
            case "run":
                # A task: one that the story breaks off is cancelled with the loop, without a word.
                self._running = asyncio.ensure_future(clients.run())
            case "phase":
                clients.begin(command.argument)
            case "alive":
                clients.alive(command.argument)
            case "expect":
                key, version, acknowledged = command.argument
                self._ledger.acknowledge(key, version, b"")
                clients.acknowledged += acknowledged
            case "halt":
                clients.halting = True
                assert self._running is not None
                await self._running
                return clients.outcome()
            case "verify":
                return await check(self._ledger, clients.targets, self._add_checked)
        return None

    def _add_checked(self, count: int) -> None:
        self._checked += count

    def _tick(self) -> None:
        clients, now = self._clients, time.perf_counter()
        since, retried, refused, checked = self._told
        times = sorted(clients.recent)
        snapshot = Snapshot(
            seconds=now - since,
            done=len(times) + self._checked - checked,
            retried=clients.retried - retried,
            refused=clients.refused - refused,
            p50_ms=times[len(times) // 2] * 1000 if times else 0.0,
            p99_ms=times[len(times) * 99 // 100] * 1000 if times else 0.0,
            acknowledged=clients.acknowledged,
            checked=self._checked,
        )
        clients.recent = []
        self._told = (now, clients.retried, clients.refused, self._checked)
        self._send(("snapshot", snapshot))
        asyncio.get_running_loop().call_later(SNAPSHOT_S, self._tick)
