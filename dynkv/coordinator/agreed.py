"""The read that nearly all reads are: this node is a primary, holds the key, and one other primary holds the same.

Two votes, r and pr of two, and nothing to merge or repair: so no quorum needs to be counted, and one comparison of
digests decides. Whatever else comes (another digest, no answer within the hedge delay, a failure) is not decided here:
the request goes on as a `ReadRequest`, which knows all cases and asks whoever lagged last. This is a matter of speed
only; leave it out and every answer is the same.
"""

import asyncio
from typing import NamedTuple

from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.results import ReadResult
from dynkv.core import record as records
from dynkv.core.errors import StoreError
from dynkv.core.levels import Levels
from dynkv.peer.messages import Absent, Found, Read
from dynkv.peer.transport import Outcome

VOTES = 2


class Look(NamedTuple):
    """`result`: the answer if it was that simple. `lagging`: who did not answer within the hedge delay, or ""."""

    result: ReadResult | None
    lagging: str = ""


NOT_SO_SIMPLE = Look(None)


async def agreed(around: Surroundings, bucket: str, key: bytes, levels: Levels) -> Look:
    """Look whether it is that simple. Takes no longer than the hedge delay."""
    plan = around.placing.plan(bucket, key, levels.n)
    primaries = plan.primaries
    if levels.r != VOTES or levels.pr > VOTES or around.node not in primaries:
        return NOT_SO_SIMPLE
    if not around.replica.identity.complete_in(plan.partition):
        return NOT_SO_SIMPLE
    try:
        copy = around.replica.read(plan.partition, bucket, key)
    except StoreError:
        return NOT_SO_SIMPLE
    transport = around.transport
    if copy is None or (other := _prompt_other(around, primaries)) is None:
        return NOT_SO_SIMPLE
    answer: asyncio.Future[bool | None] = around.loop.create_future()
    digest = copy.digest

    def heard(outcome: Outcome) -> None:
        if isinstance(outcome, Found | Absent) and not outcome.complete:
            around.refilling.heard(other, around.clock.now())
        if not answer.done():
            answer.set_result(type(outcome) is Found and outcome.complete and outcome.digest == digest)

    transport.request(other, Read(bucket, key, False), levels.timeout_ms / 1000, heard)
    timer = around.loop.call_later(transport.hedge_delay_s(), _too_late, answer)
    same = await answer
    timer.cancel()
    if not same:
        return NOT_SO_SIMPLE if same is False else Look(None, other)
    around.counters.reads += 1
    return Look(ReadResult(records.decode(copy.record), digest, (around.node, other)))


def _prompt_other(around: Surroundings, primaries: tuple[str, ...]) -> str | None:
    """The first other primary that answers promptly, and whose answer is likely to count."""
    transport, now = around.transport, around.clock.now()
    for node in primaries:
        prompt = node != around.node and transport.available(node) and not transport.sluggish(node)
        if prompt and not around.refilling.lately(node, now):
            return node
    return None


def _too_late(answer: asyncio.Future[bool | None]) -> None:
    if not answer.done():
        answer.set_result(None)
