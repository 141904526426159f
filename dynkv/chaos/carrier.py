"""One connection carried from end to end: two lanes, and one end for both.

For each lane one task reads and one delivers. However a connection ends, both of its sockets end alike: closed in order
when both sides have said their last, reset when either was reset, refused, or is to be.
"""

import asyncio
import socket
import struct

from dynkv.chaos.frames import Bytes, Frames
from dynkv.chaos.lane import Lane
from dynkv.chaos.way import Way
from dynkv.config import address
from dynkv.runtime import Clock, Tasks

READ_BYTES = 256 * 1024
# With it, closing a socket sends RST and not FIN.
_NO_LINGER = struct.pack("ii", 1, 0)

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Carrier:
    """Between who connected (`near`) and `target`. there, back: what each end sends."""

    def __init__(self, near: Ends, target: str, there: Way, back: Way, clock: Clock) -> None:
        self._near = near
        self._target = target
        self._lanes = [Lane(way, Frames() if way.has_frames else Bytes(), clock, self.reset) for way in (there, back)]
        self._writers = [near[1]]
        self._going = 2
        self._over = asyncio.Event()
        self._is_reset = False

    async def carry(self) -> None:
        """Until the connection is over."""
        tasks = Tasks()
        for lane in self._lanes:
            lane.way.connections[lane] = None
            lane.way.counts.connections += 1
        try:
            tasks.start("chaos connect", self._connect(tasks))
            await self._over.wait()
        finally:
            for lane in self._lanes:
                del lane.way.connections[lane]
            try:
                await tasks.cancel()
            finally:
                self._close()  # also if whoever ends it does not wait

    def reset(self) -> None:
        """End it now, with RST both ways; what is not delivered never is."""
        self._is_reset = True
        self._over.set()

    async def _connect(self, tasks: Tasks) -> None:
        for lane in self._lanes:
            await lane.way.opened()  # a packet there, and one back: without both there is no connection
        try:
            far = await asyncio.open_connection(*address(self._target), limit=READ_BYTES)
        except OSError:
            self.reset()
            return
        self._writers.append(far[1])
        for lane, (reader, _), (_, writer) in zip(self._lanes, (self._near, far), (far, self._near), strict=True):
            writer.transport.set_write_buffer_limits(high=0)  # so that what is drained has left us
            no_delay(writer)
            tasks.start("chaos read", self._read(lane, reader))
            tasks.start("chaos deliver", self._deliver(lane, writer))

    async def _read(self, lane: Lane, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                await lane.put(data)
        except OSError:
            await lane.way.opened()  # a reset is a packet too, and does not cross a cut
            self.reset()
        lane.end()

    async def _deliver(self, lane: Lane, writer: asyncio.StreamWriter) -> None:
        way = lane.way
        try:
            while (piece := await lane.get()) is not None:
                cut_at = way.breaks_within(piece)
                await self._write(way, piece.data[:cut_at], writer)
                if cut_at is not None:
                    self.reset()
                    return
                way.counts.frames += piece.is_frame
            await way.opened()  # nor does an end
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            self.reset()
        self._going -= 1
        if self._going == 0:
            self._over.set()

    async def _write(self, way: Way, data: bytes, writer: asyncio.StreamWriter) -> None:
        at = 0
        while at < len(data):
            size = await way.part(len(data) - at)
            writer.write(data[at : at + size])
            way.counts.bytes += size
            at += size
            await writer.drain()

    def _close(self) -> None:
        for writer in self._writers:
            if self._is_reset:
                raw = writer.get_extra_info("socket")
                if raw.fileno() != -1:  # its other end may have closed it before
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()
            else:
                writer.close()


def no_delay(writer: asyncio.StreamWriter) -> None:
    """Each piece leaves when its time has come."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
