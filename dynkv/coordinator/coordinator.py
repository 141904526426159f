"""The door for clients' requests: reads are run here, writes where the key is stored.

Only a node that stores the key may coordinate its writes (its dot must be in its own durable copy), so a write is
walked down the preference list: this node if it is a primary, else the first primary that can be reached, else the
first fallback. A try that fails without having reached anybody goes on to the next node; so does one that may have
reached somebody, because it carries its write id, and two siblings with one write id are shown once. A node that lags
is not waited for: the next is tried beside it.
"""

import asyncio
from collections.abc import Sequence

import structlog

from dynkv.coordinator.agreed import agreed
from dynkv.coordinator.checked import check_forward
from dynkv.coordinator.forward import ForwardedWrite
from dynkv.coordinator.hold import Subject
from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.read import ReadRequest
from dynkv.coordinator.receipts import Inquiry
from dynkv.coordinator.results import Listed, ReadResult, Receipt, Stretch, Trace, WriteResult
from dynkv.coordinator.scan import Scan
from dynkv.coordinator.session import read_in_session
from dynkv.coordinator.together import Ask, Together, parted
from dynkv.coordinator.write import WriteRequest
from dynkv.core.bucket import Conflict
from dynkv.core.errors import (
    QuorumUnmet,
    RequestError,
    ServiceError,
    SessionBehind,
    StoreError,
    StoreWriteFailed,
)
from dynkv.core.levels import Levels
from dynkv.core.session import Demand
from dynkv.core.write import Write
from dynkv.peer.messages import Answer, Failed, Forward, Forwarded, Unmet

log = structlog.get_logger("dynkv.coordinator")


class NodeCoordinator:
    """The `Coordinator` of a running node."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def get(
        self, bucket: str, key: bytes, levels: Levels, trace: Trace | None = None, demand: Demand | None = None
    ) -> ReadResult:
        if demand is None:
            return await self._get(bucket, key, levels, trace)
        around = self._around
        plan, deadline = around.placing.plan(bucket, key, levels.n), around.clock.now() + levels.timeout_ms / 1000
        subject = Subject(bucket, key, plan, deadline, trace)
        return await read_in_session(around, self._get, subject, levels, demand)

    async def _get(self, bucket: str, key: bytes, levels: Levels, trace: Trace | None) -> ReadResult:
        started, lagging = self._around.clock.now(), ""
        if trace is None:
            found, lagging = await agreed(self._around, bucket, key, levels)
            if found is not None:
                return found
        return await ReadRequest(self._around, bucket, key, levels, trace, started, lagging).run()

    async def put(self, write: Write, levels: Levels, conflict: Conflict, trace: Trace | None = None) -> WriteResult:
        around = self._around
        plan = around.placing.plan(write.bucket, write.key, levels.n)
        refused: StoreError | None = None
        if around.node in plan.primaries:
            try:
                return await WriteRequest(around, write, levels, conflict, plan, trace).run()
            except StoreError as error:
                refused = error  # this node's disk refuses: another replica can still coordinate
                if trace is not None:
                    trace.note(around.clock.now(), around.node, f"own disk refused: {error}")
        return await ForwardedWrite(around, write, levels, conflict, plan, trace, refused).run()

    async def put_many(self, writes: Sequence[tuple[Write, Levels, Conflict]]) -> list[WriteResult | Exception]:
        around = self._around
        plan = around.placing.plan
        asks = [
            Ask(number, write, levels, conflict, plan(write.bucket, write.key, levels.n))
            for number, (write, levels, conflict) in enumerate(writes)
        ]
        parts, alone = parted(around, asks)
        outcomes: list[WriteResult | Exception | None] = [None] * len(writes)
        await asyncio.gather(
            *(self._put_together(part, outcomes) for part in parts), *(self._put_alone(ask, outcomes) for ask in alone)
        )
        return [outcome for outcome in outcomes if outcome is not None]

    async def _put_alone(self, ask: Ask, outcomes: list[WriteResult | Exception | None]) -> None:
        try:
            outcomes[ask.number] = await self.put(ask.write, ask.levels, ask.conflict)
        except Exception as error:  # noqa: BLE001 - handed on: the others have theirs, whatever this is
            outcomes[ask.number] = error

    async def _put_together(self, part: Sequence[Ask], outcomes: list[WriteResult | Exception | None]) -> None:
        refused: list[tuple[Ask, StoreError]] = []
        for ask, outcome in zip(part, await Together(self._around, part).run(), strict=True):
            outcomes[ask.number] = outcome
            if isinstance(outcome, StoreError):
                refused.append((ask, outcome))
        await asyncio.gather(*(self._put_elsewhere(*one, outcomes) for one in refused))

    async def _put_elsewhere(
        self, ask: Ask, refused: StoreError, outcomes: list[WriteResult | Exception | None]
    ) -> None:
        """As with a single write: this node's disk refuses, but another replica can still coordinate."""
        write = ForwardedWrite(self._around, ask.write, ask.levels, ask.conflict, ask.plan, None, refused)
        try:
            outcomes[ask.number] = await write.run()
        except Exception as error:  # noqa: BLE001 - as above
            outcomes[ask.number] = error

    async def receipt(
        self, bucket: str, key: bytes, n: int, dot: tuple[int, int], timeout_s: float, enough: int
    ) -> Receipt:
        return await Inquiry(self._around, bucket, key, n, dot).run(timeout_s, enough)

    def scan(self, listed: Listed, stretches: Sequence[Stretch] | None = None, limit: int | None = None) -> Scan:
        return Scan(self._around, self.get, listed, stretches, limit)

    async def serve_forward(self, message: Forward, timeout_s: float) -> Answer:
        """Coordinate a write for a node that does not store the key. Never raises; never forwards again."""
        try:
            return await self._serve_forward(message, timeout_s)
        except QuorumUnmet as error:
            return Unmet(
                error.outcome or "ambiguous",
                error.detail,
                tuple(error.needed.items()),
                tuple(error.got.items()),
                tuple(error.replicas.items()),
            )
        except RequestError as error:
            return Failed(f"bad request: {error.kind}", "\n".join((error.field, error.detail, error.limit)), False)
        except SessionBehind as error:
            return Failed(error.kind, f"{error.guarantee}\n{error.detail}", False)
        except ServiceError as error:
            return Failed(error.kind, error.detail, False)
        except StoreError as error:
            return Failed("store failed", str(error), isinstance(error, StoreWriteFailed))
        except Exception as error:  # a defect of ours: the peer must not wait for an answer that never comes
            log.error("a forwarded write failed", exc_info=error)
            return Failed("internal", type(error).__name__, True)

    async def _serve_forward(self, message: Forward, timeout_s: float) -> Answer:
        around = self._around
        everybody = around.placing.plan(message.bucket, message.key, 1)
        check_forward(message, len(everybody.primaries) + len(everybody.fallbacks))
        plan = around.placing.plan(message.bucket, message.key, message.n)
        if not message.sloppy and around.node not in plan.primaries:
            return Failed("no primary", "this node is no primary of the key, and the write is strict", False)
        write = Write(
            message.bucket,
            message.key,
            message.context,
            message.value,
            message.content_type,
            message.write_id,
            message.demand,
            message.update,
            message.repeated,
            message.returns,
        )
        levels = Levels(message.n, 0, 0, message.w, message.pw, max(1, int(timeout_s * 1000)), message.sloppy)
        result = await WriteRequest(around, write, levels, message.conflict, plan, None).run()
        replicas = tuple(result.replicas.items())
        return Forwarded(
            result.actor,
            result.counter,
            result.context,
            result.digest,
            result.siblings,
            replicas,
            result.covering,
            result.state,
        )
