"""Sessions: a process is a session, and goes to another node with each request.

    read your writes        a read knows the session's own acknowledged writes of the key
    monotonic reads         a read knows what the session's earlier reads showed
    monotonic writes        who shows a write of a session knows its earlier acknowledged writes
    writes follow reads     who shows a write of a session knows what that session had read before it

"Knows" is: shows it, or something that covers it, or a deletion may have taken it. The last two are about other
sessions' reads too, since all of them go through sessions. In the end the key must be as any register must be.
"""

from collections.abc import Iterator, Sequence

from dynkv.check.history import ADDS, Anomaly, History, Op
from dynkv.check.lineage import Lineage
from dynkv.check.register_checker import beside_its_successor, diverged, lost_and_back, said, shown_wrongly


def check(history: History) -> list[Anomaly]:
    """All that is wrong, ordered by key."""
    return [anomaly for key, ops in sorted(history.by_key().items()) for anomaly in _of_key(key, ops)]


def _of_key(key: str, ops: Sequence[Op]) -> Iterator[Anomaly]:
    lineage = Lineage(ops)
    reads = [op for op in ops if op.is_read and op.ok is not None]
    finals = [op for op in reads if op.op == "final"]
    yield from shown_wrongly(key, reads, lineage)
    yield from beside_its_successor(key, reads, lineage)
    sessions: dict[int, list[Op]] = {}
    for op in sorted(ops, key=lambda op: op.invoke):
        if op.op != "final":
            sessions.setdefault(op.process, []).append(op)
    before: dict[str, tuple[int, int]] = {}
    for own in sessions.values():
        yield from _own(key, own, lineage, before)
    for op in reads:
        yield from _others(key, op, lineage, before)
    yield from lost_and_back(key, ops, finals, lineage)
    yield from diverged(key, finals)


def _own(key: str, ops: Sequence[Op], lineage: Lineage, before: dict[str, tuple[int, int]]) -> Iterator[Anomaly]:
    """One session's reads. Notes in `before` what it had written and what it had read when it wrote each value."""
    wrote = showed = 0
    for op in ops:
        if op.op in ADDS and op.may_have_happened:
            before[op.value] = (wrote, showed)
        if op.ok is None:
            continue
        if not op.is_read:
            wrote |= lineage.covered_by((op.value,)) if op.op in ADDS else 0
            continue
        known = lineage.covered_by(op.saw) | lineage.removed_before(op.end)
        for kind, must in (("read your writes", wrote), ("monotonic reads", showed)):
            missing = lineage.values(must & ~known)
            if missing:
                detail = f"session {op.process} read {said(op.saw)} at {op.node}, and knew {said(missing)} before"
                yield Anomaly(kind, key, detail, op.end, (lineage.added[missing[-1]], op))
        showed |= lineage.covered_by(op.saw)


def _others(key: str, op: Op, lineage: Lineage, before: dict[str, tuple[int, int]]) -> Iterator[Anomaly]:
    """What a read must know because of the values that it showed."""
    known = lineage.covered_by(op.saw) | lineage.removed_before(op.end)
    for value in op.saw:
        wrote, showed = before.get(value, (0, 0))
        for kind, must in (("monotonic writes", wrote), ("writes follow reads", showed)):
            missing = lineage.values(must & ~known)
            if missing:
                detail = f"{op.node} showed {value} and not {said(missing)}, which its session had before it wrote that"
                yield Anomaly(kind, key, detail, op.end, (lineage.added[value], op))
