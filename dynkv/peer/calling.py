"""Our end of a connection that we opened: calls out, answers in.

A call is an entry in `_pending` from the moment it is made until its one outcome: an answer, its deadline, or the end
of the connection. Calls have no timers of their own; while any is pending, one timer per connection looks every 20 ms
whether the earliest deadline has passed. Ids ascend and are first sent in order, so what was sent is known by one
number.

TCP loses nothing, but what stands between two nodes may: a proxy that drops a frame, a mesh that is replaced under an
open connection. Then a quorum would wait for its deadline for want of one small message. So reads and applies, which
may be done twice, are sent again when they have waited for much longer than an answer takes (`REPEAT_AT_S`); the peer
answers the first that it gets, and ignores the other while it works on it.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal, Protocol

from dynkv.core.errors import BadFrame
from dynkv.core.latency import Latency
from dynkv.peer.connection import Bounds, Connection
from dynkv.peer.counters import PeerCounters
from dynkv.peer.gossip_messages import Ping
from dynkv.peer.hello import ClientHello, Proven
from dynkv.peer.many_messages import ApplyMany, ReadMany
from dynkv.peer.messages import Apply, Call, CallFrame, Failed, Read, ReplyFrame, Request
from dynkv.peer.transport import Done, Failure
from dynkv.peer.wire import decode_replies, encode, request_bytes
from dynkv.runtime import Clock

SWEEP_S = 0.02
# How long an opinion about a sluggish peer is kept: asking is then free, however many calls are in flight.
SLUGGISH_S = 0.002
NEVER = float("inf")
# Ages of a call at which it is sent again, in seconds; how often it is looked whether one has come to such an age.
REPEAT_AT_S = (0.5, 1.5, 3.5)
REPEAT_EVERY_S = 0.1
REPEATED = (Read, Apply, ReadMany, ApplyMany)
# A longer one is more likely to be still on its way.
REPEAT_BYTES_MAX = 64 * 1024

OVERLOADED = Failure("overloaded", False)
NOT_SENT = Failure("connection lost", False)

# What a call waits with: whom to tell, deadline, when it was made, what its answer time is a sample of, and itself.
Pending = tuple[Done, float, float, Latency | None, Request]
# What waits to be sent: id, deadline, body.
Unsent = tuple[int, float, Request]


class CallingOwner(Protocol):
    """Who opened the connection and hears of it."""

    def opened(self, connection: "Calling", proven: Proven) -> None:
        """The hello is done: calls may be made."""
        ...

    def heard(self, now: float) -> None:
        """Something came over it: answers, or a piece of one."""
        ...

    def closed(self, connection: "Calling") -> None:
        """The connection is gone; its calls fail next. Also called if it never was opened."""
        ...

    def refused(self, claimed: str, reason: str, by_us: bool) -> None:
        """The hello was refused."""
        ...


class Calling(Connection[ReplyFrame, Unsent]):
    """Pipelined calls to one peer. Calls are made only between `opened` and `closed`."""

    def __init__(
        self,
        hello: ClientHello,
        clock: Clock,
        counters: PeerCounters,
        bounds: Bounds,
        owner: CallingOwner,
        timings: Mapping[type, Latency],
    ) -> None:
        """`timings`: kinds of requests whose answer times are samples."""
        super().__init__(hello, decode_replies, clock, counters, owner.refused)
        self._bounds = bounds
        self._owner = owner
        self._timings = timings
        self._pending: dict[int, Pending] = {}
        self._last_id = 0
        self._sent_id = 0
        self._earliest = NEVER
        self._sweeper: asyncio.TimerHandle | None = None
        self._repeated_at = 0.0
        self._arrived = 0.0
        self._sluggish = False
        self._sluggish_until = 0.0

    @property
    def in_flight(self) -> int:
        """Calls without an outcome yet."""
        return len(self._pending)

    def call(self, body: Request, now: float, timeout_s: float, done: Done) -> None:
        """Ask the peer; `done` gets the outcome, once, in a later turn of the loop."""
        if self.lost:
            self._loop.call_soon(done, NOT_SENT)
            return
        size = request_bytes(body)
        bounds = self._bounds
        full = len(self._pending) >= bounds.calls_max or self.queue_bytes + size > bounds.queue_bytes_max
        if full and type(body) is not Ping:  # heartbeats pass: a peer busy with all that we asked for is not silent
            self._counters.overloads_out += 1
            self._loop.call_soon(done, OVERLOADED)
            return
        self._last_id = call_id = self._last_id + 1
        deadline = now + timeout_s
        self._pending[call_id] = (done, deadline, now, self._timings.get(type(body)), body)
        if deadline < self._earliest:
            self._earliest = deadline
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self.enqueue((call_id, deadline, body), size)

    def sluggish(self, now: float) -> bool:
        """Whether some call of a timed kind has waited longer than twice what 95 % of its kind take."""
        if now >= self._sluggish_until:
            self._sluggish_until = now + SLUGGISH_S
            self._sluggish = any(
                latency is not None and now - made > 2 * latency.delay_s
                for _, _, made, latency, _ in self._pending.values()
            )
        return self._sluggish

    def fail_all(self, kind: Literal["timed out", "connection lost"]) -> None:
        """Every call in flight fails now; answers that still come are ignored."""
        pending, self._pending = self._pending, {}
        self._queue = []
        self.queue_bytes = 0
        self._earliest = NEVER
        for call_id, entry in pending.items():
            self._tell(entry[0], Failure(kind, call_id <= self._sent_id))

    # --- out ----------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        if self._earliest < NEVER and (now := self._clock.now()) >= self._earliest:
            self._expire(now)  # first: what has expired while it waited is not sent
        super().flush()

    def pack(self, entries: list[Unsent], now: float) -> bytes:
        calls = [Call(call_id, int((deadline - now) * 1000), body) for call_id, deadline, body in entries]
        data = encode(CallFrame(int(now * 1000), calls))
        self._sent_id = max(self._sent_id, entries[-1][0])
        self._counters.calls_out += len(entries)
        return data

    def unsendable(self, entry: Unsent, error: BadFrame) -> None:
        pending = self._pending.pop(entry[0], None)
        if pending is not None:
            self._tell(pending[0], Failed("unsendable", str(error), False))

    def entry_bytes(self, entry: Unsent) -> int:
        return request_bytes(entry[2])

    # --- in -----------------------------------------------------------------------------------------------------------

    def on_proven(self, proven: Proven) -> None:
        self._owner.opened(self, proven)

    def data_received(self, data: bytes) -> None:
        # A piece of a large answer is a sign of life as good as a whole one.
        self._arrived = now = self._clock.now()
        self._owner.heard(now)
        super().data_received(data)

    def on_frame(self, frame: ReplyFrame) -> None:
        now = self._arrived
        pop = self._pending.pop
        for reply in frame.replies:
            entry = pop(reply.id, None)
            if entry is None:
                continue  # too late, or answered twice: its outcome is known
            done, _, made, latency, _ = entry
            body = reply.body
            if latency is not None and type(body) is not Failed:
                latency.add(now - made)
            try:
                done(body)
            except Exception as error:  # noqa: BLE001 - a bug of the caller's: logged, and no reason to lose the rest
                self.fault("callback of a call failed", error)

    def on_lost(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._owner.closed(self)  # first: who hears of a failed call shall not find this connection and call again
        self.fail_all("connection lost")

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._clock.now()
        if now >= self._earliest:
            self._expire(now)
        if now >= self._repeated_at + REPEAT_EVERY_S:
            self._repeat(now)
        if self._pending and self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _repeat(self, now: float) -> None:
        """Send again what has come to one of the ages since this was last looked at, if what was sent has left us."""
        last, self._repeated_at = self._repeated_at, now
        if self._paused or self._queue:
            return
        for call_id, (_, deadline, made, _, body) in self._pending.items():
            if now - made < REPEAT_AT_S[0]:
                break  # made later, all that follow
            if type(body) in REPEATED and any(last - made < age <= now - made for age in REPEAT_AT_S):
                size = request_bytes(body)
                if size <= REPEAT_BYTES_MAX:
                    self._counters.repeats_out += 1
                    self.enqueue((call_id, deadline, body), size)

    def _expire(self, now: float) -> None:
        expired = [(call_id, entry[0]) for call_id, entry in self._pending.items() if entry[1] <= now]
        for call_id, _ in expired:
            del self._pending[call_id]
        self._earliest = min((entry[1] for entry in self._pending.values()), default=NEVER)
        if expired and expired[-1][0] > self._sent_id:
            self._queue = [entry for entry in self._queue if entry[0] in self._pending]
            self.queue_bytes = sum(map(self.entry_bytes, self._queue))
        self._counters.timeouts += len(expired)
        for call_id, done in expired:
            self._tell(done, Failure("timed out", call_id <= self._sent_id))

    def _tell(self, done: Done, outcome: Failure | Failed) -> None:
        try:
            done(outcome)
        except Exception as error:  # noqa: BLE001 - as in on_frame
            self.fault("callback of a call failed", error)
