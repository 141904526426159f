"""Sessions: reads that never fall behind what the session itself has written and read, key by key, at whatever node.

    read your writes       a read covers every write of the session that was applied
    monotonic reads        a read covers every earlier read
    monotonic writes       a write replaces the session's earlier ones, so no replica shows them in another order
    writes follow reads    a write replaces what the session has read, so it never stands beside what it answered

The last two need only the context of the session's newest read or write, which goes with every write that brings none.
For the first two the session keeps a version vector of each key that it touched (`seen`), and compares it with that of
every read. The vector of a read is not in its answer: it is asked for by `explain`, unless the answer's ETag tells that
it is a record already known. So a key that somebody else has changed since costs a second request.

A read that falls behind is asked for again of a majority, then of all replicas. If that does not help, the replicas
that have what the session saw cannot be asked: SessionError, or with `wait` more tries until they can.

The guarantees are per key, because causality in the store is: of two keys, somebody else may see the later write first.
A session belongs to one client, and is forgotten with it.
"""

from collections.abc import Callable

from dynkv.client.core import Body, Core, Level, Levels, levels_of
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import SessionError, Unavailable
from dynkv.client.keys import Key, key_of
from dynkv.client.operations import KeyOperations
from dynkv.client.seen import Seen
from dynkv.runtime import pause

# How often a read and its description are asked for until both are of one record.
DESCRIBED_TRIES = 8


class AsyncSession(KeyOperations):
    """Made by `AsyncClient.session`. Its tasks may share it; what one sees, the others do not fall behind."""

    def __init__(self, core: Callable[[], Core], *, wait_s: float, keys_max: int) -> None:
        self._core_of = core
        self._wait_s = wait_s
        self._keys_max = keys_max
        self._keys: dict[tuple[str, bytes], Seen] = {}

    async def exists(
        self,
        bucket: str,
        key: str | bytes,
        *,
        r: Level | None = None,
        pr: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> bool:
        """Whether there is any value; siblings count, a deletion does not."""
        deadline = self._core().caller.deadline(timeout)
        levels = levels_of(r=r, pr=pr, sloppy=sloppy)
        return (await self._read(bucket, key_of(bucket, key), levels, deadline, raw=True)).found

    def _core(self) -> Core:
        return self._core_of()

    def _seen(self, bucket: str, key: Key) -> Seen:
        """SessionError if there are too many keys: to forget one would break what was promised of it."""
        seen = self._keys.get((bucket, key.data))
        if seen is None:
            if len(self._keys) >= self._keys_max:
                raise SessionError(f"this session has touched {self._keys_max} keys; begin another, or raise keys_max")
            seen = self._keys[bucket, key.data] = Seen()
        return seen

    # --- reads --------------------------------------------------------------------------------------------------------

    async def _read(self, bucket: str, key: Key, levels: Levels, deadline: float, *, raw: bool = False) -> Entry:
        core, seen = self._core(), self._seen(bucket, key)
        patience = core.clock.now() + self._wait_s
        bound = core.options.pause_s
        while True:
            for asked in _higher(levels):
                # All replicas may not be there to answer: that is no reason to wait until the deadline.
                until = min(deadline, core.clock.now() + core.options.attempt_s) if asked is not levels else deadline
                try:
                    entry = await self._covering(core, seen, bucket, key, asked, until, raw=raw)
                except Unavailable as error:
                    if asked is levels:
                        raise
                    cause: Exception | None = error
                else:
                    if entry is not None:
                        return entry
                    cause = None
            wait_s = core.random.uniform(bound / 2, bound)
            if core.clock.now() + wait_s >= min(patience, deadline):
                detail = f"{bucket}/{key.text}: no replica that can be asked has all that this session has seen of it"
                raise SessionError(detail) from cause
            await pause(wait_s)
            bound = min(bound * 2, core.options.pause_max_s)

    async def _covering(
        self, core: Core, seen: Seen, bucket: str, key: Key, levels: Levels, deadline: float, *, raw: bool
    ) -> Entry | None:
        """The entry if it covers what was seen. SessionError if it changes too fast to be described."""
        for _ in range(DESCRIBED_TRIES):
            entry = await core.read(bucket, key, levels, deadline, raw=raw)
            if not entry.etag:  # nothing at all is there, so there is no vector
                if seen.vector and not (seen.gone and levels.get("r") == "all"):
                    return None
                # Nobody has anything left of a deletion: it was known to all and has been cleared away.
                self._keys.pop((bucket, key.data), None)
                return entry
            if seen.knows(entry.etag):
                seen.read(entry)
                return entry
            story = await core.story(bucket, key, levels, deadline)
            if story.etag == entry.etag:
                if not seen.covered_by(story.vector):
                    return None
                seen.read(entry, story.vector)
                return entry
        raise SessionError(f"{bucket}/{key.text} changes too fast to tell what a read of it covers")

    # --- writes -------------------------------------------------------------------------------------------------------

    async def _write(
        self, bucket: str, key: Key, body: Body, context: str | None, write_id: str, levels: Levels, deadline: float
    ) -> Receipt:
        core, seen = self._core(), self._seen(bucket, key)
        if context is None and seen.context is None:
            await self._read(bucket, key, {}, deadline, raw=True)
            seen = self._seen(bucket, key)
        covers = context is None or context == seen.context
        sent = (seen.context or "") if context is None else context
        receipt = await core.write(bucket, key, body, sent, write_id, levels, deadline)
        if receipt.dot:
            seen.wrote(receipt, covers=covers, deletes=body.data is None)
        else:
            await self._catch_up(core, seen, bucket, key, deadline)
        return receipt

    async def _catch_up(self, core: Core, seen: Seen, bucket: str, key: Key, deadline: float) -> None:
        """The write went through at the second attempt, and had been overwritten after the first: what it was
        overwritten by is all that is left of it. A quorum knows that, as it does any write that was applied."""
        story = await core.story(bucket, key, {}, deadline)
        entry = Entry(bucket, key.text, (), story.context, story.etag)
        seen.read(entry, story.vector)
        seen.context = None


def _higher(levels: Levels) -> list[Levels]:
    """What was asked for, then more of it."""
    steps = [levels]
    if "r" not in levels and "pr" not in levels:
        steps.append({**levels, "r": "quorum"})
    steps.append({**levels, "r": "all"})
    return steps
