"""Records: what a node stores for a key, and the only two things that ever happen to one, `merge` and `put`.

A record is a dotted version vector set (Preguiça, Baquero, Almeida, Fonte, Gonçalves: "Dotted Version Vectors", 2010;
Almeida et al.: "Scalable and Accurate Causality Tracking for Eventually Consistent Stores", 2014):

    vector     (actor, counter), ...   ascending by actor: every write event that this record knows of
    siblings   Sibling, ...            ascending by dot: the events among them that no known event has replaced

A write event is named by its dot (actor, counter), counted 1, 2, 3, ... by one actor. The vector says counter 5 and
thereby covers 1 to 5. So an event that the vector covers and no sibling carries has been *replaced*; an event that the
vector does not cover is *unknown*. All of causality is that distinction, and two rules keep it true:

- **The actor rule.** An actor belongs to one unbroken copy of one key on one node. Covering 1 to 5 is only true if
  whoever counts to 5 knows 1 to 4. A node that dropped its copy, or lost the unsynced tail of its log, does not: were
  it to count on under its old name, its new dot would cover, and so delete everywhere, writes that it never saw. It
  mints a fresh random actor instead. (The caller keeps this rule; here it is the argument `actor`.)
- **The whole-record rule.** What travels is always the whole record, never only the new value. A receiver of dot 5
  takes 1 to 4 for known; it must therefore learn in the same message which of them are still alive.

What follows, and the tests hold: `merge` is commutative, associative and idempotent; equal sets of events make equal
records and, by `encode`, equal bytes, so replicas compare digests. Nothing that belongs to a node is in the record.

Canonical bytes are MessagePack of these structs as arrays, integers in their shortest form, in the orders above.
`decode` lets nothing else pass, because one event set in two byte forms would be a difference that no exchange could
ever repair. It also refuses what the rules exclude: a sibling whose dot the vector does not cover, or a record without
siblings, which would silently delete whatever it were merged with.

`lww` is not in `merge`: which value is latest must not depend on when a node learned of it. A bucket of that policy
stores siblings as any other; `latest` picks one when it is read, and its writes cover the copy that they meet.
"""

from collections.abc import Collection
from hashlib import blake2b
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.core.errors import DamagedRecord

Vector = tuple[tuple[int, int], ...]
"""Ascending by actor, which is 1..2**64-1; counters 1..COUNTER_MAX."""

COUNTER_MAX = 2**48  # no key lives to see it; keeps `counter + 1` encodable whatever a peer sends
TIME_MAX = 2**62  # hybrid time of the year 4199; likewise
WRITE_ID_BYTES_MAX = 64

Actor = Annotated[int, Meta(ge=1)]  # MessagePack has nothing above 2**64-1
Counter = Annotated[int, Meta(ge=1, le=COUNTER_MAX)]


class Sibling(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One value nobody has replaced, with its dot (actor, counter).

    time: hybrid time (`core.hlc`). value: None is a tombstone. write_id: 1..64 bytes that the client's retries share.
    """

    actor: Actor
    counter: Counter
    time: Annotated[int, Meta(ge=0, le=TIME_MAX)]
    value: bytes | None
    content_type: str
    write_id: Annotated[bytes, Meta(min_length=1, max_length=WRITE_ID_BYTES_MAX)]


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """See the module's text. Made by `put`, `merge` and `decode`; both tuples have at least one element."""

    vector: tuple[tuple[Actor, Counter], ...]
    siblings: tuple[Sibling, ...]


_dot = attrgetter("actor", "counter")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


# --- bytes ------------------------------------------------------------------------------------------------------------


def encode(record: Record) -> bytes:
    """The canonical bytes: equal records, equal bytes, and the other way round."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """The record whose canonical bytes are `data`. DamagedRecord if there is none."""
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedRecord(f"not a record: {error}") from error
    if _encoder.encode(record) != data:
        raise DamagedRecord("not the canonical bytes of a record")
    _check(record)
    return record


def glance(data: bytes) -> Record:
    """The record, its bytes taken for canonical, which saves two thirds of `decode`: for a look at what stands under a
    checksum that holds, never for what is merged or passed on. DamagedRecord if they are no record at all."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedRecord(f"not a record: {error}") from error


def digest(data: bytes) -> bytes:
    """16 bytes; equal for equal canonical bytes and, for all that matters, only for them."""
    return blake2b(data, digest_size=16).digest()


def is_sound(data: bytes, name: bytes) -> bool:
    """Whether `data` is the canonical bytes of a record whose digest is `name`: what a peer sent is what it says."""
    try:
        decode(data)
    except DamagedRecord:
        return False
    return digest(data) == name


def _check(record: Record) -> None:
    """The orders and bounds that a struct's types cannot say. DamagedRecord."""
    vector, siblings = record.vector, record.siblings
    if len(vector) == 1 == len(siblings) and vector[0][0] == siblings[0].actor and vector[0][1] >= siblings[0].counter:
        return  # written once, or only ever at one copy: nearly every record there is
    if not vector or not siblings:
        raise DamagedRecord("a record without events or without siblings")
    below = 0
    for actor, _ in vector:
        if actor <= below:
            raise DamagedRecord("the vector does not ascend by actor")
        below = actor
    before = (0, 0)
    counters = dict(vector)
    for sibling in siblings:
        dot = (sibling.actor, sibling.counter)
        if dot <= before:
            raise DamagedRecord("the siblings do not ascend by dot")
        if counters.get(sibling.actor, 0) < sibling.counter:
            raise DamagedRecord("the vector does not cover a sibling")
        before = dot


# --- vectors ----------------------------------------------------------------------------------------------------------


def covers(vector: Vector, actor: int, counter: int) -> bool:
    """Whether the event (actor, counter) is known to `vector`."""
    for name, count in vector:
        if name == actor:
            return count >= counter
    return False


def union(ours: Vector, theirs: Vector) -> Vector:
    """The events that either knows: the pointwise maximum."""
    if ours == theirs or not theirs:
        return ours
    counters = dict(ours)
    for actor, counter in theirs:
        if counters.get(actor, 0) < counter:
            counters[actor] = counter
    return tuple(sorted(counters.items()))


# --- the two operations -----------------------------------------------------------------------------------------------


def put(
    copy: Record | None,
    context: Vector,
    actor: int,
    time: int,
    value: bytes | None,
    content_type: str,
    write_id: bytes,
    own: Collection[tuple[int, int]] = (),
) -> Record:
    """`copy` after a client's write of `value` (None deletes) that has seen `context`; `actor` is this copy's own.

    Siblings that `context` covers are replaced, and those with a dot in `own`, or the write id of such a one (the same
    write under another dot); all others stay. The new sibling's time is `time`, or just above the latest sibling that
    it replaces here: hybrid time never contradicts causality, whatever the clocks said.
    """
    if copy is None and not context:
        return Record(((actor, 1),), (Sibling(actor, 1, time, value, content_type, write_id),))
    counters = {} if copy is None else dict(copy.vector)
    seen = dict(context)
    kept = []
    if copy is not None:
        again = {s.write_id for s in copy.siblings if (s.actor, s.counter) in own} if own else ()
        for sibling in copy.siblings:
            if seen.get(sibling.actor, 0) < sibling.counter and sibling.write_id not in again:
                kept.append(sibling)
            elif sibling.time >= time:
                time = min(sibling.time + 1, TIME_MAX)
    for name, count in context:
        if counters.get(name, 0) < count:
            counters[name] = count
    counter = counters.get(actor, 0) + 1
    counters[actor] = counter
    kept.append(Sibling(actor, counter, time, value, content_type, write_id))
    if len(kept) > 1:
        kept.sort(key=_dot)
    return Record(tuple(sorted(counters.items())), tuple(kept))


def merge(ours: Record, theirs: Record) -> Record:
    """What both know together: a sibling stays if both have it, or if the other does not know of it.

    Returns `ours` itself if `theirs` adds nothing to it, else `theirs` itself if `ours` adds nothing.
    DamagedRecord if the two contradict each other: one dot with two contents, or each has replaced all that the other
    holds. While the rules above hold, neither can be; if a rule was broken, refusing leaves both copies where they are
    instead of dropping an acknowledged write without a word.
    """
    if ours == theirs:
        return ours
    our_counters, their_counters = dict(ours.vector), dict(theirs.vector)
    if len(ours.siblings) == 1 == len(theirs.siblings):
        # One value each, and one side has replaced the other's: nearly every merge there is.
        our, their = ours.siblings[0], theirs.siblings[0]
        if our_counters.get(their.actor, 0) < their.counter:
            if their_counters.get(our.actor, 0) >= our.counter and _descends(their_counters, ours.vector):
                return theirs
        elif their_counters.get(our.actor, 0) < our.counter and _descends(our_counters, theirs.vector):
            return ours
    news = {(sibling.actor, sibling.counter): sibling for sibling in theirs.siblings}
    kept, shared = [], 0
    for sibling in ours.siblings:
        twin = news.pop((sibling.actor, sibling.counter), None)
        if twin is not None:
            if twin != sibling:
                raise DamagedRecord(f"the dot ({sibling.actor}, {sibling.counter}) names two different writes")
            shared += 1
        elif their_counters.get(sibling.actor, 0) >= sibling.counter:
            continue
        kept.append(sibling)
    added = [new for new in news.values() if our_counters.get(new.actor, 0) < new.counter]
    if not kept and not added:
        raise DamagedRecord("each of two records has replaced all that the other holds")
    if not added and len(kept) == len(ours.siblings) and _descends(our_counters, theirs.vector):
        return ours
    if len(kept) == shared and len(added) == len(news) and _descends(their_counters, ours.vector):
        return theirs
    return Record(union(ours.vector, theirs.vector), tuple(sorted(kept + added, key=_dot)))


def merge_encoded(ours: bytes, theirs: bytes) -> bytes:
    """`merge` of canonical bytes; the very argument if it already is the result. DamagedRecord."""
    if ours == theirs:
        return ours
    our, their = decode(ours), decode(theirs)
    merged = merge(our, their)
    if merged is our:
        return ours
    return theirs if merged is their else encode(merged)


def replaced(before: Record, after: Record) -> list[Sibling]:
    """What `before` still held and `after` has replaced. Their write ids are what a late retry must be known by."""
    left = after.siblings
    return [] if left is before.siblings else [sibling for sibling in before.siblings if sibling not in left]


def _descends(counters: dict[int, int], vector: Vector) -> bool:
    """Whether `counters` knows every event of `vector`."""
    for actor, counter in vector:  # noqa: SIM110 - a generator for all() costs three times this loop on the hot path
        if counters.get(actor, 0) < counter:
            return False
    return True


# --- what a client sees -----------------------------------------------------------------------------------------------


def shown(record: Record) -> tuple[Sibling, ...]:
    """The values to show, ascending by dot: no tombstones, and a write that got two dots by a retry once.

    Empty if the record is deleted. Whatever is not shown is still covered by the context that goes with it.
    Two values under one write id are a client's mistake; both are shown, because hiding one would lose it.
    """
    siblings = record.siblings
    if len(siblings) == 1:
        return siblings if siblings[0].value is not None else ()
    once: dict[tuple[bytes, bytes, str], Sibling] = {}
    for sibling in siblings:
        if sibling.value is not None:
            once.setdefault((sibling.write_id, sibling.value, sibling.content_type), sibling)
    return tuple(once.values())


def is_deleted(record: Record) -> bool:
    """Whether nothing but tombstones is left."""
    return all(sibling.value is None for sibling in record.siblings)


def shows_nothing(record: Record, lww: bool) -> bool:
    """Whether a client that reads this is told "deleted"; `lww`: its bucket is of that policy."""
    siblings = record.siblings
    if len(siblings) == 1:
        return siblings[0].value is None
    return latest(record).value is None if lww else is_deleted(record)


def hides_tombstone(record: Record) -> bool:
    """Whether somebody deleted the key while somebody else wrote it: a tombstone stands beside a live sibling."""
    siblings = record.siblings
    return len(siblings) > 1 and any(sibling.value is None for sibling in siblings) and not is_deleted(record)


def newest(record: Record) -> int:
    """The hybrid time of the newest sibling."""
    return max(sibling.time for sibling in record.siblings)


def latest(record: Record) -> Sibling:
    """The one that counts in an `lww` bucket: greatest (time, dot). A tombstone among them is as good as a value."""
    return max(record.siblings, key=attrgetter("time", "actor", "counter"))


def context_of_write(record: Record, write_id: bytes) -> Vector:
    """What the author of `write_id`, having read nothing since, may be given as a context: the largest part of the
    vector that covers no sibling of anybody else.

    The whole vector would let the author's next write replace concurrent values that it never saw.
    """
    bounds: dict[int, int] = {}
    for sibling in record.siblings:
        if sibling.write_id != write_id:
            bounds.setdefault(sibling.actor, sibling.counter - 1)  # the first of an actor has the lowest counter
    if not bounds:
        return record.vector
    limited = ((actor, min(counter, bounds.get(actor, counter))) for actor, counter in record.vector)
    return tuple((actor, counter) for actor, counter in limited if counter)
