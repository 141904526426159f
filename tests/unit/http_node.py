"""A node for the tests of HTTP: a real server and real records, with everything behind the seams in memory.

`MemoryCoordinator` keeps one copy of each key and applies the real `put`, so causality is the real one; it can be told
to wait or to fail. `MemoryView` answers with fixed facts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dynkv.coordinator.results import Listed, Missing, ReadResult, Receipt, Scanner, Stretch, Trace, WriteResult
from dynkv.core import record as records
from dynkv.core import whereabouts
from dynkv.core.bucket import BucketSettings, Conflict
from dynkv.core.context import Tokens
from dynkv.core.errors import QuorumUnmet
from dynkv.core.levels import Levels
from dynkv.core.overview_rows import Overview
from dynkv.core.plan import Plan
from dynkv.core.record import Record
from dynkv.core.session import Demand
from dynkv.core.survey import NodeSurvey
from dynkv.core.write import Write
from dynkv.http.stats import HttpStats
from dynkv.http.view import HttpLimits
from dynkv.runtime import Clock, Random, SystemClock, SystemRandom, Tasks
from tests.unit.held_server import HeldServer
from tests.unit.http_raw import RawClient
from tests.unit.surveys import Told

ACTOR = 0xA1
TIME = 1_800_000_000_000 << 16  # 2027-01-15T08:00:00Z
SECRET = b"a secret of the tests"


class MemoryCoordinator:
    """One copy of each key. `error` is raised by every request; `gate` keeps requests in progress until it is set."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, bytes], Record] = {}
        self.writes: list[Write] = []
        self.levels: list[Levels] = []
        self.demands: list[Demand | None] = []
        self.inquiries = 0
        self.scans: list[tuple[Listed, Sequence[Stretch] | None, int | None]] = []
        self.error: Exception | None = None
        self.scan_error: Exception | None = None
        self.unmet: QuorumUnmet | None = None
        self.gate: asyncio.Event | None = None
        self.entered = 0
        self._time = TIME

    async def _enter(self, levels: Levels, trace: Trace | None) -> None:
        self.levels.append(levels)
        self.entered += 1
        if trace is not None:
            trace.note(trace.started + 0.001, "n1", "asked")
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def get(
        self, bucket: str, key: bytes, levels: Levels, trace: Trace | None = None, demand: Demand | None = None
    ) -> ReadResult:
        await self._enter(levels, trace)
        self.demands.append(demand)
        record = self.records.get((bucket, key))
        return ReadResult(record, b"" if record is None else records.digest(records.encode(record)))

    async def put(self, write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
        await self._enter(levels, trace)
        self.writes.append(write)
        self._time += 1 << 16
        where = (write.bucket, write.key)
        copy = self.records.get(where)
        context = copy.vector if copy is not None and conflict == "lww" else write.context
        own = () if write.demand is None else write.demand.own
        record = records.put(copy, context, ACTOR, self._time, write.value, write.content_type, write.write_id, own)
        self.records[where] = record
        encoded = records.encode(record)
        return WriteResult(
            ACTOR,
            dict(record.vector)[ACTOR],
            records.context_of_write(record, write.write_id),
            records.digest(encoded),
            len(records.shown(record)),
            {"n1": "ok", "n2": "ok"},
            ((ACTOR, dict(record.vector)[ACTOR]),),
        )

    async def put_many(self, writes: Sequence[tuple[Write, Levels, Conflict]]) -> list[WriteResult | Exception]:
        return await asyncio.gather(*(self._put_one(*write) for write in writes))

    async def _put_one(self, write: Write, levels: Levels, conflict: Conflict) -> WriteResult | Exception:
        try:
            return await self.put(write, levels, conflict)
        except Exception as error:  # noqa: BLE001 - handed on, as the real one does
            return error

    async def receipt(
        self, bucket: str, key: bytes, n: int, dot: tuple[int, int], timeout_s: float, enough: int
    ) -> Receipt:
        """n1 has what was written, n2 lags, n3 is away; each time that it is asked one more has it."""
        record = self.records.get((bucket, key))
        if record is None or not records.covers(record.vector, *dot):
            return Receipt([], ["n1", "n2"], {"n3": "unreachable"})
        self.inquiries += 1
        others = ("n2", "n3")[: self.inquiries - 1]
        unknown = {} if "n3" in others else {"n3": "unreachable"}
        return Receipt(["n1", *others], [] if others else ["n2"], unknown)

    def scan(self, listed: Listed, stretches: Sequence[Stretch] | None = None, limit: int | None = None) -> Scanner:
        """All keys in one order; a stretch counts by its `after`."""
        if self.scan_error is not None:
            raise self.scan_error
        self.scans.append((listed, stretches, limit))
        beyond = b"" if stretches is None else stretches[0].after
        lww = listed.conflict == "lww"
        keys = sorted(
            key
            for (bucket, key), record in self.records.items()
            if bucket == listed.bucket
            and key.startswith(listed.prefix)
            and key > beyond
            and not records.shows_nothing(record, lww)
        )
        return MemoryScanner(keys, limit, self.unmet, self.gate)


class MemoryScanner:
    """Steps of two keys; `unmet` ends it, told for partition 7."""

    def __init__(
        self, keys: Sequence[bytes], limit: int | None, unmet: QuorumUnmet | None, gate: asyncio.Event | None
    ) -> None:
        self._keys = list(keys)
        self._left = len(keys) if limit is None else limit
        self._gate = gate
        self.unmet: QuorumUnmet | None = None
        self.missing: list[Missing] = []
        self._last = unmet
        self._told = b""

    async def step(self) -> Sequence[bytes]:
        if self._gate is not None:
            await self._gate.wait()
        count = min(2, self._left)
        self._left -= count
        step, self._keys = self._keys[:count], self._keys[count:]
        if not self._keys and not step and self._last is not None:
            self.unmet = self._last
            self.missing = [Missing(7, self._last.detail)]
        self._told = step[-1] if step else self._told
        return step

    def rest(self) -> Sequence[Stretch]:
        return (Stretch(7, 7, self._told),) if self._keys or self.missing else ()


class MemoryView:
    """Facts of a node that has settings and tells what `told` says of its cluster; `error` if it cannot."""

    def __init__(self, limits: HttpLimits) -> None:
        self.node_id = "n1"
        self.clock: Clock = SystemClock()
        self.random: Random = SystemRandom()
        self.tokens = Tokens(SECRET)
        self.limits = limits
        self.settings: dict[str, BucketSettings] = {}
        self.reasons: list[str] = []
        self.told = Told(partitions=2)
        self.error: Exception | None = None
        self.looks = 0
        self.asked_where: list[tuple[str, bytes, float]] = []
        self.whereabouts = whereabouts.compare(Plan(1, ("n1",), ()), {"n1": whereabouts.Told(None)})
        self.runs: list[tuple[int | None, str | None]] = []

    def bucket_settings(self, name: str) -> BucketSettings:
        return self.settings.get(name, BucketSettings())

    async def set_bucket(self, name: str, settings: BucketSettings) -> None:
        self.settings[name] = settings.validate(3)

    def nodes(self) -> Mapping[str, Any]:
        said = {"http": None, "peer": "127.0.0.1:9101", "hints_owed": 0}
        states = {name: "self" if name == "n1" else "up" for name in ("n1", *self.told.ids)}
        return {"node": "n1", "nodes": [{"id": name, "state": state, **said} for name, state in states.items()]}

    def ring(self) -> Mapping[str, Any]:
        facts = self.told.facts
        preference = [list(nodes) for nodes in facts.preference]
        return {"partitions": facts.partitions, "n": facts.n, "members": self.told.ids, "preference": preference}

    def locate(self, bucket: str, key: bytes) -> Mapping[str, Any]:
        return {
            "bucket": bucket,
            "key": key.hex(),
            "token": "0",
            "partition": 0,
            "primaries": ["n1"],
            "preference": ["n1"],
        }

    async def where(self, bucket: str, key: bytes, timeout_s: float) -> whereabouts.Whereabouts:
        self.asked_where.append((bucket, key, timeout_s))
        if self.error is not None:
            raise self.error
        return self.whereabouts

    def hints(self) -> Mapping[str, Any]:
        return {"node": "n1", "targets": {"n2": {"count": 1, "bytes": 10, "oldest_age_s": 0.5}}, "paid": 3}

    def survey(self) -> NodeSurvey:
        survey = self.told.surveys[self.node_id]
        assert survey is not None
        return survey

    async def overview(self) -> Overview:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.told.overview()

    async def run_antientropy(self, partition: int | None, node: str | None) -> Mapping[str, Any]:
        self.runs.append((partition, node))
        return {"n1": 2, "n2": 1, "n3": None}

    def ready(self) -> Sequence[str]:
        return self.reasons

    def metrics(self) -> bytes:
        return b"# HELP dynkv_up 1 while the node runs\ndynkv_up 1\n"


class HttpNode:
    """A listening server and what is behind it."""

    def __init__(self, limits: HttpLimits) -> None:
        self.view = MemoryView(limits)
        self.coordinator = MemoryCoordinator()
        self.stats = HttpStats()
        self.tasks = Tasks()
        self.server = HeldServer(self.view, self.coordinator, self.tasks, self.stats)
        self.port = 0


@asynccontextmanager
async def http_node(**limits: Any) -> AsyncIterator[HttpNode]:
    """A node on a free port of 127.0.0.1, stopped with nothing left behind; its answers are all as described."""
    node = HttpNode(HttpLimits(**limits))
    node.port = await node.server.start("127.0.0.1", 0)
    try:
        yield node
    finally:
        if not node.server.draining:
            await node.server.stop(5.0)
        await node.tasks.cancel()
    assert node.tasks.failures == 0
    assert not node.server.connections
    assert node.server.budget.held == 0
    assert not node.server.faults, "\n".join(node.server.faults)


Story = Callable[[HttpNode, RawClient], Awaitable[None]]


def play(story: Story, **limits: Any) -> None:
    """Run `story` with a node and one connection to it."""

    async def main() -> None:
        async with http_node(**limits) as node, await RawClient.connect(node.port) as client:
            await story(node, client)

    asyncio.run(main())
