"""The operations of one batch, done: some at a time, and what is alike together.

A slice of them is read, then all of it begins in one turn of the loop: writes go to the coordinator as one, beside them
the gets, and the reads of deletes without a context. Two slices are in progress at once: one waits for the disks while
the other works. Every operation has its result, whatever became of the others.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from dynkv.coordinator.results import Coordinator, ReadResult, Write, WriteResult
from dynkv.core.context import Tokens
from dynkv.core.errors import DynkvError, ServiceError, TooLarge
from dynkv.core.levels import Levels
from dynkv.http.operations import Operation, OperationReader, says_a_write
from dynkv.http.results import Result, failed, found, written
from dynkv.http.stats import RouteStats
from dynkv.runtime import Clock, Slices

# Operations of one batch that begin together, and those in progress at once. The first is how long a batch holds the
# loop, and how many writes share a message and a sync.
SLICE = 100
AT_ONCE = 2 * SLICE
VALUES_BYTES_MAX = 16 * 1024 * 1024

LATE = "the deadline of the batch passed before it was this operation's turn"

Numbered = tuple[int, Operation]
APPLIED: Result = {"status": 204, "outcome": "applied"}


class Told(NamedTuple):
    """How results are told. form: JSON or CBOR. brief: of a write that was applied nothing but that."""

    tokens: Tokens
    form: str
    brief: bool


class BatchWork:
    """Make one, `await run()`, throw it away. `rows`: by kind of operation; `broken` is told of what nobody foresaw."""

    def __init__(
        self,
        coordinator: Coordinator,
        clock: Clock,
        reader: OperationReader,
        operations: list[Any],
        told: Told,
        rows: Mapping[str, RouteStats],
        broken: Callable[[Exception], None],
    ) -> None:
        """`operations` is emptied."""
        self._coordinator = coordinator
        self._told = told
        self._clock = clock
        self._reader = reader
        self._operations = operations
        self._rows = rows
        self._broken = broken
        self._deadline = 0.0
        self._values_bytes = 0
        self._results: list[Result] = [{}] * len(operations)

    async def run(self, width: int, timeout_s: float) -> list[Result]:
        """The results, in order, when all are there; never more than `width` operations at once."""
        self._deadline = self._clock.now() + timeout_s
        count = len(self._operations)
        size = max(1, min(SLICE, width))
        slices = iter([range(start, min(start + size, count)) for start in range(0, count, size)])
        await asyncio.gather(*(self._work(slices) for _ in range(-(-width // size))))
        return self._results

    async def _work(self, slices: Iterator[range]) -> None:
        """One slice after the other of those that nobody has begun."""
        for numbers in slices:
            began = self._clock.now()
            operations = await self._read(numbers)
            blind = [(number, one) for number, one in operations if one.blind]
            writes = [(number, one, one.write) for number, one in operations if one.write is not None and not one.blind]
            gets = [self._get(number, one) for number, one in operations if one.write is None]
            await asyncio.gather(self._put(writes), self._delete(blind), *gets)
            took = self._clock.now() - began
            for number, operation in operations:
                self._rows[operation.kind].add(self._results[number]["status"], took)

    async def _read(self, numbers: range) -> list[Numbered]:
        """The operations with these numbers, but for those that cannot be read, which have their result."""
        read: list[Numbered] = []
        slices = Slices(self._clock)  # reading operations with long keys takes its time too
        for number in numbers:
            raw, self._operations[number] = self._operations[number], None  # its value is not held until the end
            try:
                read.append((number, self._reader.read(raw)))
            except DynkvError as error:
                self._results[number] = failed(number, None, error, writes=says_a_write(raw))
            await slices.end()
        return read

    # --- kinds of operations ------------------------------------------------------------------------------------------

    async def _get(self, number: int, operation: Operation) -> None:
        try:
            read = await self._coordinator.get(operation.bucket, operation.key, self._in_time(operation.levels))
            self._count_values(read)
            self._results[number] = found(operation, read, self._told.tokens, self._told.form)
        except Exception as error:  # noqa: BLE001 - the edge: the others go on, whatever this is
            self._fail(number, operation, error)

    async def _put(self, writes: Sequence[tuple[int, Operation, Write]]) -> None:
        if not writes:
            return
        outcomes: Sequence[WriteResult | Exception]
        try:
            # Of equal levels equal ones are made, now and for all: those go together.
            in_time = {levels: self._in_time(levels) for levels in {one.levels for _, one, _ in writes}}
            asked = [(write, in_time[one.levels], one.settings.conflict) for _, one, write in writes]
            outcomes = await self._coordinator.put_many(asked)
        except Exception as error:  # noqa: BLE001 - as above
            outcomes = [error] * len(writes)
        tokens, _, brief = self._told
        for (number, operation, _), outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, WriteResult):
                self._results[number] = APPLIED if brief else written(operation, outcome, tokens)
            else:
                self._fail(number, operation, outcome)

    async def _delete(self, blind: Sequence[Numbered]) -> None:
        """Deletes without a context: of what a read sees. In an lww bucket a write covers what it meets anyway."""
        looked = await asyncio.gather(*(self._look(*one) for one in blind))
        await self._put([one for one in looked if one is not None])

    async def _look(self, number: int, operation: Operation) -> tuple[int, Operation, Write] | None:
        write = operation.write
        assert write is not None
        if operation.settings.conflict == "siblings":
            try:
                levels = self._in_time(operation.levels)
                record = (await self._coordinator.get(operation.bucket, operation.key, levels)).record
            except Exception as error:  # noqa: BLE001 - as above
                if isinstance(error, ServiceError):
                    error.outcome = "not_applied"  # only the read has failed so far
                self._fail(number, operation, error)
                return None
            write = structs.replace(write, context=() if record is None else record.vector)
        return number, operation, write

    # --- parts --------------------------------------------------------------------------------------------------------

    def _in_time(self, levels: Levels) -> Levels:
        """The levels with what is left of the batch's time. ServiceError if nothing is."""
        left_ms = int((self._deadline - self._clock.now()) * 1000)
        if left_ms <= 0:
            raise ServiceError(LATE)
        return levels if levels.timeout_ms <= left_ms else levels._replace(timeout_ms=left_ms)

    def _fail(self, number: int, operation: Operation, error: Exception) -> None:
        known = error if isinstance(error, DynkvError) else None
        if known is None:
            self._broken(error)
        self._results[number] = failed(number, operation, known, writes=operation.write is not None)

    def _count_values(self, read: ReadResult) -> None:
        """TooLarge if the answer would grow beyond its bound with this one."""
        siblings = () if read.record is None else read.record.siblings
        size = sum(len(sibling.value or b"") for sibling in siblings)
        if self._values_bytes + size > VALUES_BYTES_MAX:
            limit = f"{VALUES_BYTES_MAX} bytes for all gets of a batch together"
            raise TooLarge("value", f"has {size} bytes, for which this answer has no room; get it in another", limit)
        self._values_bytes += size
