"""One end of a simulated connection: an asyncio transport whose bytes the network carries, or does not."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from dynkv.sim.loop import ProcessLoop

if TYPE_CHECKING:
    from dynkv.sim.network import Net, Site

HIGH_BYTES = 64 * 1024


class End(asyncio.Transport):
    """`other` is the peer's. `frames`: one write is one frame of the peer protocol, which may be lost by itself.

    `gone`: this end is no more; what comes for it is answered with a reset, as a kernel does.
    """

    other: "End"

    def __init__(self, net: "Net", site: "Site", loop: ProcessLoop, *, frames: bool) -> None:
        super().__init__()
        self.net = net
        self.site = site
        self.loop = loop
        self.frames = frames
        self.sent = 0
        self.arrives = 0.0  # when the newest packet arrives: the next is no earlier, unless reordered
        self.in_flight = 0
        self.gone = False
        self._protocol: asyncio.Protocol | None = None
        self._closing = False
        self._reading = True
        self._waiting: deque[tuple[End, bytes]] = deque()
        self._high = HIGH_BYTES
        self._writing_paused = False

    def begin(self, protocol: asyncio.Protocol) -> None:
        """In this end's process: the connection is made."""
        self._protocol = protocol
        protocol.connection_made(self)

    # --- from the network, in this end's process ----------------------------------------------------------------------

    def received(self, sender: "End", data: bytes) -> None:
        if self._closing:
            sender.taken(len(data))
        elif not self._reading or self._waiting:
            self._waiting.append((sender, data))
        else:
            self._take(sender, data)

    def ended(self) -> None:
        """The peer sends no more."""
        if self._protocol is not None and not self._closing and not self._protocol.eof_received():
            self.close()

    def broken(self) -> None:
        """The connection was reset."""
        if not self._closing:
            self._closing = True
            self._lost(ConnectionResetError("connection reset"))

    def taken(self, size: int) -> None:
        """The peer's process took so many bytes of what was sent here."""
        self.in_flight -= size
        if self._writing_paused and self.in_flight <= self._high // 4:
            self._writing_paused = False
            self.loop.call_soon(self._resume_writing)

    def _take(self, sender: "End", data: bytes) -> None:
        sender.taken(len(data))
        assert self._protocol is not None
        self._protocol.data_received(data)

    def _resume_writing(self) -> None:
        if not self._closing and self._protocol is not None:
            self._protocol.resume_writing()

    def _lost(self, error: Exception | None) -> None:
        self.gone = True
        self.net.forget(self)
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    # --- asyncio's side -----------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        self.net.carry(self, bytes(data))
        if self.in_flight > self._high and not self._writing_paused and self._protocol is not None:
            self._writing_paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """What was written still arrives, then the other end learns that no more comes."""
        if not self._closing:
            self._closing = True
            self.net.carry_end(self)
            self.loop.call_soon(self._lost, None)

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self.net.carry_reset(self)
            self.loop.call_soon(self._lost, None)

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        if self._waiting:
            self.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        while self._waiting and self._reading and not self._closing:
            self._take(*self._waiting.popleft())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_BYTES if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.in_flight
