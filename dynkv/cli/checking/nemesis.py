"""Does harm to a cluster of our own, as planned, and undoes it.

    kill     SIGKILL, and started again             pause    SIGSTOP, and SIGCONT
    cut      nothing arrives on some ways           slow     late, or throttled
    flaky    frames lost, doubled and overtaken     disk     no file may grow: as good as full
    clock    the wall clock steps, and back

What cannot be done on this machine is noted with its reason, and no run that asked for it is called clean.
"""

import asyncio
import resource
import shlex
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from dynkv.chaos.rules import Heal, Set
from dynkv.chaos.skew import put_wrong
from dynkv.chaos.words import order_of
from dynkv.check.chances import Planned
from dynkv.check.history import Fault
from dynkv.cli.checking.recorder import Recorder
from dynkv.cli.failure import Failure
from dynkv.cli.throwaway import ThrowawayCluster

# The newest log of a node's database may grow by so much before its disk is "full".
ROOM_BYTES = 256

Undo = Callable[[], Awaitable[None]]


class Impossible(Exception):
    """This machine does not let us do that."""


class Nemesis:
    """`say` is told of each fault when it begins."""

    def __init__(self, cluster: ThrowawayCluster, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._say = say
        # One fault at a time of each node, and of the network: each undoes what it did and nothing else.
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.broken: list[str] = []

    async def run(self, plan: Sequence[Planned]) -> None:
        """Do it all; returns when all is undone."""
        await asyncio.gather(*(self._one(planned) for planned in plan))

    async def _one(self, planned: Planned) -> None:
        await asyncio.sleep(max(0.0, planned.begin - self._recorder.time()))
        turn = "network" if planned.kind in ("cut", "slow", "flaky") else planned.target
        async with self._turns[turn]:
            begin = self._recorder.time()
            self._say(f"{planned.kind} {planned.target} {planned.detail}".rstrip())
            try:
                undo = await self._do(planned)
            except Impossible as error:
                self._note(planned, begin, impossible=str(error))
                return
            toothless = ""
            try:
                await asyncio.sleep(planned.end - planned.begin)
                if planned.kind == "disk" and await asyncio.to_thread(self._cluster.is_ready, planned.target):
                    toothless = "the node met no full disk meanwhile"
            finally:
                await undo()
                self._note(planned, begin, toothless)

    def _note(self, planned: Planned, begin: float, impossible: str = "") -> None:
        end = None if impossible else self._recorder.time()
        self._recorder.faults.append(Fault(planned.kind, planned.target, begin, end, planned.detail, impossible))

    async def _do(self, planned: Planned) -> Undo:
        match planned.kind:
            case "kill":
                await asyncio.to_thread(self._cluster.kill, planned.target)
                return lambda: self._start(planned.target)
            case "pause":
                self._signal(planned.target, signal.SIGSTOP)
                return _later(lambda: self._signal(planned.target, signal.SIGCONT))
            case "disk":
                limit = self._fill(planned.target)
                return _later(lambda: self._limit(planned.target, limit))
            case "clock":
                file = self._cluster.clocks[planned.target]
                put_wrong(file, int(planned.detail.removesuffix("s")) * 1000)
                return _later(lambda: put_wrong(file, 0))
            case _:
                return await self._network(planned)

    async def _network(self, planned: Planned) -> Undo:
        network = self._cluster.network
        assert network is not None
        ways = planned.target.split()
        for way in ways:
            order = (
                Set(way, cut=True) if planned.kind == "cut" else order_of(["set", way, *shlex.split(planned.detail)])
            )
            await asyncio.to_thread(network.obey, order)

        async def heal() -> None:
            for way in ways:
                await asyncio.to_thread(network.obey, Heal(way))

        return heal

    def _signal(self, node: str, number: signal.Signals) -> None:
        self._cluster.nodes[node].process.send_signal(number)

    async def _start(self, node: str) -> None:
        try:
            await asyncio.to_thread(self._cluster.start, node)
            await asyncio.to_thread(self._cluster.wait, node, "/health/live")
        except Failure as failure:
            self.broken.append(str(failure))

    # --- disks --------------------------------------------------------------------------------------------------------

    def _fill(self, node: str) -> int:
        """Let no file of the node grow, but for a few writes; the limit as it was."""
        logs = (Path(self._cluster.configs[node].data) / "db").glob("*.log")
        largest = max((log.stat().st_size for log in logs), default=0)
        return self._limit(node, largest + ROOM_BYTES)

    def _limit(self, node: str, size: int) -> int:
        """The kernel refuses to write to any place beyond `size` of any file; the limit as it was."""
        pid = self._cluster.nodes[node].pid
        try:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        except (AttributeError, PermissionError, ValueError) as error:
            raise Impossible(f"the size of a process' files cannot be limited: {error}") from error
        return soft


def _later(what: Callable[[], object]) -> Undo:
    async def undo() -> None:
        what()

    return undo
