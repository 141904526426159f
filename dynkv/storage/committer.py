"""Group commit, and what becomes of a store whose disk failed. Knows no disk: a `Device` does the work.

    writable ──a write or sync failed──▶ read-only ──retry──▶ reopening ──▶ writable (new incarnation)
        │                                   ▲                    │  └──found damaged──▶ damaged, for good
        └──────────── close ────────┐       └──────failed────────┘
                                    ▼
                                  closed

One sync runs at a time and covers everything written before it began. Who asks in the meantime is collected and covered
by the next, which begins the moment the first ends: with a slow disk the groups grow by themselves, with a quick one
few do not wait for company. When many wait already the node is busy, and a sync (two hops between threads, a journal
commit) costs as much as handling a write: then the next one gathers for `GATHER_S` more, for a tenth less processor
time per write and no later an answer (48 connections, three nodes on two processors). A call that finds nothing written
since the running sync began joins that one.

A sync's result is never asked for twice. After a failed one everything not known to be durable is answered with that
error, and no further sync of the same open files is believed (see base).

Relaxed durability: callers are answered at once, a sync runs every second while there is something to sync. Its failure
has the same consequences, only nobody is left to tell but the status.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from dynkv.core.errors import DamagedDirectory, StoreWriteFailed
from dynkv.runtime import Clock
from dynkv.storage.base import Done, Durability

log = structlog.get_logger("dynkv.storage")

SYNC_EVERY_S = 1.0
CROWD = 8  # calls waiting for the next sync
GATHER_S = 0.001
RETRY_EVERY_S = 1.0


class Device(Protocol):
    """What a committer drives. Each begins its work, returns at once, and calls `done` later on the loop. Never two at
    a time."""

    def sync(self, done: Done) -> None:
        """Make durable all that was written before this call."""
        ...

    def reopen(self, done: Done) -> None:
        """If the disk takes a write and its sync again: let go of the open files, open anew, prove it, and take a new
        incarnation; else fail. DamagedDirectory if it cannot be opened without loss."""
        ...


class Committer:
    """Answers when writes are durable, and says whether writes are accepted."""

    def __init__(
        self,
        device: Device,
        durability: Durability,
        *,
        clock: Clock,
        sync_every_s: float = SYNC_EVERY_S,
        retry_every_s: float = RETRY_EVERY_S,
    ) -> None:
        """`sync_every_s`: relaxed durability only. `retry_every_s`: from a failure to the next attempt to reopen."""
        self.refusal: str | None = None
        """Why writes are refused, or None; the store looks at it before each write."""
        self.on_reopened: Callable[[], None] | None = None
        self.on_damaged: Callable[[str], None] | None = None
        """Told why when the store is damaged for good; not while it closes."""
        self.syncs = self.sync_failures = self.reopens = 0
        self.sync_seconds = self.sync_seconds_max = 0.0
        self._loop = asyncio.get_running_loop()
        self._device = device
        self._clock = clock
        self._relaxed = durability == "relaxed"
        self._sync_every_s = sync_every_s
        self._retry_every_s = retry_every_s
        self._failure: str | None = None
        self._closing = False
        self._dirty = False  # written since the last sync began
        self._busy = False  # the device syncs or reopens
        self._began = 0.0
        self._group: list[Done] = []  # covered by the sync under way
        self._waiting: list[Done] = []  # for the next one
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Future[None] | None = None

    @property
    def failure(self) -> str | None:
        """What is wrong with the disk, or None."""
        return self._failure

    def wrote(self) -> None:
        """Something was written that the next sync must cover."""
        self._dirty = True
        if self._relaxed and self._timer is None:
            self._timer = self._loop.call_later(self._sync_every_s, self._sync_in_background)

    def when_durable(self, done: Done) -> None:
        """As Store.when_durable."""
        if self._failure is not None:
            done(StoreWriteFailed(self._failure))
        elif self._relaxed:
            done(None)
        elif self._dirty:
            self._waiting.append(done)
            if not self._busy:
                self._begin()
        elif self._busy:
            self._group.append(done)
        else:
            done(None)

    def fail(self, error: Exception) -> None:
        """A write failed: nothing of what is on its way to the disk can be relied on."""
        if self._failure is not None:
            return
        self._failure = self.refusal = str(error)
        self._cancel_timer()
        waiting, self._waiting = self._waiting, []
        self._loop.call_soon(self._answer, waiting, StoreWriteFailed(self._failure))
        log.error("store is read-only", reason=self._failure)
        if self._closing:
            return
        if isinstance(error, DamagedDirectory):
            self._tell_damage(error)
        else:
            self._timer = self._loop.call_later(self._retry_every_s, self._reopen)

    async def close(self) -> None:
        """Refuse writes and sync what is left. StoreWriteFailed if not all of it is known to be durable."""
        self._closing = True
        self.refusal = self._failure or "the store is closing"
        self._cancel_timer()
        await self._until_idle()
        if self._dirty and self._failure is None:
            self._begin()
            await self._until_idle()
        self._cancel_timer()
        if self._failure is not None:
            raise StoreWriteFailed(self._failure)

    def _begin(self) -> None:
        self._busy = True
        self._dirty = False
        self._group, self._waiting = self._waiting, []
        self._began = self._clock.now()
        self._device.sync(self._synced)

    def _gathered(self) -> None:
        if self._failure is None:
            self._begin()
        else:  # a write failed meanwhile, and who waited was told
            self._busy = False
            self._note_idle()

    def _synced(self, error: Exception | None) -> None:
        self._busy = False
        group, self._group = self._group, []
        answer: StoreWriteFailed | None = None
        if error is None:
            seconds = self._clock.now() - self._began
            self.syncs += 1
            self.sync_seconds += seconds
            self.sync_seconds_max = max(self.sync_seconds_max, seconds)
        else:
            self.sync_failures += 1
            answer = StoreWriteFailed(str(error))
            self.fail(error)
        if self._waiting:  # none after a failure
            if len(self._waiting) < CROWD:
                self._begin()
            else:
                self._busy = True
                self._loop.call_later(GATHER_S, self._gathered)
        self._answer(group, answer)
        self._note_idle()

    def _answer(self, group: list[Done], error: Exception | None) -> None:
        for position, done in enumerate(group):
            try:
                done(error)
            except BaseException:
                # A defect of the caller, for the loop to report; the others must still hear.
                self._loop.call_soon(self._answer, group[position + 1 :], error)
                raise

    def _sync_in_background(self) -> None:
        self._timer = None
        if self._busy:
            self.wrote()
        else:
            self._begin()

    def _reopen(self) -> None:
        self._timer = None
        if self._busy:  # a sync that began before the failure; it ends by itself
            self._timer = self._loop.call_later(self._retry_every_s, self._reopen)
            return
        self._busy = True
        self._device.reopen(self._reopened)

    def _reopened(self, error: Exception | None) -> None:
        self._busy = False
        if error is None and self.on_reopened is not None:
            try:
                self.on_reopened()
            except Exception as defect:  # whoever must know of it does not, so nothing is written yet
                log.exception("what follows a reopen failed; trying again")
                error = defect
        if error is None:
            self._dirty = False
            self._failure = None
            self.refusal = "the store is closing" if self._closing else None
            self.reopens += 1
            log.info("store is writable again", reopens=self.reopens)
        elif isinstance(error, DamagedDirectory):
            self._failure = self.refusal = str(error)
            log.error("store is damaged", reason=self._failure)
            if not self._closing:
                self._tell_damage(error)
        elif not self._closing:
            if str(error) != self._failure:
                self._failure = self.refusal = str(error)
                log.warning("store stays read-only", reason=self._failure)
            self._timer = self._loop.call_later(self._retry_every_s, self._reopen)
        self._note_idle()

    def _tell_damage(self, error: DamagedDirectory) -> None:
        if self.on_damaged is not None:
            self.on_damaged(error.why)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _until_idle(self) -> None:
        while self._busy:
            self._idle = self._loop.create_future()
            await self._idle

    def _note_idle(self) -> None:
        if not self._busy and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
