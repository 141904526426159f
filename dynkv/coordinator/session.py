"""What a session adds to a read and to a write: they must know what it has seen of the key (see `core.session`).

Read at r, as always. If that does not cover what the session has seen, ask every member until it does (`core.search`).
If nobody can help: SessionBehind, at once or, if the request says so, after having waited for it.
Then, before it is shown, have what was found held by r replicas (`hold`): those that differed are sent it now and not
after the answer. Where they agreed this costs nothing.

    What that is good for: whoever reads the key later at levels with r + r > n finds it, also who was led there by some
    other key that the session wrote afterwards. Across keys this is all that there is, and it takes primaries
    (sloppy=false): the next reader may not ask the stand-in that one reader's r was met by.

A key that the session may have forgotten is read strictly: from primaries only, from a majority at least. That finds
what was written to a majority of primaries, or read from it.

Write: the copy that is to coordinate it must cover what the session has seen. If it does not, the same search, and what
is found is merged into it first. Whatever goes wrong until then, nothing is written.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

import structlog

from dynkv.coordinator.hold import Hold, Subject, note
from dynkv.coordinator.plan import Surroundings, words
from dynkv.coordinator.read import ReadRequest
from dynkv.coordinator.results import ReadResult, Trace
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, QuorumUnmet, ServiceError, SessionBehind, StoreError
from dynkv.core.levels import Levels
from dynkv.core.record import Record
from dynkv.core.search import Search, broken_guarantee, is_covered
from dynkv.core.session import Demand
from dynkv.peer.messages import Absent, Found, Read
from dynkv.peer.transport import Outcome
from dynkv.runtime import pause

log = structlog.get_logger("dynkv.coordinator")

# A request that waits looks again and again; who has not answered after so long is asked anew in the next look.
LOOK_S = 0.5
PAUSE_S = (0.01, 0.1)


class Reader(Protocol):
    """A read without a session."""

    def __call__(self, bucket: str, key: bytes, levels: Levels, trace: Trace | None) -> Awaitable[ReadResult]: ...


async def read_in_session(
    around: Surroundings, read: Reader, subject: Subject, levels: Levels, demand: Demand
) -> ReadResult:
    """A read that meets `demand`. QuorumUnmet, SessionBehind."""
    if demand.forgotten:
        levels = strict(levels)
    result = await read(subject.bucket, subject.key, levels, subject.trace)
    record, holders = result.record, result.holders
    behind: list[str] = []
    if not is_covered(record, demand.vector):
        search = await _find(around, subject, demand, record, writes=False)
        record, holders, behind = search.merged, search.holders(), search.behind()
    if record is None:
        return ReadResult(None, b"")
    holding = Hold(around, subject, levels, holders)
    if holding.done and record is result.record:
        return result
    encoded = records.encode(record)
    digest = records.digest(encoded)
    if not holding.done:
        await holding.run(encoded)
    elif behind:
        around.disagreement(subject.bucket, subject.key, encoded, digest, behind)
    return ReadResult(record, digest)


async def catch_up(around: Surroundings, subject: Subject, levels: Levels, demand: Demand) -> None:
    """Have this node's own copy meet `demand`, so that it can coordinate the session's write. QuorumUnmet and
    SessionBehind with the outcome `not_applied`; StoreError if this node's disk refused."""
    bucket, key, plan = subject.bucket, subject.key, subject.plan
    if demand.forgotten:
        found = await _majority(around, subject, levels)
    else:
        copy = around.replica.read(plan.partition, bucket, key)
        own = None if copy is None else records.decode(copy.record)
        if is_covered(own, demand.vector):
            return
        found = (await _find(around, subject, demand, own, writes=True)).merged
    if found is not None:
        # A copy at a fallback is owed to a primary, else it would stay there for good.
        hint_for = "" if around.node in plan.primaries else plan.primaries[0]
        around.replica.apply(bucket, key, records.encode(found), hint_for)
        note(around, subject, around.node, "own copy knows what the session has seen")


def strict(levels: Levels) -> Levels:
    """The levels of a read of what may have been forgotten."""
    return levels._replace(r=max(levels.r, levels.n // 2 + 1), sloppy=False)


async def _majority(around: Surroundings, subject: Subject, levels: Levels) -> Record | None:
    now = around.clock.now()
    timeout_ms = max(1, int((subject.deadline - now) * 1000))
    levels = strict(levels)._replace(pr=0, timeout_ms=timeout_ms)
    try:
        read = ReadRequest(around, subject.bucket, subject.key, levels, subject.trace, now)
        return (await read.run()).record
    except QuorumUnmet as error:
        error.outcome = "not_applied"
        raise


# --- the search -------------------------------------------------------------------------------------------------------


async def _find(
    around: Surroundings, subject: Subject, demand: Demand, record: Record | None, *, writes: bool
) -> Search:
    """A search that found what is demanded, or that it is nowhere. SessionBehind."""
    around.counters.session_searches += 1
    until = min(subject.deadline, around.clock.now() + demand.wait_ms / 1000)
    step, longest = PAUSE_S
    while True:
        search = Search(demand.vector, subject.plan.primaries, subject.plan.fallbacks, record)
        await _look(around, subject, search, LOOK_S if demand.wait_ms else subject.deadline - around.clock.now())
        if search.ask_again():
            await _look(around, subject, search, LOOK_S)
        if search.covered or search.nowhere:
            if search.nowhere:
                note(around, subject, around.node, "what the session has seen is nowhere any more")
            return search
        left = until - around.clock.now()
        if left <= 0:
            around.counters.session_behind += 1
            raise _behind(search, demand, writes=writes)
        await pause(min(step, left))
        step, record = min(2 * step, longest), search.merged


async def _look(around: Surroundings, subject: Subject, search: Search, seconds: float) -> None:
    """Ask whom the search awaits, for so long."""
    until = min(subject.deadline, around.clock.now() + seconds)
    answers: asyncio.Queue[tuple[str, Outcome]] = asyncio.Queue()
    for node in list(search.awaited):
        if node == around.node:
            _read_own(around, subject, search)
        elif around.transport.available(node):
            note(around, subject, node, "asked for what the session has seen")
            message = Read(subject.bucket, subject.key, full=True, durable=True)
            around.transport.request(node, message, max(0.0, until - around.clock.now()), partial(_put, answers, node))
        else:
            search.silent(node, "unreachable")
    while search.awaited and not search.covered:
        try:
            async with asyncio.timeout(max(0.0, until - around.clock.now())):
                node, outcome = await answers.get()
        except TimeoutError:
            break
        _hear(around, subject, search, node, outcome)
    if not search.covered:
        for node in list(search.awaited):
            search.silent(node, "no answer yet")


def _put(answers: asyncio.Queue[tuple[str, Outcome]], node: str, outcome: Outcome) -> None:
    answers.put_nowait((node, outcome))


def _read_own(around: Surroundings, subject: Subject, search: Search) -> None:
    node, partition = around.node, subject.plan.partition
    try:
        copy = around.replica.read(partition, subject.bucket, subject.key)
    except StoreError as error:
        note(around, subject, node, f"own copy unreadable: {error}")
        search.silent(node, "read failed")
        return
    record = None if copy is None else records.decode(copy.record)
    _take_in(subject, search, node, record, around.replica.identity.complete_in(partition))


def _hear(around: Surroundings, subject: Subject, search: Search, node: str, outcome: Outcome) -> None:
    if isinstance(outcome, Absent):
        search.hear(node, None, outcome.complete)
    elif not isinstance(outcome, Found):
        search.silent(node, words(outcome))
    elif not records.is_sound(outcome.record, outcome.digest):
        search.silent(node, "sent a damaged record")
    else:
        _take_in(subject, search, node, records.decode(outcome.record), outcome.complete)
    note(around, subject, node, search.replicas[node])


def _take_in(subject: Subject, search: Search, node: str, record: Record | None, complete: bool) -> None:
    try:
        search.hear(node, record, complete)
    except DamagedRecord as error:
        # Two sound records cannot be merged: a rule was broken somewhere. Show neither.
        log.error("replicas contradict each other", bucket=subject.bucket, error=str(error))
        raise ServiceError(f"replicas contradict each other: {error}") from error


def _behind(search: Search, demand: Demand, *, writes: bool) -> SessionBehind:
    guarantee = broken_guarantee(search.merged, demand, writes=writes)
    silent = ", ".join(f"{node} ({why})" for node, why in search.silence.items())
    waited = f" within {demand.wait_ms} ms" if demand.wait_ms else ""
    detail = (
        f"{guarantee.replace('-', ' ')} cannot be kept: no replica that could be asked{waited} knows all that this "
        f"session has seen of the key. What is missing is not lost: it may be at {silent}"
    )
    return SessionBehind(guarantee, detail, outcome="not_applied" if writes else None, replicas=search.replicas)
