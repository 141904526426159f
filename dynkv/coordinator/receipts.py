"""Which primaries of a key have a certain write? Asked with its dot, which the answer to the write told as a receipt.

A replica has a write if its record covers the dot: the value may be there, or have been overwritten or deleted by
somebody who knew it. Every answer waits until what it says is durable. Only looking: nothing is repaired.

Nearly always all that have it hold the same record. So one record is looked at and the others tell digests; a record is
fetched only for a digest that no known record explains.
"""

import asyncio
from functools import partial

from dynkv.coordinator.plan import Surroundings, words
from dynkv.coordinator.results import Receipt
from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError
from dynkv.core.plan import Plan
from dynkv.peer.messages import Absent, Failed, Found, Read
from dynkv.peer.transport import Outcome


class Inquiry:
    """One question to all primaries. Make one, `await run()`, throw it away."""

    def __init__(self, around: Surroundings, bucket: str, key: bytes, n: int, dot: tuple[int, int]) -> None:
        self._around = around
        self._bucket = bucket
        self._key = key
        self._dot = dot
        self._plan: Plan = around.placing.plan(bucket, key, n)
        self._covers: dict[bytes, bool] = {}  # by digest of the records looked at
        self._said: dict[str, bool | str] = {}
        self._answers: asyncio.Queue[tuple[str, Outcome]] = asyncio.Queue()
        self._deadline = 0.0

    async def run(self, timeout_s: float, enough: int) -> Receipt:
        """Who had said what when all had answered, or `enough` said that they have it, or the time was over."""
        around, primaries = self._around, self._plan.primaries
        self._deadline = around.clock.now() + timeout_s
        full = around.node not in primaries  # somebody's record must be looked at; this node's own costs nothing
        for node in primaries:
            if node == around.node:
                self._ask_here()
            elif around.transport.available(node):
                self._ask(node, full=full)
                full = False
            else:
                self._said[node] = "unreachable"
        while len(self._said) < len(primaries) and sum(what is True for what in self._said.values()) < enough:
            try:
                async with asyncio.timeout(max(0.0, self._deadline - around.clock.now())):
                    node, outcome = await self._answers.get()
            except TimeoutError:
                break
            self._hear(node, outcome)
        said = {node: self._said.get(node, "no answer yet") for node in primaries}
        return Receipt(
            [node for node, what in said.items() if what is True],
            [node for node, what in said.items() if what is False],
            {node: what for node, what in said.items() if isinstance(what, str)},
        )

    def _ask(self, node: str, *, full: bool) -> None:
        message = Read(self._bucket, self._key, full=full, durable=True)
        left = max(0.0, self._deadline - self._around.clock.now())
        self._around.transport.request(node, message, left, partial(self._answered, node))

    def _ask_here(self) -> None:
        around, partition = self._around, self._plan.partition
        try:
            copy = around.replica.read(partition, self._bucket, self._key)
        except StoreError as error:
            self._said[around.node] = f"read failed: {error}"
            return
        complete = around.replica.identity.complete_in(partition)
        outcome = Absent(complete) if copy is None else Found(copy.digest, copy.record, complete)

        def durable(error: Exception | None) -> None:
            self._answered(around.node, outcome if error is None else Failed("sync failed", str(error), True))

        around.replica.durable(durable)

    def _answered(self, node: str, outcome: Outcome) -> None:
        self._answers.put_nowait((node, outcome))

    def _hear(self, node: str, outcome: Outcome) -> None:
        if isinstance(outcome, Absent):
            self._said[node] = False
        elif not isinstance(outcome, Found):
            self._said[node] = words(outcome)
        elif outcome.record:
            self._look(node, outcome)
        elif outcome.digest in self._covers:
            self._said[node] = self._covers[outcome.digest]
        else:
            self._ask(node, full=True)

    def _look(self, node: str, found: Found) -> None:
        try:
            vector = records.decode(found.record).vector
        except DamagedRecord as error:
            self._said[node] = f"sent a damaged record: {error}"
            return
        covers = records.covers(vector, *self._dot)
        self._covers[records.digest(found.record)] = covers
        self._said[node] = covers
