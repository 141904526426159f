"""The read that nearly all reads are: this node is a primary, holds the key, and one other primary holds the same.

Two votes, r and pr of two, and nothing to merge or repair: so no quorum needs to be counted, and one comparison of
digests decides. Whatever else comes (another digest, no answer within the hedge delay, a failure) is not decided here:
the request starts over as a `ReadRequest`, which knows all cases. This is a matter of speed only; leave it out and
every answer is the same.
"""

import asyncio

from dynkv.coordinator.plan import Surroundings
from dynkv.coordinator.results import ReadResult
from dynkv.core import record as records
from dynkv.core.errors import StoreError
from dynkv.core.levels import Levels
from dynkv.peer.messages import Found, Read
from dynkv.peer.transport import Outcome

VOTES = 2


async def agreed(around: Surroundings, bucket: str, key: bytes, levels: Levels) -> ReadResult | None:
    """The answer if it is that simple, else None."""
    plan = around.placing.plan(bucket, key, levels.n)
    primaries = plan.primaries
    if levels.r != VOTES or levels.pr > VOTES or around.node not in primaries or not around.replica.identity.complete:
        return None
    try:
        copy = around.replica.read(plan.partition, bucket, key)
    except StoreError:
        return None
    transport = around.transport
    if copy is None or (other := _prompt_other(around, primaries)) is None:
        return None
    answer: asyncio.Future[bool] = around.loop.create_future()
    digest = copy.digest

    def heard(outcome: Outcome) -> None:
        if not answer.done():
            answer.set_result(type(outcome) is Found and outcome.complete and outcome.digest == digest)

    transport.request(other, Read(bucket, key, False), levels.timeout_ms / 1000, heard)
    timer = around.loop.call_later(transport.hedge_delay_s(), _too_late, answer)
    same = await answer
    timer.cancel()
    if not same:
        return None
    around.counters.reads += 1
    return ReadResult(records.decode(copy.record), digest)


def _prompt_other(around: Surroundings, primaries: tuple[str, ...]) -> str | None:
    """The first other primary that answers promptly."""
    transport = around.transport
    for node in primaries:
        if node != around.node and transport.available(node) and not transport.sluggish(node):
            return node
    return None


def _too_late(answer: asyncio.Future[bool]) -> None:
    if not answer.done():
        answer.set_result(False)
