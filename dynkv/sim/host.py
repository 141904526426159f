"""One simulated host: its disk, its place in the network, and the process of the node that runs there, or does not.

    start ──▶ running ──terminate──▶ the process ends by itself; its code says how
                 │  ├──kill────────▶ gone at once; what was written is on the disk's way
                 │  └──power off───▶ gone at once, and so is some of what was not synced; nobody is told
                 └─pause/resume, slow

What runs is `node.live`, so a node goes through its own lives (salvage, a directory that went back) by itself.
"""

import asyncio

import msgspec

from dynkv.config import Config, address
from dynkv.core.errors import StartError
from dynkv.machine import Machine
from dynkv.node import Node, live
from dynkv.sim.chance import Chance
from dynkv.sim.disk import SimFiles
from dynkv.sim.journal import Journal
from dynkv.sim.loop import CALLBACK_S, ProcessLoop
from dynkv.sim.machine import SimMachine, Watcher
from dynkv.sim.network import Net, Site
from dynkv.sim.world import World
from dynkv.storage.incarnation import DataDirectory

# How long a process that has something to do waits for a processor, at most.
LAG_S_MAX = 50e-6
# Monotonic clocks have no common origin.
ORIGIN_S_MAX = 1_000_000.0


class Host:
    """Where node `config.id` lives. `node`: the life it is in, or was in last. `lives`: how many there were."""

    def __init__(
        self, world: World, net: Net, config: Config, *, seed: int, journal: Journal, watcher: Watcher
    ) -> None:
        self.name = config.id
        self.site = Site(self.name)
        self.files = SimFiles(Chance(seed, f"{self.name} disk"), lambda: world.now)
        self.skew_ms = 0
        self.lag_s_max = LAG_S_MAX
        self.node: Node | None = None
        self.lives = 0
        self.starts = 0
        self.exits: list[int | str] = []
        self._world = world
        self._net = net
        self._config = config
        self._seed = seed
        self._journal = journal
        self._watcher = watcher
        self._machine: SimMachine | None = None
        self._stop: asyncio.Event | None = None
        self._chance = Chance(seed, f"{self.name} host")
        self._callback_s = CALLBACK_S
        net.place(self.site, address(config.http))
        net.place(self.site, address(config.peer))

    def runs(self) -> bool:
        """Whether there is a process."""
        return self.site.loop is not None

    @property
    def machine(self) -> SimMachine:
        assert self._machine is not None
        return self._machine

    @property
    def lost_at(self) -> float:
        """When this host's data was last set aside, deleted or replaced."""
        return self.files.lost_at

    @property
    def life(self) -> int:
        """The id of the start that the node is in, or was in last; 0 if there was none."""
        return 0 if self.node is None else self.node.identity.lives[-1]

    def start(self, *, rebuild: bool = False) -> None:
        """Start the process; the power is on."""
        assert not self.runs()
        self.site.powered = True
        self.starts += 1
        self._journal.note(self.name, "process starts", start=self.starts)
        chance = self._chance
        loop = self.site.loop = ProcessLoop(
            self.name,
            self._world,
            origin=chance.uniform(0, ORIGIN_S_MAX),
            lag=lambda: chance.uniform(0, self.lag_s_max),
            defect=self._journal.defect,
        )
        loop.callback_s = self._callback_s
        own = Chance(self._seed, f"{self.name} start {self.starts}")
        machine = self._machine = SimMachine(
            self._net, self.site, self.files, loop, own, lambda: self.skew_ms, self._watcher
        )
        self._stop = asyncio.Event()
        config = msgspec.structs.replace(self._config, rebuild=rebuild)
        process = loop.create_task(live(config, machine, self._stop, self._make), name="process")
        process.add_done_callback(lambda task: self._ended(loop, task))

    def _make(self, config: Config, directory: DataDirectory, machine: Machine) -> Node:
        self.lives += 1
        self.node = Node(config, directory, machine)
        return self.node

    def terminate(self) -> None:
        """SIGTERM."""
        loop, stop = self.site.loop, self._stop
        assert loop is not None
        assert stop is not None
        self._journal.note(self.name, "process is told to stop")
        loop.call_soon(stop.set)

    def kill(self) -> None:
        """SIGKILL."""
        self._journal.note(self.name, "process is killed")
        self._gone()

    def power_off(self) -> None:
        """The machine is gone, with what its disk had not synced."""
        self.site.powered = False
        if self.runs():
            self._gone()
        lost = self.files.power_lost()
        self._journal.note(self.name, "power is lost", batches_lost=lost)

    def pause(self) -> None:
        if self.site.loop is not None:
            self._journal.note(self.name, "process is paused")
            self.site.loop.pause()

    def resume(self) -> None:
        if self.site.loop is not None and self.site.loop.paused:
            self._journal.note(self.name, "process goes on")
            self.site.loop.resume()

    def slow_down(self, lag_s_max: float, callback_s: float) -> None:
        """The machine has too much to do."""
        self.lag_s_max, self._callback_s = lag_s_max, callback_s
        if self.site.loop is not None:
            self.site.loop.callback_s = callback_s

    def be_healthy(self) -> None:
        """Power, processor, disk and process are as they should be; what was lost stays lost."""
        self.slow_down(LAG_S_MAX, CALLBACK_S)
        for disk in self.files.disks():
            disk.be_healthy()
        if self.runs():
            self.resume()
        else:
            self.start()

    def _ended(self, loop: ProcessLoop, process: "asyncio.Task[int]") -> None:
        """The process ended by itself."""
        if process.cancelled():
            code: int | str = "cancelled"
        elif (error := process.exception()) is not None:
            code = str(error)
            if not isinstance(error, StartError):
                self._journal.defect(self.name, "the process died of an exception", error)
        else:
            code = process.result()
            left = [task.get_name() for task in loop.tasks if task is not process]
            left += [f"timer of {timer.name}" for timer in loop.timers]
            if code == 0 and left:
                self._journal.defect(self.name, f"the process ended and left {', '.join(left)}", None)
        self.exits.append(code)
        self._journal.note(self.name, "process ended", code=code)
        # In a turn of its own loop: the rest of the process goes when that is over.
        self._world.after(0, lambda: self._gone() if self.site.loop is loop else None)

    def _gone(self) -> None:
        loop, store = self.site.loop, self.machine.store
        assert loop is not None
        self.site.loop = None
        if store is not None:
            store.crash()
        self._net.process_gone(self.site)
        self.files.process_gone()
        loop.kill()
