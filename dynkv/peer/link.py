"""What this node has with one peer: the connection it opened, whether to trust it, how quick it is.

    down       not connected; connecting again and again, with backoff and jitter
    suspected  connected, but silent, or not trusted again yet: only heartbeats and gossip go there
    up         trusted with requests

One task per peer keeps it connected. Everything else happens in callbacks: answers, a tick every 50 ms, the end of the
connection. When trust is lost, what is in flight fails at once, so that whoever waits can turn elsewhere.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog

from dynkv.core.detector import Detector
from dynkv.core.latency import Latency
from dynkv.peer.calling import Calling
from dynkv.peer.gossip_messages import Ping, Pong
from dynkv.peer.handshake_messages import NONCE_BYTES
from dynkv.peer.hello import ClientHello, Proven
from dynkv.peer.home import Home
from dynkv.peer.messages import Apply, Read
from dynkv.peer.sockets import HostPort
from dynkv.peer.transport import Outcome, PeerStatus
from dynkv.runtime import wait_until

log = structlog.get_logger("dynkv.peer")


class Link:
    """One peer, seen from here. `connection` is open or None; `up` says whether to send requests."""

    def __init__(self, home: Home, node: str, addresses: Mapping[str, HostPort]) -> None:
        """The peer's address is looked up before each attempt."""
        self._home = home
        self._addresses = addresses
        timing = home.timing
        self._detector = Detector(timing.heartbeat_s, timing.silence_s_min, timing.silence_s_max)
        self._nudged = asyncio.Event()
        self._ended = asyncio.Event()  # the latest attempt: its hello is done, or its connection gone
        self._attempt: Calling | None = None
        self._attempts_failed = 0
        self._last_error = ""
        self._heartbeat_due = 0.0
        self._distrusted_at = 0.0
        self._was_connected = False
        self.node = node
        self.connection: Calling | None = None
        self.up = False
        self.reconnects = 0
        self.refusal: str | None = None
        self.reads = Latency()
        self.applies = Latency()

    # --- keeping connected --------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Connect, and again whenever the connection is gone. Runs until cancelled."""
        timing = self._home.timing
        while True:
            await self._connect()
            backoff = min(timing.backoff_s_max, timing.backoff_s_min * 2 ** min(self._attempts_failed, 16))
            self._attempts_failed += 1  # back to zero when a heartbeat is answered
            await wait_until(self._nudged, backoff * self._home.random.uniform(0.5, 1.0))
            self._nudged.clear()

    def nudge(self) -> None:
        """The peer has just connected to us, so it lives: if we are not connected, try at once."""
        if self.connection is None:
            self._nudged.set()

    def give_up(self) -> Calling | None:
        """Let go of what there is of a connection, and return it: to be aborted, its end not to be reported."""
        attempt, self._attempt = self._attempt, None
        self.connection = None
        self._ended.set()
        return attempt

    async def _connect(self) -> None:
        """One attempt. Returns when it failed or when the connection that came of it is gone."""
        self._ended.clear()
        try:
            async with asyncio.timeout(self._home.timing.connect_s):
                await self._home.sockets.connect(self.node, self._addresses[self.node], self._make)
                await self._ended.wait()
            if self.connection is None and self.refusal is None:
                # Also how a TLS server says that it does not like our certificate.
                self._unreachable("connection closed before the hello was done")
        except (OSError, UnicodeError) as error:  # a time-out is an OSError; a host name may be no host name
            self._unreachable(str(error) or "no answer in time")
        if self.connection is None:
            if (attempt := self.give_up()) is not None:
                attempt.abort()
            return
        self._nudged.clear()
        self._ended.clear()
        await self._ended.wait()

    def _make(self) -> Calling:
        home = self._home
        hello = ClientHello(home.us(), self.node, home.random.token(NONCE_BYTES))
        timings: dict[type, Latency] = {Read: self.reads, Apply: self.applies}
        self._attempt = Calling(hello, home.clock, home.counters, home.bounds, self, timings)
        return self._attempt

    def _unreachable(self, error: str) -> None:
        if error != self._last_error:
            self._last_error = error
            log.info("peer cannot be reached", peer=self.node, detail=error)

    # --- the connection's side ----------------------------------------------------------------------------------------

    def opened(self, connection: Calling, proven: Proven) -> None:
        if connection is not self._attempt:
            connection.abort()  # given up just before
            return
        home = self._home
        self.connection = connection
        self.refusal = None
        self._last_error = ""
        home.refusals.forget(self.node)
        if self._was_connected:
            self.reconnects += 1
            home.counters.reconnects += 1
        self._was_connected = True
        now = home.clock.now()
        self._distrusted_at = now
        self._ended.set()
        home.on_hello(proven.node, proven.start_count, proven.incarnation)
        self._beat(now)

    def heard(self, now: float) -> None:
        self._detector.heard(now)

    def closed(self, connection: Calling) -> None:
        if connection is not self._attempt:
            return  # given up before
        was_open = self.connection is not None
        self.give_up()
        if was_open:
            self._detector.broken()
            self._judge(self._home.clock.now())

    def refused(self, claimed: str, reason: str, by_us: bool) -> None:
        self.refusal = reason
        self._home.refusals.note(claimed, reason, by_us=by_us)

    # --- suspicion ----------------------------------------------------------------------------------------------------

    def tick(self, now: float, stalled_s: float) -> None:
        """Time passes; this node itself stood still for `stalled_s` of it."""
        connection = self.connection
        if connection is None:
            return
        if stalled_s:
            self._detector.excuse(now, stalled_s)
            self._distrusted_at = min(self._distrusted_at + stalled_s, now)
        self._judge(now)
        if now >= self._heartbeat_due:
            self._beat(now)
        if not self.up and now - self._distrusted_at > self._home.timing.renew_s:
            log.info("connection given up for a new one", peer=self.node)
            self._detector.broken()
            self.give_up()
            connection.abort()

    def _beat(self, now: float) -> None:
        timing = self._home.timing
        self._heartbeat_due = now + timing.heartbeat_s
        if self.connection is not None:
            self.connection.call(Ping(self._home.greeting()), now, timing.silence_s_max, partial(self._beaten, now))

    def _beaten(self, sent: float, outcome: Outcome) -> None:
        if isinstance(outcome, Pong):
            now = self._home.clock.now()
            self._detector.answered(now, sent)
            self._judge(now)
            self._home.on_greeting(self.node, outcome.greeting)

    def _judge(self, now: float) -> None:
        """Take note if trust came or went."""
        up = self.connection is not None and not self._detector.suspected(now)
        if up == self.up:
            return
        self.up = up
        if up:
            self._attempts_failed = 0
            log.info("peer is up", peer=self.node)
        else:
            self._distrusted_at = now
            reason = "connection lost" if self.connection is None else "silent"
            log.warning("peer is suspected", peer=self.node, reason=reason)
        self._home.changed(self.node, up)
        if not up and self.connection is not None:
            self._home.counters.suspicions += 1
            self.connection.fail_all("timed out")

    # --- asked --------------------------------------------------------------------------------------------------------

    def status(self, now: float) -> PeerStatus:
        """This link, for people."""
        connection = self.connection
        heard = self._detector.heard_at
        median = self.reads.median_s if self.reads.median_s is not None else self.applies.median_s
        return PeerStatus(
            state="down" if connection is None else "up" if self.up else "suspected",
            last_heard_s=None if heard is None else max(0.0, now - heard),
            latency_ms=None if median is None else median * 1000,
            in_flight=0 if connection is None else connection.in_flight,
            queue_bytes=0 if connection is None else connection.queue_bytes + connection.socket_bytes,
            reconnects=self.reconnects,
            refusal=self.refusal,
        )
