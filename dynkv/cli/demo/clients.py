"""The demo's readers and writers: a paced load on all nodes that live.

A client knows all nodes and asks the next living one each time. A request that was open on a node that dies is repeated
on another, a write under the same Idempotency-Key; it counts as retried. Refused is what failed for good.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple

from dynkv.cli.demo.channel import Channel, Gone, Response
from dynkv.cli.demo.ledger import Ledger, newest_in, value
from dynkv.cli.load.latency import Latencies, Latency
from dynkv.cli.load.wire import request

BUCKET = "demo"
WRITERS = 8
READERS = 16
WRITES_PER_S = 400
READS_PER_S = 1200
# Of the writes, so many replace an earlier value with its context; the others are of fresh keys.
OVERWRITES = 0.3
LOADED_KEYS = 1000
LOADERS = 24

# A client gives a request up after so long; until then it tries node after node.
PATIENCE_S = 10.0
PAUSE_S = 0.02
COMPLAINTS_MAX = 20

Phase = Literal["before", "during", "after", "refill"]
PHASES: tuple[Phase, ...] = ("before", "during", "after", "refill")
# In these a node is down, or has just come back: gaps between answers count.
TROUBLED = ("during", "refill")

Step = Callable[[], Coroutine[Any, Any, None]]


class Outcome(NamedTuple):
    """What the whole load came to."""

    requests: int
    acknowledged: int
    retried: int
    refused: int
    wrong_reads: int
    longest_gap_ms: float
    latency: dict[str, Latency]
    complaints: list[str]


class Clients:
    """All clients, and what they count together."""

    def __init__(self, targets: dict[str, str], ledger: Ledger) -> None:
        self.targets = targets
        self.ledger = ledger
        self.halting = False
        self.requests = self.acknowledged = self.retried = self.refused = self.wrong_reads = 0
        # Seconds that the requests took which were done since somebody last looked.
        self.recent: list[float] = []
        self._live = list(targets)
        self._turn = 0
        self._phase: Phase = "before"
        self._latencies = {phase: Latencies() for phase in PHASES}
        self._last_done = time.perf_counter()
        self._longest_gap = 0.0
        self._complaints: list[str] = []

    def begin(self, phase: Phase) -> None:
        """From now on what is done counts to this phase."""
        self._phase = phase

    def alive(self, node: str) -> None:
        """The node can be asked again."""
        self._live = [name for name in self.targets if name in {*self._live, node}]

    async def load(self) -> None:
        """Write the first keys, as fast as it goes."""
        keys = iter([f"k{number}" for number in range(LOADED_KEYS)])

        async def loader() -> None:
            channels = self._channels()
            for key in keys:
                await self._write(channels, key)

        await asyncio.gather(*(loader() for _ in range(LOADERS)))
        self._latencies["before"] = Latencies()  # loading is not yet part of the story

    async def run(self) -> None:
        """Read and write until `halting`."""
        writers = [self._paced(self._writer(f"w{n}"), WRITES_PER_S / WRITERS, n / WRITERS) for n in range(WRITERS)]
        readers = [self._paced(self._reader(), READS_PER_S / READERS, n / READERS) for n in range(READERS)]
        await asyncio.gather(*writers, *readers)

    def outcome(self) -> Outcome:
        return Outcome(
            requests=self.requests,
            acknowledged=self.acknowledged,
            retried=self.retried,
            refused=self.refused,
            wrong_reads=self.wrong_reads,
            longest_gap_ms=round(self._longest_gap * 1000, 1),
            latency={phase: self._latencies[phase].summary() for phase in PHASES},
            complaints=self._complaints,
        )

    async def _paced(self, step: Step, per_s: float, offset: float) -> None:
        """Take a step `per_s` times a second, or as fast as steps are done if they take longer."""
        loop = asyncio.get_running_loop()
        due = loop.time() + offset / per_s
        while not self.halting:
            await asyncio.sleep(max(0.0, due - loop.time()))
            await step()
            due = max(due + 1 / per_s, loop.time())

    def _writer(self, name: str) -> Step:
        channels = self._channels()
        ours: list[str] = []

        async def step() -> None:
            if ours and random.random() < OVERWRITES:
                key = random.choice(ours)
            else:
                key = f"{name}-{len(ours)}"
                ours.append(key)
            await self._write(channels, key)

        return step

    async def _write(self, channels: dict[str, Channel], key: str) -> None:
        version = self.ledger.versions.get(key, 0) + 1
        headers = {"Idempotency-Key": f"{key}.{version}"}
        if context := self.ledger.contexts.get(key):
            headers["Dynkv-Context"] = context.decode("ascii")
        response = await self._ask(channels, request("PUT", f"/kv/{BUCKET}/{key}", headers, value(key, version)))
        if response is not None:
            self.acknowledged += 1
            self.ledger.acknowledge(key, version, response.header(b"dynkv-context"))

    def _reader(self) -> Step:
        channels = self._channels()

        async def step() -> None:
            key = random.choice(self.ledger.keys)
            acknowledged = self.ledger.versions[key]
            response = await self._ask(channels, request("GET", f"/kv/{BUCKET}/{key}"))
            if response is not None and newest_in(response.body, key) < acknowledged:
                self.wrong_reads += 1
                self._complain(f"read of {key}: status {response.status} without version {acknowledged}")

        return step

    async def _ask(self, channels: dict[str, Channel], what: bytes) -> Response | None:
        """An answer 2xx, 300 or 404; None if the request was refused for good."""
        self.requests += 1
        began = time.perf_counter()
        why = "no node is alive"
        while time.perf_counter() - began < PATIENCE_S:
            node = self._next_node()
            if node is not None:
                try:
                    response = await channels[node].ask(what)
                except Gone as gone:
                    why = f"{node}: {gone}"
                    self._live = [other for other in self._live if other != node]
                    self.retried += 1
                    continue
                if response.status < 400 or response.status == 404:
                    self._done(began)
                    return response
                why = f"{node}: status {response.status}: {response.body.decode(errors='replace')[:300]}"
                if response.status < 500:
                    break
                self.retried += 1
            await asyncio.sleep(PAUSE_S)
        self.refused += 1
        self._complain(f"refused: {why}")
        return None

    def _next_node(self) -> str | None:
        self._turn += 1
        return self._live[self._turn % len(self._live)] if self._live else None

    def _done(self, began: float) -> None:
        now = time.perf_counter()
        self._latencies[self._phase].add(int((now - began) * 1e6))
        self.recent.append(now - began)
        # The gap around a kill: from the last request done before it to the first one after, or any later one.
        if self._phase in TROUBLED:
            self._longest_gap = max(self._longest_gap, now - self._last_done)
        self._last_done = now

    def _channels(self) -> dict[str, Channel]:
        return {node: Channel(target) for node, target in self.targets.items()}

    def _complain(self, what: str) -> None:
        if len(self._complaints) < COMPLAINTS_MAX:
            self._complaints.append(what)
