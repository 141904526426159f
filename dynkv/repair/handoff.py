"""Handoff: paying hints to a node that came back.

    For each target that can be reached and is owed something, walk its markers in key order, in small steps.
    Send the record as it is at that moment, merged with all that has come since the hint was made.
    When the target has it durably: strike the marker out, if it is still the one that was read. A marker renewed in the
    meantime stays for the next pass, because its record changed after it was sent.
    A copy that this node kept only for others (it is no primary of the key) is dropped with its last marker, if it has
    not changed since it was sent: it is whole at the target now. Its actor goes with it.

Rates are bounded in records and bytes a second; a bounded number is in flight. A pass that is cut short by a restart of
either side starts again from the markers that are left: nothing is remembered but the markers.
"""

import asyncio
from collections.abc import Callable

import structlog

from dynkv.convergence import Convergence
from dynkv.core.errors import StoreError
from dynkv.hints import HintBook, Marker, read_marker
from dynkv.peer.messages import Applied, Apply
from dynkv.peer.transport import Outcome, Transport
from dynkv.replica import Replica
from dynkv.runtime import Clock
from dynkv.storage.base import Store
from dynkv.storage.keys import after, hint_range, parse_hint_key
from dynkv.worker import IDLE, Found

STEP_KEYS = 64
SEND_TIMEOUT_S = 5.0
REST_AFTER_FAILURE_S = 0.5

log = structlog.get_logger("dynkv.handoff")


class Rate:
    """A bound in records and bytes a second, as the time at which the next step may begin."""

    def __init__(self, records_per_s: float, bytes_per_s: float) -> None:
        self._records_per_s = records_per_s
        self._bytes_per_s = bytes_per_s

    def spent(self, records: int, size: int) -> float:
        """Seconds that sending this many may take at the least."""
        return max(records / self._records_per_s, size / self._bytes_per_s)


class Handoff:
    """Pays the hints for one target; `step` is a worker's step."""

    def __init__(
        self,
        target: str,
        *,
        store: Store,
        replica: Replica,
        hints: HintBook,
        transport: Transport,
        clock: Clock,
        convergence: Convergence,
        rate: Rate,
        members: tuple[str, ...],
        is_primary: Callable[[str, bytes], bool],
    ) -> None:
        self.target = target
        self._store = store
        self._replica = replica
        self._hints = hints
        self._transport = transport
        self._clock = clock
        self._convergence = convergence
        self._rate = rate
        self._others = tuple(name for name in members if name != target)
        self._is_primary = is_primary
        self._start, self._end = hint_range(target)
        self._cursor = self._start
        self._oldest_ms = 0
        self._failed = False
        self.dropped = 0

    async def step(self) -> Found:
        """Pay up to STEP_KEYS hints."""
        backlog = self._hints.backlogs.get(self.target)
        if backlog is None or backlog.count == 0 or not self._transport.available(self.target):
            self._cursor = self._start
            self._oldest_ms = 0
            return IDLE
        began = self._clock.now()
        page = self._store.scan(self._cursor, self._end, STEP_KEYS)
        if not page:
            self._end_pass()
            return IDLE if self._cursor == self._start and backlog.count == 0 else REST_AFTER_FAILURE_S
        self._cursor = after(page[-1][0])
        self._failed = False
        sent = await self._send_all(page)
        if self._failed:
            return REST_AFTER_FAILURE_S
        return max(0.0, self._rate.spent(len(page), sent) - (self._clock.now() - began))

    def _end_pass(self) -> None:
        """Every marker was seen once: what is left is as old as the oldest of those seen and not paid."""
        backlog = self._hints.backlogs[self.target]
        if self._oldest_ms and backlog.count:
            backlog.oldest_ms = self._oldest_ms
        self._oldest_ms = 0
        self._cursor = self._start

    async def _send_all(self, page: list[tuple[bytes, bytes]]) -> int:
        """Send the records behind these markers and wait for all answers; bytes sent."""
        done = asyncio.Event()
        waiting = len(page)
        sent = 0

        def one_less() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting == 0:
                done.set()

        for stored_key, value in page:
            marker = read_marker(value)
            try:
                sent += self._send(stored_key, marker, one_less)
            except StoreError as error:
                # One copy that cannot be read must not hold up the others.
                self._fault(marker, error)
                one_less()
        await done.wait()
        return sent

    def _send(self, stored_key: bytes, marker: Marker, then: Callable[[], None]) -> int:
        _, partition, bucket, key = parse_hint_key(stored_key)
        copy = self._replica.read(partition, bucket, key)
        if copy is None:
            # Nothing is held any more, so nothing is owed.
            settled = self._hints.settle(self.target, partition, bucket, key, marker)
            self._store.write((settled.change,))
            self._hints.wrote(settled)
            then()
            return 0
        digest = copy.digest

        def heard(outcome: Outcome) -> None:
            try:
                if isinstance(outcome, Applied):
                    self._paid(partition, bucket, key, digest)
                else:
                    self._failed = True
                    self._left_over(marker)
            except StoreError as error:
                self._fault(marker, error)
            finally:
                then()

        self._transport.request(self.target, Apply(bucket, key, copy.record, ""), SEND_TIMEOUT_S, heard)
        return len(copy.record)

    def _paid(self, partition: int, bucket: str, key: bytes, sent: bytes) -> None:
        marker = self._hints.get(self.target, partition, bucket, key)
        if marker is None:
            return
        copy = self._replica.read(partition, bucket, key)
        if copy is not None and copy.digest != sent:
            self._left_over(marker)
            return
        settled = self._hints.settle(self.target, partition, bucket, key, marker)
        owed_to_others = any(self._hints.get(name, partition, bucket, key) for name in self._others)
        if owed_to_others or self._is_primary(bucket, key):
            self._store.write((settled.change,))
        else:
            self._replica.drop(bucket, key, (settled.change,))
            self.dropped += 1
        self._hints.wrote(settled)
        self._convergence.observe("hint", (self._clock.wall_ms() - marker.created_ms) / 1000)

    def _fault(self, marker: Marker, error: StoreError) -> None:
        """This node's disk failed on one of them: it stays for a later pass."""
        self._failed = True
        self._left_over(marker)
        log.warning("a hint could not be paid or struck out", target=self.target, error=str(error))

    def _left_over(self, marker: Marker) -> None:
        if self._oldest_ms == 0 or marker.created_ms < self._oldest_ms:
            self._oldest_ms = marker.created_ms
