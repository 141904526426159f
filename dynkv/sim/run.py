"""One simulated life of a cluster, from its seed to its verdict.

safety     clients work, faults happen; whatever is wrong at the moment it is seen ends the run
liveness   clients stop, all faults end: within a bound of virtual time the cluster must converge
verdict    every key is read at every node; the checkers judge the history; all nodes stop, and nothing is left
"""

import asyncio
import traceback
from collections.abc import Callable

import msgspec

from dynkv.core.record import Record
from dynkv.runtime import Tasks
from dynkv.sim.chance import Chance
from dynkv.sim.checkers import OF_HISTORY, Case, Wrong
from dynkv.sim.cluster import SimCluster
from dynkv.sim.fate import Fate
from dynkv.sim.faults import KINDS
from dynkv.sim.history import History, Op
from dynkv.sim.journal import Journal
from dynkv.sim.loop import ProcessLoop
from dynkv.sim.options import LONG_S, Options
from dynkv.sim.plan import plan
from dynkv.sim.standing import agreed, apart, deleted
from dynkv.sim.witness import Witness, covers, decoded
from dynkv.sim.workload import Habits, Workload
from dynkv.sim.world import Stuck, World

# Of virtual time: for the safety phase at most, for convergence, for tombstones to go, for every key to
# be read at every node, and for everything to stop.
SAFETY_S_MAX = 300.0
CONVERGE_S = 90.0
FORGET_S = 200.0
READ_S = 300.0
READINGS_MAX = 3
STOP_S = 30.0
LOOK_S = 0.5
LOSS_FORGOTTEN_S = 4.0
CLIENTS = 6
TIMEOUT_S = 2.0
KEYS_OF_A_KIND = (2, 6, 12, 12)
# Less than this, and a run has shown nothing.
ACKNOWLEDGED_OF_OPERATIONS = 0.15
EPISODES_THAT_BITE = 0.4
# What nodes log as errors, and the faults by which it must be so.
EXPLAINED: dict[str, tuple[str, ...]] = {
    "store is read-only": ("full", "eio"),
    "stopped, and not cleanly": ("full", "eio"),
    "a damaged record": ("rot",),
    # A tombstone that others have forgotten, or a write that nobody acknowledged: of the rest the checker "lost" knows.
    "a damaged record is lost: no other replica holds it": ("rot",),
    "two replicas cannot be made equal": ("rot",),
    "a hash tree and its records did not agree": ("rot",),
    "the database is damaged": ("bad-block",),
}


class Result(msgspec.Struct):
    """What came of a run. `failed`: "" or checker and words. `digest`: of the whole log. `lines`: the log, if kept.

    Times are virtual: of the whole run, of its safety phase, and from the end of all faults until all was well.
    """

    seed: int
    failed: str = ""
    checker: str = ""
    digest: str = ""
    operations: int = 0
    acknowledged: int = 0
    ambiguous: int = 0
    not_applied: int = 0
    failed_reads: int = 0
    episodes: int = 0
    faults: dict[str, int] = {}
    packets: int = 0
    records: int = 0
    reaped: int = 0
    lives: int = 0
    virtual_s: float = 0.0
    safety_s: float = 0.0
    converged_s: float = 0.0
    errors: dict[str, int] = {}
    lines: list[str] = []


def simulate(options: Options, *, keep: bool = False, tell: Callable[[str], None] | None = None) -> Result:
    """One run."""
    world = World()
    journal = Journal(world, keep=keep, tell=tell)
    with journal.taking(_who):
        run = Run(options, world, journal)
        try:
            run.go()
        except Wrong as wrong:
            run.result.checker, run.result.failed = wrong.checker, str(wrong)
            journal.note("verdict", f"FAILED {wrong}")
        except Exception:  # noqa: BLE001 - whatever it is, of the node or of the simulation: the run has failed by it
            run.result.checker, run.result.failed = "crash", f"crash: {traceback.format_exc()}"
        else:
            journal.note("verdict", "nothing is wrong")
        finally:
            run.end()
    return run.result


def _who() -> str:
    """The process whose turn it is."""
    loop = asyncio._get_running_loop()
    if not isinstance(loop, ProcessLoop):
        return "-"
    return loop.name if loop.alive else ""


class Run:
    """A run in progress."""

    def __init__(self, options: Options, world: World, journal: Journal) -> None:
        self.options = options
        self.world = world
        self.journal = journal
        self.history = History()
        self.witness = Witness(lambda: world.now, self._wrong, self._dropped, self._struck)
        self.cluster = SimCluster(options, journal, world, self.witness)
        self.fate = Fate(self.cluster, self.history, self.witness)
        self.result = Result(options.seed)
        self._found: Wrong | None = None
        self._fate_loop = self.cluster.loop_of("fate")
        # Few keys are written often, and many at the same time as others.
        count = Chance(options.seed, "keys").pick(KEYS_OF_A_KIND)
        names = [f"{kind}{number}" for kind in "ks" for number in range(count)]
        habits = Habits(CLIENTS, names, options.seconds / 90, options.seconds, TIMEOUT_S)
        self.workload = Workload(
            world,
            self.cluster.net,
            self.cluster.clients,
            self.cluster.http,
            self.cluster.tokens,
            habits,
            seed=options.seed,
            journal=journal,
            history=self.history,
            acknowledged=self._acknowledged,
        )

    # --- the story ----------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Raises Wrong."""
        options = self.options
        episodes = plan(options, options.faults)
        self.result.episodes = len(episodes)
        for host in self.cluster.all_hosts():
            host.start()
        fate_loop = self._fate_loop
        for episode in episodes:
            fate_loop.create_task(self.fate.happen(episode, KINDS[episode.kind]), name=f"episode {episode.number}")
        fate_loop.create_task(self.fate.supervise(), name="supervisor")
        working = self.cluster.clients_loop.create_task(self._work(), name="clients")
        self._until(self._is_enough, SAFETY_S_MAX, "enough")
        self.workload.stop()
        self.fate.heal()
        healed = self.result.safety_s = self.world.now
        self._until(working.done, self.world.now + STOP_S, "converged")
        self._converge()
        self.result.converged_s = self.world.now - healed
        self._read_everything()
        self._converge()  # who has come upon damage in between has salvaged, and is refilled before all is judged
        case = Case(self.cluster, self.history, self.witness, agreed(self.cluster, self.history.used_keys()))
        for checker, look in OF_HISTORY.items():
            for what in look(case):
                raise Wrong(checker, what)
        if options.seconds >= LONG_S and not self.fate.bit.get("clock"):  # what a fast clock dated waits longer
            self._forget()
        self._stop_everything()
        self._judge_itself()

    def _is_enough(self) -> bool:
        options, now = self.options, self.world.now
        if options.until:
            return now >= options.until
        return self.workload.done >= options.operations and now >= options.seconds

    async def _work(self) -> None:
        tasks = Tasks()
        await self.workload.run(tasks)
        if tasks.failures:
            self.journal.defect("clients", f"{tasks.failures} clients failed", None)

    def _converge(self) -> None:
        """Until all is equal. It is at this very moment, and may not be at the next, if somebody comes upon damage."""
        until = self.world.now + CONVERGE_S
        while left := apart(self.cluster, self.history.used_keys()):
            if self.world.now >= until:
                raise Wrong("converged", f"all faults have ended, and for {CONVERGE_S:g} s: {'; '.join(left)}")
            self._pass(LOOK_S)

    def _read_everything(self) -> None:
        """Every key by way of every node. Who comes upon a damaged block in doing so salvages first."""
        keys = [(key, node) for key in self.history.used_keys() for node in self.cluster.names]
        for _ in range(READINGS_MAX):
            reading = self.cluster.clients_loop.create_task(self.workload.read_all(keys), name="reading")
            self._until(reading.done, self.world.now + READ_S, "readable")
            keys = [(op.key, op.attempts[-1].node) for op in reading.result() if op.outcome != "ok"]
            if not keys:
                return
            self._pass(LOOK_S)  # until who has come upon damage has ended
            self._converge()
        raise Wrong("readable", f"{keys[0][0]} cannot be read at {keys[0][1]} after healing")

    def _pass(self, seconds: float) -> None:
        until = self.world.now + seconds
        self.world.at(until, lambda: None)  # or nothing might happen by then: all nodes may be off
        self._until(lambda: self.world.now >= until, until, "converged")

    def _forget(self) -> None:
        """Now that nobody is away, what was deleted is forgotten by all. A tombstone that could not go rests, each time
        longer, until somebody comes back: so somebody does."""
        self.cluster.all_hosts()[0].terminate()  # the supervisor starts it again
        self._pass(LOOK_S)
        self._converge()
        until = self.world.now + FORGET_S
        keys = self.history.used_keys()
        while left := deleted(self.cluster, keys):
            if self.world.now >= until:
                raise Wrong("remembered", f"{FORGET_S:g} s after healing there are tombstones of {', '.join(left[:5])}")
            self._pass(LOOK_S)
        if left := apart(self.cluster, keys):
            raise Wrong("converged", f"after deleted keys were forgotten: {'; '.join(left)}")

    def _stop_everything(self) -> None:
        """A clean stop of every node: nothing may be left of it."""
        self._fate_loop.kill()  # nobody starts what has ended
        hosts = self.cluster.all_hosts()
        for host in hosts:
            host.terminate()
        self._until(lambda: not any(host.runs() for host in hosts), self.world.now + STOP_S, "quiet")
        for host in hosts:
            if host.exits[-1] != 0:
                raise Wrong("quiet", f"{host.name} was told to stop and ended with {host.exits[-1]!r}")

    def _judge_itself(self) -> None:
        """Whether nodes said nothing that no fault explains, and whether the run was worth its name."""
        bit = self.fate.bit
        for said in self.journal.errors:
            if not any(bit.get(kind) for kind in EXPLAINED.get(said, ())):
                raise Wrong("quiet", f"no fault explains that a node logged the error {said!r}")
        if self.options.shortened:
            return
        done, written = self.workload.done, sum(1 for op in self.history.ops if op.kind != "get" and op.acknowledged)
        if done < self.options.operations or written < done * ACKNOWLEDGED_OF_OPERATIONS:
            raise Wrong("enough", f"{done} operations were done, and {written} writes acknowledged")
        if sum(bit.values()) < self.result.episodes * EPISODES_THAT_BITE:
            raise Wrong("enough", f"of {self.result.episodes} planned faults {sum(bit.values())} happened")

    # --- parts --------------------------------------------------------------------------------------------------------

    def _until(self, done: Callable[[], bool], until: float, checker: str) -> None:
        """Let the world go on until `done`, or until something is found to be wrong."""
        try:
            self.world.run(lambda: self._found is not None or done(), until)
        except Stuck as stuck:
            raise Wrong(checker, str(stuck)) from stuck
        if self._found is not None:
            raise self._found
        if self.journal.defects:
            raise Wrong("quiet", self.journal.defects[0])

    def _wrong(self, checker: str, what: str) -> None:
        if self._found is None:
            self._found = Wrong(checker, what)

    def _lost_lately(self, key: str) -> bool:
        """Whether a disk has lost something of the key so lately that answers which speak of it may be on their way."""
        lost_at = max(host.lost_at for host in self.cluster.all_hosts())
        return self.world.now - max(lost_at, self.cluster.damaged_at.get(key, lost_at)) < LOSS_FORGOTTEN_S

    def _dropped(self, node: str, key: str, record: Record) -> None:
        """A node removes a copy of its own accord."""
        cluster = self.cluster
        primaries = cluster.primaries(key)
        if node not in primaries:
            if not any(cluster.knows(name, key, record.vector) for name in primaries) and not self._lost_lately(key):
                self._wrong("kept", f"{node} drops a copy of {key} of which no primary has all on disk")
            return
        for name in cluster.names:
            there = cluster.on_disk(name, key, synced=False)
            for sibling in () if there is None else there.siblings:
                if sibling.value is not None and covers(record.vector, (sibling.actor, sibling.counter)):
                    self._wrong("forgotten", f"{node} forgets {key}, and {name} holds a value that was deleted")

    def _struck(self, node: str, target: str, key: str, record: Record | None) -> None:
        """A node owes the key to the target no longer: its copy is as given, or else as it still is."""
        cluster = self.cluster
        copy = record or decoded(cluster.hosts[node].machine.contents().get(cluster.stored_key(key)))
        if copy is None or cluster.rotten(target, key) or self._lost_lately(key):
            return
        if not cluster.knows(target, key, copy.vector):
            self._wrong("owed", f"{node} strikes out that {target} is owed {key}, which has not all of it on disk")

    def _acknowledged(self, op: Op) -> None:
        """A write's first acknowledgement has reached its client."""
        op.durable_at = self.cluster.holders(op.key, op.dots)
        if op.dots and len(op.durable_at) < self.options.w and not self._lost_lately(op.key):
            there = ", ".join(op.durable_at) or "none"
            self._wrong("durable", f"write {op.number} of {op.key} is acknowledged, and on disk at {there}")

    def end(self) -> None:
        """Whatever came of it: put it on paper, and let go of everything."""
        result, history = self.result, self.history
        result.digest = self.journal.digest()
        result.lines = self.journal.lines
        result.operations = self.workload.done
        outcomes = [op.outcome for op in history.ops if op.kind != "get"]
        result.acknowledged = outcomes.count("applied")
        result.ambiguous = outcomes.count("ambiguous")
        result.not_applied = outcomes.count("not_applied")
        result.failed_reads = sum(1 for op in history.ops if op.kind == "get" and op.outcome == "failed")
        result.faults = self.fate.bit
        result.packets = self.cluster.net.counts.packets
        result.records = self.witness.records
        result.reaped = self.witness.reaped(self.cluster.primaries)
        result.lives = sum(host.lives for host in self.cluster.all_hosts())
        result.virtual_s = self.world.now
        result.errors = self.journal.errors
        for host in self.cluster.all_hosts():
            if host.runs():
                host.kill()
        self._fate_loop.kill()
        self.cluster.clients_loop.kill()
