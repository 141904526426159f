"""Who holds what a session has seen of a key? The decision alone: fed with what members say, it never waits or talks.

A read at r met too little, or the copy that is to coordinate a write knows too little. Now every member is asked, not
only primaries: a fallback may hold what no primary has yet. As soon as the merge of what they hold covers what the
session has seen, that is the answer. If nobody can help, it is one of two things:

    behind      Somebody could not say what it holds. What is missing is there: in time it comes.
    nowhere     It is not there any more, and nobody will ever show it: a deletion that was reaped, when all agreed to
                forget it (`core.reaping`), or records that all who held them have lost. Waiting for it would be waiting
                for ever, so the session goes on without it.

"Nowhere" must be proved, for a copy may move while it is looked for. Each member is asked; then, once the last of them
has answered, each primary a second time. A copy leaves a fallback only once a primary has merged it, and a primary's
copy only grows until it is reaped: whatever was handed on behind the question's back is at a primary by then.
A primary that lost data and is being refilled counts among those who cannot say: until it is whole again nobody knows
whether what is missing was deleted or lost.
"""

from collections.abc import Sequence

from dynkv.core.record import Record, Vector, merge
from dynkv.core.session import Demand


def is_covered(record: Record | None, vector: Vector) -> bool:
    """Whether `record` knows all events of `vector`."""
    if not vector:
        return True
    return record is not None and not missing(record, vector)


def missing(record: Record | None, vector: Vector) -> Vector:
    """What of `vector` the record does not know."""
    counters = {} if record is None else dict(record.vector)
    return tuple((actor, counter) for actor, counter in vector if counters.get(actor, 0) < counter)


class Search:
    """One look at all members. Ask whom `awaited` names, `hear` or `silent` each; `ask_again` when nobody is awaited
    any more; done once `covered`, or nobody is awaited and there is no second round."""

    __slots__ = ("_held", "_primaries", "_vector", "awaited", "merged", "replicas", "round", "silence")

    def __init__(self, vector: Vector, primaries: Sequence[str], others: Sequence[str], merged: Record | None) -> None:
        """`merged`: what is known already. `primaries` and `others` are all members."""
        self._vector = vector
        self._primaries = primaries
        self.merged = merged
        self.round = 1
        self.awaited: dict[str, None] = dict.fromkeys((*primaries, *others))
        self.silence: dict[str, str] = {}
        """Who could not say what it holds, and why."""
        self.replicas: dict[str, str] = {}
        """What each had to say, in words."""
        self._held: dict[str, Record] = {}

    @property
    def covered(self) -> bool:
        return is_covered(self.merged, self._vector)

    @property
    def nowhere(self) -> bool:
        return self.round == 2 and not self.awaited and not self.silence and not self.covered

    def hear(self, member: str, record: Record | None, complete: bool) -> None:
        """What `member` holds. DamagedRecord if it contradicts what others hold."""
        self.awaited.pop(member, None)
        if record is None:
            self.replicas[member] = "not found"
        else:
            self.replicas[member] = "ok" if is_covered(record, self._vector) else "knows too little"
            self.merged = record if self.merged is None else merge(self.merged, record)
            self._held[member] = record
        if not complete and member in self._primaries:
            self.silent(member, "is being refilled")

    def holders(self) -> list[str]:
        """Who was heard to hold all that is known."""
        return [member for member, record in self._held.items() if record == self.merged]

    def behind(self) -> list[str]:
        """The primaries that were heard, and do not."""
        heard = [member for member in self._primaries if member in self.replicas and member not in self.silence]
        return [member for member in heard if self._held.get(member) != self.merged]

    def silent(self, member: str, why: str) -> None:
        """`member` cannot say."""
        self.awaited.pop(member, None)
        self.silence[member] = self.replicas[member] = why

    def ask_again(self) -> bool:
        """Whether there is a second round: it has begun then."""
        if self.round != 1 or self.awaited or self.silence or self.covered:
            return False
        self.round = 2
        self.awaited = dict.fromkeys(self._primaries)
        return True


def broken_guarantee(record: Record | None, demand: Demand, *, writes: bool) -> str:
    """The guarantee that going on with `record` would break."""
    if missing(record, demand.own):
        return "monotonic-writes" if writes else "read-your-writes"
    return "writes-follow-reads" if writes else "monotonic-reads"
