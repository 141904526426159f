"""The hand of fate: makes the planned faults happen, and at the end takes them all back.

Faults that destroy data happen only while the store's promise holds: all that was acknowledged, and is on this disk,
must be on another too. (With w=2 of 3 a write that two replicas have is safe from the loss of one of them, not of both.
So whoever loses a disk must be refilled before the next may lose one.) That is looked up on the disks themselves; an
episode waits for it, and is left out if the moment does not come.
"""

from collections.abc import Awaitable, Callable

from dynkv.runtime import pause
from dynkv.sim.chance import Chance
from dynkv.sim.cluster import SimCluster
from dynkv.sim.history import History
from dynkv.sim.host import Host
from dynkv.sim.inside import known_lives
from dynkv.sim.plan import Episode
from dynkv.sim.witness import Witness, covers

LOOK_S = 0.25
# How long an episode waits for a host that no other is at work on.
PATIENCE_S = 10.0
# A process that ended by itself is started again after so long, as by a supervisor.
RESTART_S = (0.5, 3.0)


class Fate:
    """One run's. `bit`: how many episodes of each kind did something."""

    def __init__(self, cluster: SimCluster, history: History, witness: Witness) -> None:
        self.cluster = cluster
        self.history = history
        self.witness = witness
        self.bit: dict[str, int] = {}
        self.over = False
        self.busy: set[str] = set()
        """Hosts that an episode is at work on: no other stops or starts them."""
        self._chance = Chance(cluster.options.seed, "supervisor")

    async def happen(self, episode: Episode, how: "How") -> None:
        """Let one episode happen, in its time."""
        await pause(episode.at - self.cluster.world.now)
        if self.over:
            return
        chance = Chance(self.cluster.options.seed, f"episode {episode.number}")
        await how(Scene(self, episode, chance))

    async def supervise(self) -> None:
        """Start again what ended by itself."""
        while True:
            await pause(LOOK_S)
            for host in self.cluster.all_hosts():
                if not host.runs() and host.name not in self.busy:
                    self.busy.add(host.name)
                    await pause(self._chance.uniform(*RESTART_S))
                    self.busy.discard(host.name)
                    if not host.runs():
                        host.start()

    def heal(self) -> None:
        """No fault any more, from now on."""
        self.over = True
        cluster = self.cluster
        cluster.journal.note("fate", "all faults end")
        for source, target in cluster.pairs():
            cluster.net.clear(source, target)
        for host in cluster.all_hosts():
            host.be_healthy()
        self.busy.clear()


class Scene:
    """What an episode acts with."""

    def __init__(self, fate: Fate, episode: Episode, chance: Chance) -> None:
        self.fate = fate
        self.cluster = fate.cluster
        self.net = fate.cluster.net
        self.episode = episode
        self.seconds = episode.seconds
        self.chance = chance
        self._bit = False

    def note(self, what: str, **more: object) -> None:
        """It has happened."""
        if not self._bit:
            self._bit = True
            self.fate.bit[self.episode.kind] = self.fate.bit.get(self.episode.kind, 0) + 1
        self.cluster.journal.note("fate", f"{self.episode.kind}: {what}", episode=self.episode.number, **more)

    def over(self) -> bool:
        """Whether all faults have ended."""
        return self.fate.over

    async def last(self) -> bool:
        """Until the episode ends; false if all faults ended before."""
        await pause(self.seconds)
        return not self.over()

    # --- who ----------------------------------------------------------------------------------------------------------

    async def take_host(self) -> Host | None:
        """Some running host that no other episode is at work on, waited for a while; to be given back."""
        for _ in range(int(PATIENCE_S / LOOK_S)):
            free = [host for host in self.cluster.all_hosts() if host.runs() and host.name not in self.fate.busy]
            if self.over():
                return None
            if free:
                host = self.chance.pick(free)
                self.fate.busy.add(host.name)
                return host
            await pause(LOOK_S)
        return None

    def give_back(self, host: Host) -> None:
        self.fate.busy.discard(host.name)

    def some_ways(self) -> list[tuple[str, str]]:
        """Some directions: of one pair, of one node, or all."""
        names, clients = self.cluster.names, self.cluster.clients.name
        kind = self.chance.below(4)
        if kind == 0:
            one, other = self.chance.some(names, 2)
            return [(one, other)]
        if kind == 1:
            one, other = self.chance.some([*names, clients], 2)
            return [(one, other), (other, one)]
        if kind == 2:
            node = self.chance.pick(names)
            return [pair for pair in self.cluster.pairs() if node in pair]
        return list(self.cluster.pairs())

    # --- what may be lost ---------------------------------------------------------------------------------------------

    async def until_may_lose(self, host: Host) -> bool:
        """Wait until all of this host's data may be lost; false if the moment does not come in time."""
        for _ in range(max(1, int(self.seconds / LOOK_S))):
            if self.over():
                return False
            if self.may_lose(host):
                return True
            await pause(LOOK_S)
        return False

    def may_lose(self, host: Host) -> bool:
        """Whether another disk has the fate of every write that was acknowledged."""
        others = [self.cluster.vectors(name) for name in self.cluster.names if name != host.name]
        now, witness = self.cluster.world.now, self.fate.witness
        for op in self.fate.history.ops:
            if op.kind != "get" and op.acknowledged:
                if witness.forgotten(op.key, self.cluster.primaries(op.key), op.ended, now):
                    continue
                dots = op.dots or witness.dots_of(op.key, op.write_id)
                if not any(covers(there.get(op.key, ()), dot) for there in others for dot in dots):
                    return False
        return True

    def known_to_all(self, host: Host) -> bool:
        """Whether every other node has noted, durably, the life that this one is in or was in last."""
        others = [other for other in self.cluster.all_hosts() if other is not host]
        return all(known_lives(other).get(host.name) == host.life for other in others)

    def may_lose_key(self, host: Host, key: str) -> bool:
        """Whether another disk knows every event that this node knows of the key."""
        ours = self.cluster.on_disk(host.name, key, synced=False)
        others = [self.cluster.on_disk(name, key) for name in self.cluster.names if name != host.name]
        return ours is not None and any(
            record is not None and all(covers(record.vector, dot) for dot in ours.vector) for record in others
        )


How = Callable[[Scene], Awaitable[None]]
