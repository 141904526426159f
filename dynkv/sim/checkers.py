"""What must hold, one named checker for each. They judge a finished run from its history, from what was seen on the
disks while it ran, and from the nodes as they stand after healing.

    during the run    dots        no dot names two writes
                      kept        a stand-in lets go of a copy only when a primary has it on disk
                      owed        a hint goes only when its target has on disk all that was owed
                      forgotten   a tombstone goes only when nothing that it deleted is left anywhere
                      durable     an acknowledged write is on as many disks as were promised
    of the history    lost        no acknowledged write is lost
                      overwritten no overwritten or deleted value comes back
                      not-found   no false not-found
                      stale       a strict read sees every strict write acknowledged before it began
                      session     sessions keep what they promise
                      twice       no write is shown as two siblings
                      nowhere     what was not applied is on no disk
                      bounded     vectors are no longer than lives and copies explain
    after healing     converged   equal replicas, exact trees, no hint, no copy where none belongs
                      readable    every node answers for every key, and with what is there
                      remembered  of what was deleted nothing is left, in runs that take their time
    at the very end   quiet       no exception, no error in a log, no task and no timer left
                      enough      the run did something
"""

from collections.abc import Callable, Iterator
from functools import partial

from dynkv.core import record as records
from dynkv.core.record import Record
from dynkv.sim.cluster import SimCluster
from dynkv.sim.guarantees import broken
from dynkv.sim.history import History, Op, bit, number_in
from dynkv.sim.witness import Witness, covers


class Wrong(Exception):
    """A run has failed. `checker`: the name of what did not hold."""

    def __init__(self, checker: str, what: str) -> None:
        super().__init__(f"{checker}: {what}")
        self.checker = checker
        self.what = what


class Case:
    """All that checkers look at. `final`: each key's record after healing, None if nobody holds one."""

    def __init__(
        self, cluster: SimCluster, history: History, witness: Witness, final: dict[str, Record | None]
    ) -> None:
        self.cluster = cluster
        self.history = history
        self.witness = witness
        self.final = final

    def happened(self, op: Op) -> bool:
        """Whether the write was on any disk."""
        return op.number in self.witness.written

    def replaced_by(self, op: Op, others: list[Op]) -> Op | None:
        """A write that happened and had seen this one."""
        mark = bit(op.number)
        return next((other for other in others if other.seen & mark and self.happened(other)), None)


def lost(case: Case) -> Iterator[str]:
    """A write that is acknowledged, or that a reader's context covers, is shown, or somebody had seen it who wrote."""
    history = case.history
    for key in history.used_keys():
        writes = history.writes(key)
        final = case.final.get(key)
        left = set() if final is None else {number_in(s.value) for s in final.siblings if s.value is not None}
        for op in writes:
            if op.kind == "put" and op.acknowledged and op.number not in left and not case.replaced_by(op, writes):
                yield f"write {op.number} of {key}, acknowledged at {op.ended:.6f}, is gone, and nobody replaced it"
        for read in history.of(key):
            if read.kind == "get" and read.vector is not None:
                yield from _lost_to(case, read, writes)


def _lost_to(case: Case, read: Op, writes: list[Op]) -> Iterator[str]:
    assert read.vector is not None
    for op in writes:
        if op.kind != "put" or op.number in read.shows or not any(covers(read.vector, dot) for dot in op.dots):
            continue
        if case.replaced_by(op, writes) is None:
            yield f"read {read.number} of {read.key} knows of write {op.number} and does not show it, unreplaced"


def overwritten(case: Case) -> Iterator[str]:
    """Who knows of a write does not show what that write replaced."""
    history = case.history
    for key in history.used_keys():
        writes = [op for op in history.writes(key) if op.acknowledged and op.dots]
        final = case.final.get(key)
        for op in writes:
            for sibling in () if final is None else final.siblings:
                if covers(op.context, (sibling.actor, sibling.counter)):
                    yield f"{_name(sibling.write_id)} of {key} is there in the end, and write {op.number} replaced it"
        for read in history.of(key):
            if read.kind == "get" and read.vector is not None:
                yield from _shown_again(case, read, writes)


def _shown_again(case: Case, read: Op, writes: list[Op]) -> Iterator[str]:
    """By a read that knows who replaced it, or after the key was forgotten, when nothing older can be left."""
    witness, primaries = case.witness, case.cluster.primaries(read.key)
    assert read.vector is not None
    for op in writes:
        knows = any(covers(read.vector, dot) for dot in op.dots)
        if knows or witness.forgotten(read.key, primaries, op.ended, read.began):
            for shown in read.shows:
                dots = witness.dots_of(read.key, b"w%d" % shown)
                if dots and all(covers(op.context, dot) for dot in dots):
                    yield f"read {read.number} of {read.key} shows write {shown}, which write {op.number} replaced"


def not_found(case: Case) -> Iterator[str]:
    """No read finds nothing of a key that enough of its primaries hold."""
    options = case.cluster.options
    for key in case.history.used_keys():
        primaries = case.cluster.primaries(key)
        ops = case.history.of(key)
        written = [
            op for op in ops if op.acknowledged and len(set(op.durable_at) & set(primaries)) > options.n - options.r
        ]
        for read in ops:
            if read.kind == "get" and read.outcome == "ok" and read.vector is None:
                for op in written:
                    if op.ended < read.began and not case.witness.forgotten(key, primaries, op.began, read.ended):
                        yield f"read {read.number} of {key} found nothing; write {op.number} was acknowledged before"
                        break


def stale(case: Case) -> Iterator[str]:
    """Quorums of strict operations meet, so a read knows of every write acknowledged before it began."""
    options = case.cluster.options
    if options.r + options.w <= options.n:
        return
    for key in case.history.used_keys():
        primaries = case.cluster.primaries(key)
        ops = [op for op in case.history.of(key) if op.strict or options.nodes == options.n]
        writes = [op for op in ops if op.acknowledged and op.dots]
        for read in ops:
            if read.kind == "get" and read.vector is not None:
                for op in writes:
                    if op.ended >= read.began or any(covers(read.vector, dot) for dot in op.dots):
                        continue
                    if not case.witness.forgotten(key, primaries, op.began, read.ended):
                        yield f"read {read.number} of {key} does not know of write {op.number}, acknowledged before"


def session(case: Case) -> Iterator[str]:
    """What `guarantees` says."""
    for key in case.history.used_keys():
        primaries = case.cluster.primaries(key)
        yield from broken(case.history.of(key), partial(case.witness.forgotten, key, primaries))


def twice(case: Case) -> Iterator[str]:
    """A write shown twice would be two values to its reader."""
    for key, final in case.final.items():
        shown = () if final is None else records.shown(final)
        if len(shown) != len({sibling.value for sibling in shown}):
            yield f"{key} shows one write as several: {', '.join(_name(sibling.write_id) for sibling in shown)}"
    for op in case.history.ops:
        if op.kind == "get" and op.outcome == "ok" and op.repeats:
            yield f"read {op.number} of {op.key} shows one write as several: {op.shows}"


def nowhere(case: Case) -> Iterator[str]:
    """Who is told that nothing was written can rely on it."""
    for op in case.history.ops:
        if op.outcome == "not_applied" and case.happened(op):
            where = case.witness.written[op.number]
            yield f"write {op.number} of {op.key} was not applied, and is on the disk of {where}"


def bounded(case: Case) -> Iterator[str]:
    """A node may count under a new actor for each life, each unclean end and each new copy of a key, not more often."""
    lives = sum(host.files.replaced for host in case.cluster.all_hosts())
    for key, seen in sorted(case.witness.keys.items()):
        most = lives + len(seen.drops) + len(case.cluster.names)
        if seen.longest > most:
            yield f"a vector of {key} has {seen.longest} actors, more than {most}"


def _name(write_id: bytes) -> str:
    return f"write {write_id[1:].decode(errors='backslashreplace')}"


OF_HISTORY: dict[str, Callable[[Case], Iterator[str]]] = {
    "lost": lost,
    "overwritten": overwritten,
    "not-found": not_found,
    "stale": stale,
    "session": session,
    "twice": twice,
    "nowhere": nowhere,
    "bounded": bounded,
}
