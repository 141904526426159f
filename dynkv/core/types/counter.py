"""Counters: a whole number to which anybody adds, and nobody's addition is lost or counted twice.

A counter is a sum of shares, one for each run of an actor that added to it. A share is the sum of that actor's own
increments; of the last of them it can still tell which is which, so that a write that two actors counted, because it
was sent again, is taken once:

    Share    actor, first     the run, or the part of one since the counter's field was last removed
             last             the counter of its last increment, whose dot stands for the whole share
             base             the increments that are not told apart any more
             deltas           (counter, increment) of the others

In a map, a removed counter forgets the shares whose last increment the removal has seen. A share that went on meanwhile
is kept whole: the increments of that actor which the remover had seen are then back with the new one.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadParameter, DamagedRecord, TooLarge
from dynkv.core.record import Actor, Vector, covers
from dynkv.core.record import Counter as Count
from dynkv.core.types.lineage import Both, Dot, Event, Ids, Twins

INCREMENT_MAX = 2**53
SHARE_MAX = 2**62
"""No share's sum goes beyond this, so that it fits 64 bits whatever of it is told apart."""

Sum = Annotated[int, Meta(ge=-SHARE_MAX, le=SHARE_MAX)]
Delta = Annotated[int, Meta(ge=-INCREMENT_MAX, le=INCREMENT_MAX)]


class Increment(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Add `by`, which may be negative."""

    by: Delta

    def removes(self) -> None:
        """Nothing."""

    def check(self, depth: int) -> None:
        """Its types say it all."""


class Share(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """See the module's text."""

    actor: Actor
    first: Count
    last: Count
    base: Sum
    deltas: Annotated[tuple[tuple[Count, Delta], ...], Meta(max_length=65_536)]

    @property
    def name(self) -> Dot:
        return self.actor, self.first

    @property
    def dot(self) -> Dot:
        return self.actor, self.last


class Counter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Shares, ascending by actor and first."""

    shares: Annotated[tuple[Share, ...], Meta(max_length=65_536)] = ()

    def join(self, theirs: "Counter", both: Both) -> "Counter":
        if self == theirs:
            return self
        stays = {share.name: share for share in self.shares}
        others = {share.name: share for share in theirs.shares}
        for name in list(stays):
            if name not in others and stays[name].dot in both.theirs:
                del stays[name]
        for name, share in others.items():
            known = stays.get(name)
            if known is None:
                if share.dot not in both.ours:
                    stays[name] = share
            elif (known.last, known.base, known.deltas) < (share.last, share.base, share.deltas):
                stays[name] = share  # equal versions are equal; see `lineage.union`
        return Counter(tuple(stays[name] for name in sorted(stays)))

    def reset(self, vector: Vector) -> "Counter":
        """Without the shares whose last increment `vector` covers."""
        return Counter(tuple(share for share in self.shares if not covers(vector, *share.dot)))

    def without(self, operation: Increment, vector: Vector) -> "Counter":
        """Itself: an increment removes nothing."""
        return self

    def apply(self, operation: Increment, event: Event) -> "Counter":
        """TooLarge if the sum leaves its range."""
        mine = [share for share in self.shares if share.actor == event.actor and share.first >= event.first]
        share = mine[-1] if mine else Share(event.actor, event.counter, event.counter, 0, ())
        base, deltas = share.base, []
        for counter, delta in (*share.deltas, (event.counter, operation.by)):
            if counter in event.twins:
                continue  # another run counts it
            if counter in event.remembered:
                deltas.append((counter, delta))
            else:
                base += delta
        if abs(base) + sum(abs(delta) for _, delta in deltas) > SHARE_MAX:
            raise TooLarge(
                "increment", "would take the counter out of its range", f"sums within {-SHARE_MAX}..{SHARE_MAX}"
            )
        grown = Share(event.actor, share.first, event.counter, base, tuple(deltas))
        return Counter(tuple(sorted((*(one for one in self.shares if one is not share), grown), key=_name)))

    def settle(self, twins: Twins) -> "Counter":
        """Itself: `show` takes each write once."""
        return self

    def show(self, ids: Ids) -> int:
        """The sum, each write once."""
        total = 0
        counted: set[bytes] = set()
        for share in self.shares:
            total += share.base
            for counter, delta in share.deltas:
                write = ids.of((share.actor, counter))
                if write is None:
                    total += delta
                elif write not in counted:
                    counted.add(write)
                    total += delta
        return total

    def told_apart(self, actor: int) -> set[int]:
        """The counters of the increments of `actor` that are."""
        return {counter for share in self.shares if share.actor == actor for counter, _ in share.deltas}

    def entries(self) -> int:
        return 0

    def check(self, depth: int) -> None:
        """DamagedRecord if an order is broken."""
        before: Dot = (0, 0)
        for share in self.shares:
            counters = [counter for counter, _ in share.deltas]
            if share.name <= before or share.first > share.last:
                raise DamagedRecord("the shares of a counter do not ascend")
            if counters != sorted(set(counters)) or not all(share.first <= c <= share.last for c in counters):
                raise DamagedRecord("the increments of a share do not ascend within it")
            before = share.name


def parse(said: dict[str, object], field: str) -> Increment:
    """{"increment": 5}. BadParameter."""
    by = said.get("increment")
    limit = f"a whole number, {-INCREMENT_MAX}..{INCREMENT_MAX}"
    if isinstance(by, bool) or not isinstance(by, int) or abs(by) > INCREMENT_MAX:
        raise BadParameter(field + "increment", "is missing" if by is None else "is none that can be added", limit)
    return Increment(by)


def _name(share: Share) -> Dot:
    return share.name
