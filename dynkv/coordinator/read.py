"""One read, from this node's point of view.

    Read this node's own copy, if it is a replica of the key: that is free.
    Ask as many other replicas as r still needs, primaries first, the promptest first. One is asked for the record, the
    others for its digest; if this node holds the record, all are asked for digests.
    Count answers (`core.quorum.ReadQuorum`). A digest that no known record explains: fetch that record.
    A replica that fails, or that has not answered within the hedge delay: ask the next one too.
    Primaries exhausted, sloppy: ask fallbacks. One that holds nothing has no vote; lend it the record, with a hint for
    the primary that it stands in for, and it has one.
    r and pr met: answer with the merge of what was found. At the deadline: say who answered what.
    After the answer: whoever turned out to be behind is sent the merged record; late answers are compared too.

The decision is `ReadQuorum`; this object only asks, and waits on one future.
"""

import asyncio
from functools import partial

import structlog

from dynkv.coordinator.plan import Surroundings, nearest_first, words
from dynkv.coordinator.results import ReadResult, Trace
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, QuorumUnmet, ServiceError, StoreError
from dynkv.core.levels import Levels
from dynkv.core.plan import Plan
from dynkv.core.quorum import ReadQuorum
from dynkv.peer.messages import Absent, Applied, Apply, Found, Read
from dynkv.peer.transport import Outcome

log = structlog.get_logger("dynkv.coordinator")


class ReadRequest:
    """A read in progress. Make one, `await run()`, throw it away."""

    __slots__ = (
        "_answer",
        "_around",
        "_bucket",
        "_candidates",
        "_deadline",
        "_full",
        "_key",
        "_lagging",
        "_lending",
        "_levels",
        "_missing",
        "_outstanding",
        "_plan",
        "_quorum",
        "_timer",
        "_trace",
    )

    def __init__(
        self,
        around: Surroundings,
        bucket: str,
        key: bytes,
        levels: Levels,
        trace: Trace | None,
        started: float,
        lagging: str = "",
    ) -> None:
        """`started`: when the request came. `lagging`: a primary that was asked and has not answered within the hedge
        delay: it is asked last, so that it costs the client one such delay and not two."""
        self._around = around
        self._bucket = bucket
        self._key = key
        self._levels = levels
        self._trace = trace
        self._plan: Plan = around.placing.plan(bucket, key, levels.n)
        self._quorum = ReadQuorum(levels.r, levels.pr, self._plan.primaries, levels.sloppy)
        self._lagging = lagging
        self._deadline = started + levels.timeout_ms / 1000
        self._candidates: list[str] = []
        self._missing: list[str] = []  # primaries that cannot be asked, each to be stood in for by one fallback
        self._outstanding: set[str] = set()
        self._full: set[str] = set()  # those outstanding that were asked for the record
        self._lending: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[ReadResult] | None = None

    async def run(self) -> ReadResult:
        """The answer. QuorumUnmet if r or pr cannot be met by the deadline."""
        self._around.counters.reads += 1
        self._around.counters.hedged_reads += bool(self._lagging)
        self._read_own()
        if self._quorum.enough():
            return self._result()
        self._line_up()
        self._answer = self._around.loop.create_future()
        self._advance()
        if not self._answer.done():
            self._timer = self._around.loop.call_later(self._around.transport.hedge_delay_s(), self._hedge)
        try:
            return await self._answer
        finally:
            if self._timer is not None:
                self._timer.cancel()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _read_own(self) -> None:
        around = self._around
        node = around.node
        primary = node in self._plan.primaries
        try:
            copy = around.replica.read(self._plan.partition, self._bucket, self._key)
        except StoreError as error:
            self._note(node, f"own copy unreadable: {error}")
            self._quorum.failed(node, "read failed")
            return
        identity = around.replica.identity
        # What may be an old copy is shown to who asks for no more than one, and is a vote in no quorum.
        complete = identity.complete_in(self._plan.partition) and (identity.confirmed or self._levels.r == 1)
        if copy is not None:
            self._note(node, "own copy found")
            self._quorum.found(node, copy.digest, copy.record, complete)
        elif primary:
            self._note(node, "own copy: not found")
            self._quorum.not_found(node, complete)

    def _line_up(self) -> None:
        """Order the replicas to ask; those known to be away are not asked."""
        around = self._around
        others = [node for node in self._plan.primaries if node != around.node]
        self._candidates = around.refilling.last(nearest_first(around.transport, others), around.clock.now())
        if len(self._candidates) < len(others):
            self._missing = [node for node in others if node not in self._candidates]
            for node in self._missing:
                self._note(node, "not asked: down or suspected")
                self._quorum.failed(node, "unreachable")
        if self._levels.sloppy and self._plan.fallbacks:
            fallbacks = [node for node in self._plan.fallbacks if node != around.node]
            self._candidates += nearest_first(around.transport, fallbacks)
        self._candidates.sort(key=self._lagging.__eq__)  # stable: only who lags moves, to the end

    def _ask(self, node: str, *, full: bool) -> None:
        self._outstanding.add(node)
        if full:
            self._full.add(node)
        if self._trace is not None:
            self._note(node, "asked for the record" if full else "asked for its digest")
        message = Read(self._bucket, self._key, full)
        self._around.transport.request(node, message, self._left(), partial(self._heard, node))

    def _advance(self) -> None:
        """Ask whoever must be asked for the quorum to become possible; settle if it is met or cannot be."""
        quorum = self._quorum
        if self._settled():
            return
        if quorum.enough():
            self._settle()
            return
        self._fetch_unexplained()
        votes_r, votes_pr = quorum.votes()
        hoped = votes_r + len(self._outstanding) + len(self._lending)
        while hoped < self._levels.r or votes_pr + self._primaries_outstanding() < self._levels.pr:
            if not self._ask_next(full=not quorum.records and not self._full):
                break
            hoped += 1
        if not self._outstanding:
            while votes_r + len(self._lending) < self._levels.r and self._lend():
                pass
            if not self._lending:
                self._give_up("too few replicas can be reached")

    def _ask_next(self, *, full: bool) -> bool:
        """Ask the next replica in line, if there is one."""
        if not self._candidates:
            return False
        self._ask(self._candidates.pop(0), full=full)
        return True

    def _fetch_unexplained(self) -> None:
        # While a record is on its way it may explain these digests too.
        if not self._full:
            for node in self._quorum.unexplained():
                if node not in self._outstanding:
                    self._ask(node, full=True)

    def _primaries_outstanding(self) -> int:
        return sum(1 for node in self._outstanding if node in self._plan.primaries)

    def _lend(self) -> bool:
        """Give the record found to a fallback that has none, for a primary that is away; whether one was asked."""
        quorum = self._quorum
        if not (self._levels.sloppy and quorum.records and self._missing):
            return False
        if quorum.votes()[1] + len(self._missing) < self._levels.pr:
            return False
        for node in list(quorum.absent):
            if node not in self._plan.primaries and node not in self._lending and self._missing:
                target = self._missing.pop(0)
                self._lending.add(node)
                self._around.counters.lent += 1
                self._note(node, f"lent the record, with a hint for {target}")
                record, digest = self._merged()
                quorum.records[digest] = record  # so that what the fallback then holds is explained
                message = Apply(self._bucket, self._key, record, target)
                self._around.transport.request(node, message, self._left(), partial(self._lent, node))
                return True
        return False

    # --- hearing ------------------------------------------------------------------------------------------------------

    def _heard(self, node: str, outcome: Outcome) -> None:
        self._outstanding.discard(node)
        asked_full = node in self._full
        self._full.discard(node)
        late = self._settled()
        quorum = self._quorum
        if isinstance(outcome, Found | Absent) and not outcome.complete:
            self._around.refilling.heard(node, self._around.clock.now())
        if isinstance(outcome, Found):
            if (outcome.record or asked_full) and not records.is_sound(outcome.record, outcome.digest):
                self._note(node, "sent a damaged record")
                quorum.failed(node, "sent a damaged record")
            else:
                self._note(node, "found")
                quorum.found(node, outcome.digest, outcome.record, outcome.complete)
        elif isinstance(outcome, Absent):
            self._note(node, "not found" if node in self._plan.primaries else "not found, which does not count")
            quorum.not_found(node, outcome.complete)
        else:
            self._note(node, words(outcome))
            quorum.failed(node, words(outcome))
            if node in self._plan.primaries and node not in self._missing:
                self._missing.append(node)
        try:
            if late:
                self._compare_late(node)
            else:
                self._advance()
        except DamagedRecord as error:
            self._contradiction(error)

    def _lent(self, node: str, outcome: Outcome) -> None:
        self._lending.discard(node)
        if isinstance(outcome, Applied):
            self._quorum.lent(node, outcome.digest)
            self._note(node, "holds the record now")
        else:
            self._quorum.failed(node, words(outcome))
        if not self._settled():
            try:
                self._advance()
            except DamagedRecord as error:
                self._contradiction(error)

    def _hedge(self) -> None:
        """Nothing decided within the hedge delay: ask one more, then wait for the deadline."""
        self._timer = None
        if self._settled():
            return
        left = self._left()
        if left <= 0:
            self._give_up("the deadline passed")
            return
        if self._ask_next(full=not self._quorum.records):
            self._around.counters.hedged_reads += 1
            left = min(left, self._around.transport.hedge_delay_s())
        self._timer = self._around.loop.call_later(left, self._hedge)

    # --- settling -----------------------------------------------------------------------------------------------------

    def _settled(self) -> bool:
        return self._answer is None or self._answer.done()

    def _settle(self) -> None:
        assert self._answer is not None
        self._note(self._around.node, "quorum met")
        self._answer.set_result(self._result())

    def _give_up(self, why: str) -> None:
        assert self._answer is not None
        self._around.counters.reads_unmet += 1
        votes_r, votes_pr = self._quorum.votes()
        replicas = self._quorum.replicas()
        for node in self._outstanding:
            replicas.setdefault(node, "no answer yet")
        got = {"r": votes_r, "pr": votes_pr}
        needed = {"r": self._levels.r, "pr": self._levels.pr}
        detail = f"read quorum not met: {why}; r={needed['r']} got {votes_r}, pr={needed['pr']} got {votes_pr}"
        self._answer.set_exception(QuorumUnmet(detail, outcome=None, needed=needed, got=got, replicas=replicas))

    def _contradiction(self, error: DamagedRecord) -> None:
        """Two sound records cannot be merged: a rule was broken somewhere. Show neither, repair neither."""
        log.error("replicas contradict each other", bucket=self._bucket, error=str(error))
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ServiceError(f"replicas contradict each other: {error}"))

    def _merged(self) -> tuple[bytes, bytes]:
        """(canonical bytes, digest) of the merge of all records known."""
        found = self._quorum.records
        if len(found) == 1:
            ((digest, record),) = found.items()
            return record, digest
        merged = b""
        for record in found.values():
            merged = record if not merged else records.merge_encoded(merged, record)
        return merged, records.digest(merged)

    def _result(self) -> ReadResult:
        if not self._quorum.records:
            return ReadResult(None, b"")
        merged, digest = self._merged()
        behind = self._quorum.behind(digest)
        if behind:
            self._around.disagreement(self._bucket, self._key, merged, digest, behind)
        return ReadResult(records.decode(merged), digest, tuple(self._quorum.holders(digest)))

    def _compare_late(self, node: str) -> None:
        """An answer after the answer: if it differs, learn what it holds and repair whoever is behind."""
        if node in self._quorum.unexplained():
            if node not in self._outstanding and self._left() > 0:
                self._ask(node, full=True)
            return
        if self._quorum.records:
            merged, digest = self._merged()
            behind = self._quorum.behind(digest)
            if behind:
                self._around.disagreement(self._bucket, self._key, merged, digest, behind)

    def _left(self) -> float:
        return self._deadline - self._around.clock.now()

    def _note(self, node: str, what: str) -> None:
        if self._trace is not None:
            self._trace.note(self._around.clock.now(), node, what)
