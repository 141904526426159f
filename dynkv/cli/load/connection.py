"""One connection of the generator: its answer is scanned, counted, and the next request sent, in one callback.

What is not done here is what makes it cheap: no parser, no futures, no tasks, one clock reading per request.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from dynkv.cli.load.latency import COARSE_SHIFT, FINE, SLOTS, Latencies
from dynkv.cli.load.sources import Source
from dynkv.cli.load.wire import response_length


class Tally:
    """What the connections of one process count together."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.statuses: dict[bytes, int] = {}
        self.errors: dict[str, int] = {}
        self.stopping = False

    def error(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1

    def reset(self) -> None:
        """Forget what was counted so far: the warm-up."""
        self.latencies = Latencies()
        self.statuses = {}
        self.errors = {}


class Connection(asyncio.Protocol):
    """Closed loop: one request in flight until the source ends, the tally is stopping, or the connection is lost."""

    def __init__(self, source: Source, tally: Tally, clock_ns: Callable[[], int], ended: asyncio.Future[bool]) -> None:
        """`ended` is set at the end: True if the source ended or the run is over, False if the connection was lost."""
        self._source = source
        self._tally = tally
        self._clock_ns = clock_ns
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._in_flight = False
        self._sent_ns = 0
        self._parts = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        """Send the first request."""
        self._sent_ns = self._clock_ns()
        self._send_next()

    def _send_next(self) -> None:
        request = None if self._tally.stopping else self._source.next()
        if request is None:
            self._end(True)
            return
        self._in_flight = True
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._parts:
            data = self._parts + data
        try:
            length = response_length(data)
        except ValueError:
            self._lose("not understood")
            return
        if length != len(data):
            if length and length < len(data):
                self._lose("more than one answer")
                return
            self._parts = data
            return
        self._parts = b""
        self._in_flight = False
        now_ns = self._clock_ns()
        tally = self._tally
        us = (now_ns - self._sent_ns) // 1000
        tally.latencies.slots[us if us < FINE else min(FINE + (us >> COARSE_SHIFT), SLOTS - 1)] += 1
        status = data[9:12]
        tally.statuses[status] = tally.statuses.get(status, 0) + 1
        if self._source.listens:
            self._source.answered(data)
        self._sent_ns = now_ns
        self._send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._in_flight:
            self._tally.error("connection lost")
        self._in_flight = False
        self._end(False)

    def give_up(self) -> None:
        """The run is over and the answer did not come."""
        if self._in_flight:
            self._lose("no answer")

    def _lose(self, what: str) -> None:
        self._tally.error(what)
        self._in_flight = False
        self._end(False)

    def _end(self, finished: bool) -> None:
        if not self._ended.done():
            self._ended.set_result(finished)
        if self._transport is not None:
            self._transport.close()
