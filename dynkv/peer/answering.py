"""Our end of a connection that a peer opened: calls in, answers out.

A call's deadline is what was left of its budget when it left the peer, less the time its frame lay about (`Lateness`).
What is past it is dropped without an answer: nobody waits for one. Heartbeats are answered here, whatever the load, and
within their deadline like all calls.

What is bounded: calls in progress (beyond it: Failed "overloaded", at once), and answers that the peer does not take:
while the socket is full nothing more is read from it, and records found are answered as overloaded beyond the queue's
bound.
"""

import asyncio
from functools import partial
from typing import Protocol

from dynkv.core.errors import BadFrame
from dynkv.peer.connection import Bounds, Connection
from dynkv.peer.counters import PeerCounters
from dynkv.peer.gossip_messages import Greeting, Ping, Pong
from dynkv.peer.hello import Proven, ServerHello
from dynkv.peer.lateness import Lateness
from dynkv.peer.many_messages import Copies
from dynkv.peer.messages import Answer, Call, CallFrame, Failed, Forward, Found, Reply, ReplyFrame
from dynkv.peer.once import Once
from dynkv.peer.transport import Handler
from dynkv.peer.wire import answer_bytes, decode_calls, encode
from dynkv.runtime import Clock

# A budget beyond it is nonsense, or an attempt at numbers that do not fit.
BUDGET_MS_MAX = 3_600_000

OVERLOADED = Failed("overloaded", "too many calls of this peer are in progress", False)
OVERFULL = Failed("overloaded", "this peer does not take its answers", False)


class AnsweringOwner(Protocol):
    """Who listens and hears of connections."""

    def came(self, connection: "Answering") -> None:
        """Somebody connected; who, is not known yet."""
        ...

    def proved(self, connection: "Answering", proven: Proven) -> None:
        """The hello is done: calls follow."""
        ...

    def went(self, connection: "Answering") -> None:
        """The connection is gone."""
        ...

    def refused(self, claimed: str, reason: str, by_us: bool) -> None:
        """The hello was refused."""
        ...

    def heartbeat(self, node: str, greeting: Greeting) -> Greeting:
        """`node` sent a heartbeat with this; ours, for the answer."""
        ...


class Answering(Connection[CallFrame, Reply]):
    """Calls of one peer, handed to `handler`."""

    def __init__(
        self,
        hello: ServerHello,
        clock: Clock,
        counters: PeerCounters,
        bounds: Bounds,
        owner: AnsweringOwner,
        handler: Handler,
    ) -> None:
        super().__init__(hello, decode_calls, clock, counters, owner.refused)
        self._bounds = bounds
        self._owner = owner
        self._handler = handler
        self._lateness = Lateness()
        self._open: set[int] = set()
        self._forwarded = Once()
        self._node = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owner.came(self)

    def on_proven(self, proven: Proven) -> None:
        self._node = proven.node
        self._owner.proved(self, proven)

    def on_lost(self) -> None:
        self._open.clear()
        self._queue = []
        self.queue_bytes = 0
        self._owner.went(self)

    # --- in -----------------------------------------------------------------------------------------------------------

    def on_frame(self, frame: CallFrame) -> None:
        now = self._clock.now()
        late_ms = self._lateness.of(frame.sent_ms / 1000, now) * 1000
        calls_max = self._bounds.calls_max
        handler = self._handler
        opened = self._open
        self._counters.calls_in += len(frame.calls)
        for call in frame.calls:
            left_ms = min(call.budget_ms, BUDGET_MS_MAX) - late_ms
            body = call.body
            call_id = call.id
            if left_ms <= 0:
                self._counters.dropped_late += 1
            elif type(body) is Ping:
                self._answer(call_id, Pong(self._owner.heartbeat(self._node, body.greeting)))
            elif call_id in opened or (type(body) is Forward and not self._forwarded.first(call_id)):
                self._counters.repeated += 1
            elif len(opened) >= calls_max:
                self._counters.overloads_in += 1
                self._answer(call_id, OVERLOADED)
            else:
                opened.add(call_id)
                try:
                    handler(self._node, body, now + left_ms / 1000, partial(self._reply, call_id))
                except Exception as error:  # noqa: BLE001 - a bug of ours: logged, and no reason to lose the rest
                    self._failed(call, error)

    def _failed(self, call: Call, error: Exception) -> None:
        self.fault("handler of a call failed", error)
        if call.id in self._open:
            self._reply(call.id, Failed("internal", type(error).__name__, True))

    # --- out ----------------------------------------------------------------------------------------------------------

    def _reply(self, call_id: int, body: Answer) -> None:
        if self.lost:
            return
        assert call_id in self._open, "a call is answered exactly once"
        self._open.remove(call_id)
        self._answer(call_id, body)

    def _answer(self, call_id: int, body: Answer) -> None:
        size = answer_bytes(body)
        if type(body) in (Found, Copies) and self.queue_bytes + size > self._bounds.queue_bytes_max:
            self._counters.overloads_in += 1
            body = OVERFULL
            size = answer_bytes(body)
        self.enqueue(Reply(call_id, body), size)

    def pack(self, entries: list[Reply], now: float) -> bytes:
        return encode(ReplyFrame(int(now * 1000), entries))

    def unsendable(self, entry: Reply, error: BadFrame) -> None:
        self.fault("answer that cannot be sent", error)
        self._answer(entry.id, Failed("unsendable", str(error), True))

    def entry_bytes(self, entry: Reply) -> int:
        return answer_bytes(entry.body)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
