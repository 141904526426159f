"""What a session was promised (Terry et al. 1994, each for one key), held against what its client and all others read.

    read your writes        a read knows the session's own acknowledged writes
    monotonic reads         a read knows what the session's earlier reads knew
    monotonic writes        a read that shows a write of a session knows its earlier acknowledged writes
    writes follow reads     a read that shows a write of a session knows what the session had read before

To know is to have in one's vector; a key that all agreed to forget in between need not be known. The last two are held
against every client's reads, and against the write whether it was acknowledged or not. What a read knew is counted as
far as it was acknowledged to somebody: what was not may be on one disk alone, be read there, and be gone with it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from dynkv.core.record import Vector
from dynkv.sim.history import Dot, Op
from dynkv.sim.witness import covers


class Forgotten(Protocol):
    """Whether a key was forgotten by all between two moments."""

    def __call__(self, since: float, until: float) -> bool: ...


class Known(NamedTuple):
    """What a session knew of a key by an operation: writes, each by all the dots that it was acknowledged under."""

    op: Op
    writes: tuple[tuple[Dot, ...], ...]

    def missing(self, vector: Vector) -> bool:
        return not all(any(covers(vector, dot) for dot in dots) for dots in self.writes)


def broken(ops: Sequence[Op], forgotten: Forgotten) -> Iterator[str]:
    """Of one key, all operations of all clients."""
    before: dict[int, list[Known]] = {}
    acknowledged = [tuple(op.dots) for op in ops if op.kind != "get" and op.acknowledged and op.dots]
    for client in sorted({op.client for op in ops if op.session}):
        yield from _own([op for op in ops if op.client == client and op.session], acknowledged, before, forgotten)
    for read in ops:
        if read.kind == "get" and read.vector is not None:
            for shown in read.shows:
                for known in before.get(shown, ()):
                    if known.missing(read.vector) and not forgotten(known.op.began, read.ended):
                        name = "writes follow reads" if known.op.kind == "get" else "monotonic writes"
                        yield (
                            f"{name}: read {read.number} of {read.key} shows write {shown} and does not know of "
                            f"operation {known.op.number}, which came before it in its session"
                        )


def _own(
    ops: Sequence[Op], acknowledged: Sequence[tuple[Dot, ...]], before: dict[int, list[Known]], forgotten: Forgotten
) -> Iterator[str]:
    """One session's reads; notes in `before` what it knew at each of its writes."""
    all_known: list[Known] = []
    for op in sorted(ops, key=_ended):  # a client does one thing at a time, but may begin a write by reading
        if op.kind != "get":
            before[op.number] = list(all_known)
            if op.acknowledged and op.dots:
                all_known.append(Known(op, (tuple(op.dots),)))
        elif op.outcome == "ok":
            for known in all_known:
                if known.missing(op.vector or ()) and not forgotten(known.op.began, op.ended):
                    name = "monotonic reads" if known.op.kind == "get" else "read your writes"
                    yield (
                        f"{name}: read {op.number} of {op.key} does not know of operation {known.op.number} "
                        f"of its session"
                    )
            vector = op.vector or ()
            knew = tuple(dots for dots in acknowledged if any(covers(vector, dot) for dot in dots))
            all_known.append(Known(op, knew))


def _ended(op: Op) -> float:
    return op.ended
