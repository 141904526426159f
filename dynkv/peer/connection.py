"""What both ends of a connection have in common: the hello with its deadline, frames in, coalesced frames out.

    made → hello (one frame each way at a time, 4 KiB at most, a deadline) → proven → frames → lost

Writing: whatever the node says to this peer in one turn of its loop goes out as one frame. The first message of a turn
schedules `flush`, the next turn runs it. While the socket takes no more (`pause_writing`) messages wait unencoded, so
those that expire meanwhile are never sent, and what waits is bounded by the subclass.

Any error of the peer's ends the connection and nothing else: the subclass settles what was open, in `on_lost`.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import msgspec
import structlog

from dynkv.core.errors import BadFrame
from dynkv.peer.counters import PeerCounters
from dynkv.peer.handshake_messages import Handshake, Refused
from dynkv.peer.hello import ClientHello, Proven, ServerHello
from dynkv.peer.messages import FRAME_MESSAGES_MAX, CallFrame, ReplyFrame
from dynkv.peer.sockets import no_delay
from dynkv.peer.wire import Decode, FrameReader, encode
from dynkv.runtime import Clock

log = structlog.get_logger("dynkv.peer")

Frame = TypeVar("Frame", CallFrame, ReplyFrame)
Entry = TypeVar("Entry")
Refuse = Callable[[str, str, bool], None]

# A frame ends at about this size: the receiver decodes it in one go, and nothing else runs on its loop meanwhile.
FRAME_BYTES_AIM = 1024 * 1024
# Bytes handed to the socket but not taken by it, from which the rest waits unencoded.
SOCKET_BYTES_HIGH = 1024 * 1024


class Bounds(msgspec.Struct, frozen=True):
    """What one connection may hold.

    calls_max: calls in flight on our side, in progress on theirs; beyond it they fail as overloaded.
    queue_bytes_max: messages waiting to be sent, as estimated by `wire`.
    """

    calls_max: int = 4096
    queue_bytes_max: int = 64 * 1024 * 1024


class Connection(asyncio.Protocol, Generic[Frame, Entry]):
    """One end of one connection. Subclasses: `Calling` (we connected) and `Answering` (they did).

    `Frame` is what comes in, `Entry` what waits to go out.
    """

    def __init__(
        self, hello: ClientHello | ServerHello, decode: Decode, clock: Clock, counters: PeerCounters, refuse: Refuse
    ) -> None:
        """`refuse(claimed id, reason, by us)` is told if the hello ends so."""
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._counters = counters
        self._hello = hello
        self._hello_timer: asyncio.TimerHandle | None = None
        self._refuse = refuse
        self._decode = decode
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._queue: list[Entry] = []
        self._scheduled = False
        self._paused = False
        self.queue_bytes = 0
        self.proven: Proven | None = None
        self.lost = False
        self.gone = asyncio.Event()  # after `on_lost`

    # --- what a subclass says -----------------------------------------------------------------------------------------

    def on_proven(self, proven: Proven) -> None:
        """The hello is done."""
        raise AssertionError

    def on_frame(self, frame: Frame) -> None:
        """A frame came."""
        raise AssertionError

    def on_lost(self) -> None:
        """The connection is gone: settle what was open. Called once."""
        raise AssertionError

    def pack(self, entries: list[Entry], now: float) -> bytes:
        """One frame of these entries; BadFrame if one of them cannot be encoded."""
        raise AssertionError

    def unsendable(self, entry: Entry, error: BadFrame) -> None:
        """`entry` cannot be encoded and was left out."""
        raise AssertionError

    def entry_bytes(self, entry: Entry) -> int:
        """What `entry` was enqueued with."""
        raise AssertionError

    # --- for subclasses and owners ------------------------------------------------------------------------------------

    def enqueue(self, entry: Entry, size: int) -> None:
        """Send `entry`, of about `size` bytes, with whatever else is said in this turn of the loop."""
        self._queue.append(entry)
        self.queue_bytes += size
        if not self._scheduled and not self._paused:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def hello_within(self, seconds: float) -> None:
        """The connection is closed if its hello is not done by then."""
        self._hello_timer = self._loop.call_later(seconds, self._hello_late)

    def abort(self) -> None:
        """Close at once; `on_lost` follows in a later turn of the loop."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def socket_bytes(self) -> int:
        """Bytes handed to the socket but not taken by it."""
        return 0 if self._transport is None or self.lost else self._transport.get_write_buffer_size()

    # --- out ----------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        self._scheduled = False
        queue = self._queue
        if self._paused or self.lost or not queue:
            return
        now = self._clock.now()
        self._queue = []
        if self.queue_bytes <= FRAME_BYTES_AIM and len(queue) <= FRAME_MESSAGES_MAX:
            self.queue_bytes = 0
            self._send_frame(queue, now)
        else:
            self._flush_in_parts(queue, now)

    def _flush_in_parts(self, queue: list[Entry], now: float) -> None:
        self.queue_bytes = 0
        part: list[Entry] = []
        part_bytes = 0
        for index, entry in enumerate(queue):
            size = self.entry_bytes(entry)
            if part and (part_bytes + size > FRAME_BYTES_AIM or len(part) == FRAME_MESSAGES_MAX):
                self._send_frame(part, now)
                part = []
                part_bytes = 0
                if self._paused or self.lost:
                    rest = queue[index:]
                    self._queue = rest + self._queue
                    self.queue_bytes += sum(map(self.entry_bytes, rest))
                    return
            part.append(entry)
            part_bytes += size
        self._send_frame(part, now)

    def _send_frame(self, entries: list[Entry], now: float) -> None:
        try:
            self._send(self.pack(entries, now))
        except BadFrame as error:
            if len(entries) == 1:
                self.unsendable(entries[0], error)
                return
            # One of them cannot be said; the others shall not suffer for it.
            for entry in entries:
                self._send_frame([entry], now)

    def _send(self, data: bytes) -> None:
        self._counters.frames_out += 1
        self._counters.bytes_out += len(data)
        assert self._transport is not None
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    # --- in -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports, and those in memory, do not descend from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SOCKET_BYTES_HIGH)
        no_delay(transport)
        if isinstance(self._hello, ClientHello):
            self._send(encode(self._hello.first()))

    def data_received(self, data: bytes) -> None:
        counters = self._counters
        counters.bytes_in += len(data)
        try:
            frames = self._reader.feed(data)
            counters.frames_in += len(frames)
            if self.proven is None:
                for message in frames:
                    self._greet(message)
                return
        except BadFrame as error:
            self._bad_frame(error)
            return
        for frame in frames:
            self.on_frame(frame)

    def eof_received(self) -> None:
        """The peer is done, so are we: None lets the transport close itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        try:
            self._reader.finish()
        except BadFrame as error:
            # A peer that is killed stops anywhere: this is for the counter, not a warning.
            self._counters.bad_frames += 1
            log.info("connection ended inside a frame", peer=self._hello.claimed, detail=str(error))
        self.on_lost()
        self.gone.set()

    def _greet(self, message: Handshake) -> None:
        if self.proven is not None:
            raise BadFrame(f"{type(message).__name__} after the hello")
        step = self._hello.receive(message)
        if step.send is not None:
            self._send(encode(step.send))
        if step.refusal:
            self._counters.refused += 1
            self._refuse(self._hello.claimed, step.refusal, isinstance(step.send, Refused))
            assert self._transport is not None
            self._transport.close()  # once what was written has left: the other side shall learn why
        elif step.proven is not None:
            if self._hello_timer is not None:
                self._hello_timer.cancel()
            self._counters.connects += 1
            self._reader.expect(self._decode)
            self.proven = step.proven
            self.on_proven(step.proven)

    def _hello_late(self) -> None:
        self._counters.unproven_closed += 1
        self.abort()

    def _bad_frame(self, error: BadFrame) -> None:
        self._counters.bad_frames += 1
        self._reader = FrameReader()  # what is held of it is not held any longer
        if self.proven is None:
            # Anybody can send noise; it is said once, not as often as they like.
            self._refuse(self._hello.claimed, "sends what is no hello", True)
        else:
            log.warning("bad frame, connection closed", peer=self.proven.node, detail=str(error))
        self.abort()

    def fault(self, what: str, error: Exception) -> None:
        """A handler or callback of this node raised: a bug, which must not take the connection with it."""
        self._counters.faults += 1
        log.error(what, peer=self._hello.claimed, exc_info=error)
