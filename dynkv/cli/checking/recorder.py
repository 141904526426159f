"""Every operation as the history has it: asked when, ended when, and how."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from dynkv.check.history import READS, Fault, Op
from dynkv.client.errors import ClientError

T = TypeVar("T")

ERROR_LENGTH_MAX = 300


class Recorder:
    """One for a run. `time()` is the run's clock: seconds since it began."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.faults: list[Fault] = []
        self._began = time.monotonic()

    def time(self) -> float:
        return round(time.monotonic() - self._began, 6)

    async def ask(
        self, op: Op, call: Callable[[], Awaitable[T]], shows: Callable[[T], Sequence[str]] | None = None
    ) -> T | None:
        """Do what `op` says by `call`, and remember how it ended; None if it was not done, or nobody knows.

        `op` comes without times. shows: of a read's answer, the values in it.
        """
        invoke = self.time()
        try:
            answer = await call()
        except ClientError as error:
            ends = {_outcome(op.op, error): self.time()}
            said = f"{type(error).__name__}: {error}"[:ERROR_LENGTH_MAX]
            self.ops.append(replace(op, invoke=invoke, error=said, **ends))
            return None
        saw = op.saw if shows is None else tuple(shows(answer))
        self.ops.append(replace(op, invoke=invoke, ok=self.time(), saw=saw))
        return answer


def _outcome(op: str, error: ClientError) -> str:
    """What an error means for the operation. A write that the client does not call in doubt was not done: the checkers
    take it at its word."""
    if op in READS:
        return "fail"
    return {"ambiguous": "info", "applied": "ok"}.get(error.outcome or "", "fail")
