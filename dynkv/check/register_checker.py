"""Registers: keys that are read, replaced by who has read them, written blindly, and deleted.

lost            an acknowledged value is gone, and no write or deletion that had seen it, or a successor, explains it
back            a value is shown in the end that an acknowledged (or read) write had replaced
refused shown   a value is shown whose write was said to have been done nowhere
invented        a value is shown that nobody wrote, or before it was written
stale read      a quorum read did not know of a write that was acknowledged before it began
diverged        nodes do not show the same in the end
written twice   the history is not of this workload
"""

from collections.abc import Iterator, Sequence

from dynkv.check.history import Anomaly, Head, History, Op
from dynkv.check.lineage import Lineage

NEVER = float("inf")


def check(history: History) -> list[Anomaly]:
    """All that is wrong, ordered by key."""
    return [anomaly for key, ops in sorted(history.by_key().items()) for anomaly in of_key(history.head, key, ops)]


def of_key(head: Head, key: str, ops: Sequence[Op]) -> Iterator[Anomaly]:
    """What is wrong with one key."""
    lineage = Lineage(ops)
    for op in lineage.twice:
        yield Anomaly(
            "written twice", key, f"{op.value} was written before: this is no history of ours", op.invoke, (op,)
        )
    reads = [op for op in ops if op.is_read and op.ok is not None]
    finals = [op for op in reads if op.op == "final"]
    yield from shown_wrongly(key, reads, lineage)
    yield from beside_its_successor(key, reads, lineage)
    if head.strict:
        yield from _stale(key, [op for op in reads if op.op == "read"], lineage)
    yield from lost_and_back(key, ops, finals, lineage)
    yield from diverged(key, finals)


def shown_wrongly(key: str, reads: Sequence[Op], lineage: Lineage) -> Iterator[Anomaly]:
    """Values that could not be there; each once."""
    told: set[str] = set()
    for op in reads:
        for value in op.saw:
            write = lineage.added.get(value)
            if value in told:
                continue
            if write is None or write.invoke > op.end:
                why = "nobody wrote it" if write is None else "its write began only later"
                yield Anomaly("invented", key, f"{_where(op)} showed {value}: {why}", op.end, (op,))
            elif write.fail is not None:
                detail = f"{_where(op)} showed {value}, whose write was said to have been done nowhere ({write.error})"
                yield Anomaly("refused shown", key, detail, op.end, (write, op))
            else:
                continue
            told.add(value)


def beside_its_successor(key: str, reads: Sequence[Op], lineage: Lineage) -> Iterator[Anomaly]:
    """Reads that showed a value and what had replaced it: whoever holds the one has no right to hold the other."""
    for op in reads:
        if op.op != "final" and len(op.saw) > 1:
            replaced = lineage.covered_by(seen for value in op.saw for seen in lineage.seen_by(value))
            for value in lineage.values(lineage.bits(op.saw) & replaced):
                detail = f"{_where(op)} showed {said(op.saw)}; {value} had been seen by who wrote one of the others"
                yield Anomaly("back", key, detail, op.end, (op,))


def _stale(key: str, reads: Sequence[Op], lineage: Lineage) -> Iterator[Anomaly]:
    for op in reads:
        missing = lineage.missing(op.saw, op.invoke, op.end)
        old = lineage.values(lineage.bits(op.saw) & lineage.replaced_before(op.invoke))
        if missing:
            write = lineage.added[missing[-1]]
            detail = f"{_where(op)} showed {said(op.saw)}, not knowing of {said(missing)}, acknowledged before it began"
            yield Anomaly("stale read", key, detail, op.end, (write, op))
        elif old:
            detail = f"{_where(op)} showed {said(old)}, replaced or deleted before it began"
            yield Anomaly("stale read", key, detail, op.end, (lineage.added[old[-1]], op))


def lost_and_back(key: str, ops: Sequence[Op], finals: Sequence[Op], lineage: Lineage) -> Iterator[Anomaly]:
    """What the final reads show that must not be, and what they do not show that must be."""
    happened = [
        op for op in ops if not op.is_read and (op.ok is not None or (op.fail is None and op.value in lineage.seen))
    ]
    replaced_by = {value: op for op in happened for value in op.saw}
    for shown, all_of in _alike(finals).items():
        at, where = all_of[0].end, _where(*all_of)
        for value in lineage.missing(shown, NEVER, NEVER):
            write = lineage.added[value]
            acknowledged = f"{value} was acknowledged at {write.end:.3f} s"
            detail = f"{acknowledged}; {where} showed {said(shown)}, which does not explain it"
            yield Anomaly("lost", key, detail, at, (write, *all_of))
        for value in shown:
            later = replaced_by.get(value)
            if later is not None:
                what = f"replaced by {later.value}" if later.value else "deleted"
                detail = f"{value} had been seen and {what} at {later.end:.3f} s; {where} showed it all the same"
                yield Anomaly("back", key, detail, at, (later, *all_of))


def diverged(key: str, finals: Sequence[Op]) -> Iterator[Anomaly]:
    """Whether final reads differ."""
    views = _alike(finals)
    if len(views) > 1:
        detail = "; ".join(f"{_where(*ops)} showed {said(shown)}" for shown, ops in views.items())
        yield Anomaly("diverged", key, detail, max(op.end for op in finals), tuple(ops[0] for ops in views.values()))


def _alike(finals: Sequence[Op]) -> dict[tuple[str, ...], list[Op]]:
    """The final reads by what they showed."""
    views: dict[tuple[str, ...], list[Op]] = {}
    for op in finals:
        views.setdefault(tuple(sorted(op.saw)), []).append(op)
    return views


def said(values: Sequence[str]) -> str:
    """Values in a message."""
    some = ", ".join(values[:5])
    return f"{some} and {len(values) - 5} more" if len(values) > 5 else some or "nothing"


def _where(*ops: Op) -> str:
    if len(ops) == 1 and ops[0].op == "read":
        return f"a read at {ops[0].node} ({ops[0].end:.3f} s)"
    return "final reads at " + ", ".join(f"{op.node} r={op.level or '?'}" for op in ops[:6])
