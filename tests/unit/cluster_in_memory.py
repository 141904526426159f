"""A cluster in one loop: real nodes but for their sockets and disks, and a wire that does what a test says.

    await c.put("n1", KEY, b"v")          # through n1's coordinator
    c.away.add("n3")                      # nobody reaches n3, and all know it
    c.rule = lambda call: HOLD if call.target == "n2" else None   # n2 is silent: its calls time out, or are let go

A `Node` is what `node.py` wires: replica, hints, membership, coordinator, inbound, read repair, handoffs, over a
MemoryStore. `Wire` is a Transport that hands a call to the target's `Inbound` in a later turn of the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from dynkv.convergence import Convergence
from dynkv.coordinator.bucket import SetBucket
from dynkv.coordinator.coordinator import NodeCoordinator
from dynkv.coordinator.plan import Counters, Surroundings
from dynkv.coordinator.results import ReadResult, WriteResult
from dynkv.core import record as records
from dynkv.core.bucket import BucketSettings, Conflict
from dynkv.core.errors import StoreError
from dynkv.core.hlc import HybridClock
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.recent import RecentWrites
from dynkv.core.record import Vector
from dynkv.core.refilling import Refilling
from dynkv.core.write import Write
from dynkv.hints import HintBook
from dynkv.identity import Identity
from dynkv.inbound import Inbound
from dynkv.membership import Membership
from dynkv.peer.gossip_messages import MemberEntry
from dynkv.peer.messages import Answer, Request
from dynkv.peer.transport import Done, Failure, Outcome, PeerStatus
from dynkv.repair.handoff import Handoff, Rate
from dynkv.repair.read_repair import ReadRepair
from dynkv.replica import Replica, ReplicaLimits
from dynkv.runtime import SystemClock, SystemRandom, Tasks
from dynkv.storage.memory import MemoryDisk, MemoryStore
from dynkv.trees import Trees
from tests.support import eventually_async

BUCKET = "b"
PARTITIONS = 16
HOLD: Final = "hold"
LOSE_ANSWER: Final = "lose answer"


class Caller(msgspec.Struct):
    """A call on the wire, as a rule sees it."""

    source: str
    target: str
    message: Request


Verdict = Outcome | str | None
"""None: deliver it. An Outcome: that is what the caller hears. HOLD: keep it. LOSE_ANSWER: deliver, answer nothing."""


class Wire:
    """The Transport of one node."""

    def __init__(self, cluster: "Cluster", node: str) -> None:
        self._cluster = cluster
        self._node = node
        self._loop = asyncio.get_running_loop()

    def request(self, node: str, message: Request, timeout_s: float, done: Done) -> None:
        heard = False

        def once(outcome: Outcome) -> None:
            nonlocal heard
            if not heard:
                heard = True
                timer.cancel()
                done(outcome)

        timer = self._loop.call_later(max(0.0, timeout_s), once, Failure("timed out", True))
        self._loop.call_soon(self._carry, Caller(self._node, node, message), timeout_s, once)

    def _carry(self, call: Caller, timeout_s: float, once: Done) -> None:
        cluster = self._cluster
        cluster.calls.append(call)
        if not self.available(call.target):
            once(Failure("unreachable", False))
            return
        verdict = cluster.rule(call)
        if verdict == HOLD:
            cluster.held.append(lambda: self._deliver(call, timeout_s, once))
        elif verdict == LOSE_ANSWER:
            self._deliver(call, timeout_s, lambda outcome: None)
        elif verdict is None:
            self._deliver(call, timeout_s, once)
        else:
            assert not isinstance(verdict, str)
            once(verdict)

    def _deliver(self, call: Caller, timeout_s: float, once: Done) -> None:
        replies: list[Answer] = []

        def reply(answer: Answer) -> None:
            replies.append(answer)
            assert len(replies) == 1, "a call is answered exactly once"
            self._loop.call_soon(once, answer)

        target = self._cluster.nodes[call.target]
        target.inbound.handle(call.source, call.message, target.clock.now() + timeout_s, reply)

    def available(self, node: str) -> bool:
        away = self._cluster.away
        return node not in away and self._node not in away

    def sluggish(self, node: str) -> bool:
        return node in self._cluster.sluggish

    def hedge_delay_s(self) -> float:
        return self._cluster.hedge_s

    def peers(self) -> dict[str, PeerStatus]:
        return {}

    def on_change(self, listener: Callable[[str, bool], None]) -> None:
        """Nobody here waits for news: tests step the handoffs themselves."""

    async def close(self) -> None:
        """Nothing to close."""


def lives(start_count: int, last: int = 0) -> tuple[int, ...]:
    """Ids of the newest starts of a directory that was never copied; `last` if the last one is another."""
    known = [1000 + start for start in range(max(1, start_count - 7), start_count + 1)]
    return (*known[:-1], last or known[-1])


class Node:
    """One life of one node."""

    def __init__(self, cluster: "Cluster", name: str, start_count: int, incarnation: int) -> None:
        self.name = name
        self.clock = SystemClock()
        self.tasks = Tasks()
        self.counters = Counters()
        self.convergence = Convergence()
        self.identity = Identity(name, incarnation, start_count, lives(start_count), confirmed=False, complete=True)
        self.disk = cluster.disks[name]
        self.store = MemoryStore(self.disk, "synced", clock=self.clock, renew=self._renewed, retry_every_s=0.02)
        self.store.on_reopened = self._reopened
        self.hints = HintBook(self.store)
        self.went_back: list[int] = []
        self.membership = Membership(
            self.store,
            self.identity,
            self.entry(),
            cluster.names,
            partitions=PARTITIONS,
            defaults=cluster.defaults,
            went_back=self.went_back.append,
            fell_short=lambda: None,
        )
        self.trees = Trees(1, PARTITIONS, lambda bucket: self.membership.bucket(bucket).n)
        self.replica = Replica(
            self.store,
            self.identity,
            self.hints,
            self.trees,
            clock=self.clock,
            random=SystemRandom(),
            hlc=HybridClock(self.clock.wall_ms()),
            recent=RecentWrites(1000),
            limits=cluster.limits,
        )
        self.membership.on_n_changed = self.replica.n_changed
        self.wire = Wire(cluster, name)
        self.repair = ReadRepair(name, self.replica, self.wire, self.clock, self.convergence)
        self.around = Surroundings(
            name,
            self.replica,
            self.membership,
            self.wire,
            Refilling(),
            self.clock,
            asyncio.get_running_loop(),
            self.repair.disagreement,
            self.counters,
            self.convergence,
        )
        self.coordinator = NodeCoordinator(self.around)
        self.inbound = Inbound(self.replica, self.coordinator, self.membership, clock=self.clock, tasks=self.tasks)
        self.buckets = SetBucket(name, self.membership, self.replica, self.wire)
        self.handoffs = {target: self._handoff(cluster, target) for target in cluster.names if target != name}

    def entry(self) -> MemberEntry:
        identity = self.identity
        return MemberEntry(
            self.name, identity.start_count, identity.incarnation, identity.lives, "127.0.0.1:1", 1.0, "", "", ""
        )

    def _handoff(self, cluster: "Cluster", target: str) -> Handoff:
        return Handoff(
            target,
            store=self.store,
            replica=self.replica,
            hints=self.hints,
            transport=self.wire,
            clock=self.clock,
            convergence=self.convergence,
            rate=Rate(1e6, 1e9),
            members=tuple(cluster.names),
            is_primary=lambda bucket, key: self.membership.is_primary(self.name, bucket, key),
        )

    def _renewed(self, why: str) -> None:
        self.identity.incarnation += 1
        self.identity.start_count += 1

    def _reopened(self) -> None:
        self.replica.forget_memory()
        self.membership.renew(self.entry())

    def owes(self) -> dict[str, int]:
        """What is owed, by the counts in memory."""
        return {target: backlog.count for target, backlog in self.hints.backlogs.items() if backlog.count}


class Cluster:
    """Nodes n1, n2, ...; every test makes its own."""

    def __init__(self, size: int = 3, *, defaults: BucketSettings | None = None, limits: ReplicaLimits | None = None):
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.defaults = defaults or BucketSettings()
        self.limits = limits or ReplicaLimits()
        self.disks = {name: MemoryDisk() for name in self.names}
        self.nodes: dict[str, Node] = {}
        self.away: set[str] = set()
        self.sluggish: set[str] = set()
        self.hedge_s = 0.01
        self.rule: Callable[[Caller], Verdict] = lambda call: None
        self.calls: list[Caller] = []
        self.held: list[Callable[[], None]] = []
        for number, name in enumerate(self.names, 1):
            self.nodes[name] = Node(self, name, 1, number * 1000)
        self.gossip()

    def gossip(self) -> None:
        """Everybody hears of everybody."""
        for _ in range(2):
            for one in self.nodes.values():
                for other in self.nodes.values():
                    if one is not other:
                        one.membership.take(other.membership.gossip(one.name), other.name)

    def restart(self, name: str, *, clean: bool = True) -> Node:
        """A new life over the same disk; what was not synced is what the process wrote, unless the test lost it."""
        before = self.nodes[name]
        before.store.crash()
        identity = before.identity
        incarnation = identity.incarnation if clean else identity.incarnation + 1
        node = self.nodes[name] = Node(self, name, identity.start_count + 1, incarnation)
        self.gossip()
        return node

    def release(self) -> None:
        """Deliver all that was held."""
        held, self.held = self.held, []
        for deliver in held:
            deliver()

    def plan(self, key: bytes, n: int | None = None) -> Plan:
        return self.nodes["n1"].membership.plan(BUCKET, key, n or self.defaults.n)

    def key(self, fits: Callable[[Plan], bool]) -> bytes:
        """Some key whose plan fits."""
        return next(key for number in range(10_000) if fits(self.plan(key := b"k%d" % number)))

    async def put(
        self,
        at: str,
        key: bytes,
        value: bytes | None,
        *,
        context: Vector = (),
        write_id: bytes | None = None,
        conflict: Conflict = "siblings",
        levels: Levels | None = None,
    ) -> WriteResult:
        write_id = write_id or SystemRandom().token(8)
        write = Write(BUCKET, key, context, value, "text/plain", write_id)
        return await self.nodes[at].coordinator.put(write, levels or self.levels(), conflict)

    async def get(self, at: str, key: bytes, levels: Levels | None = None) -> ReadResult:
        return await self.nodes[at].coordinator.get(BUCKET, key, levels or self.levels())

    def levels(
        self,
        *,
        r: int | None = None,
        w: int | None = None,
        pr: int = 0,
        pw: int = 0,
        timeout_ms: int = 1000,
        sloppy: bool = True,
    ) -> Levels:
        defaults = self.defaults
        return Levels(defaults.n, r or defaults.r, pr, w or defaults.w, pw, timeout_ms, sloppy)

    def held_by(self, name: str, key: bytes) -> list[bytes | None] | None:
        """The sibling values at one node, sorted; None if it has no copy."""
        replica = self.nodes[name].replica
        copy = replica.read(replica.partition(BUCKET, key), BUCKET, key)
        return None if copy is None else values(records.decode(copy.record))

    def holders(self, key: bytes) -> set[str]:
        return {name for name in self.names if self.held_by(name, key) is not None}

    def debtors(self, key: bytes, target: str) -> set[str]:
        """Who has a marker for (target, key) and the record beside it."""
        found = set()
        for name, node in self.nodes.items():
            partition = node.replica.partition(BUCKET, key)
            try:
                if node.hints.get(target, partition, BUCKET, key) and self.held_by(name, key) is not None:
                    found.add(name)
            except StoreError:
                continue  # its disk fails: it can pay nothing
        return found

    async def pay(self) -> None:
        """Step all handoffs until nobody who can be reached is owed anything."""

        async def paid() -> bool:
            for node in self.nodes.values():
                for handoff in node.handoffs.values():
                    await handoff.step()
            return not any(
                count
                for name, node in self.nodes.items()
                for target, count in node.owes().items()
                if not {name, target} & self.away
            )

        await eventually_async(paid, what="all hints paid")

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        async def asked() -> object:
            return condition()

        await eventually_async(asked, what=what)


def values(record: records.Record | None) -> list[bytes | None]:
    """The sibling values, sorted."""
    siblings: Sequence[records.Sibling] = () if record is None else record.siblings
    return sorted((sibling.value for sibling in siblings), key=lambda value: value or b"")


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run one test on a fresh loop."""

    async def main() -> None:
        await test()

    asyncio.run(main())
