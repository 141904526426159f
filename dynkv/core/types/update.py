"""An update at its coordinator: the copy's states joined, the operation applied, one state to write over them all."""

from collections.abc import Callable
from typing import NamedTuple

from dynkv.core.errors import TooLarge, TooManySiblings
from dynkv.core.record import TIME_MAX, Record, Vector, covers
from dynkv.core.types import lineage
from dynkv.core.types.lineage import Dot, Event
from dynkv.core.types.map import Operation
from dynkv.core.types.operation import KINDS, decode
from dynkv.core.types.reading import begun, held, wrong_type
from dynkv.core.types.state import WAITING_MAX, State, Waiting, cleared, encode, ordered, settled
from dynkv.core.write import Write

ENTRIES_MAX = 10_000
"""Elements and fields of one value, all maps within it counted: to join two such values holds a node for a few ms."""


class Updated(NamedTuple):
    """`value`: the state to write, with the copy's whole vector as its context and `time` as its time. If `known` is
    not None, the copy has the write already, under this dot: nothing is to be written, and `value` is what there is."""

    value: bytes
    time: int
    known: Dot | None = None


def update(
    copy: Record | None, write: Write, actor: int, time: int, *, bytes_max: int, doubted: Callable[[bytes], bool]
) -> Updated:
    """What `write`, an update, makes of this node's copy. `actor`, whose next dot it gets, and `time` as in
    `record.put`; `bytes_max`: the largest state; `doubted`: see `lineage.extended`.

    WrongType if the key holds something else; TooLarge, TooManySiblings if it is full; BadParameter.
    """
    kind = KINDS[write.update]
    state, others = held(copy, kind)
    name = lineage.hash_of(write.write_id)
    if state is not None and (known := lineage.find(state.runs, name)):
        return Updated(encode(state), time, known)
    if others:
        raise wrong_type(kind, others)
    operation = decode(kind, write.value or b"")
    vector: Vector = () if copy is None else copy.vector
    if copy is not None:
        time = min(max(time, *(sibling.time + 1 for sibling in copy.siblings)), TIME_MAX)
    counter = dict(vector).get(actor, 0) + 1
    before = begun(kind, state)
    more = lineage.extended(before.runs, actor, counter, name, repeated=write.repeated, doubted=doubted)
    event = Event(actor, counter, more.run.first, time, write.context, frozenset(more.run.names()), more.twins)
    waiting = _waiting(before, operation, write.context, vector)
    body = before.body.apply(operation, event)  # type: ignore[arg-type]  # of one kind: `decode` and `held` say so
    single = body.told_apart(actor) if more.twins else frozenset()
    after = settled(State(1, more.runs(single), waiting, cleared(body, waiting)))
    value = encode(after)
    if operation.removes() != operation:
        _check_room(before, after, len(value), bytes_max)
    return Updated(value, time)


def _waiting(before: State, operation: Operation, context: Vector, vector: Vector) -> tuple[Waiting, ...]:
    """The removals that wait after this update: those that name what this copy, with this vector, has not met."""
    waiting = {one for one in before.waiting if not _descends(vector, one.context)}
    removal = operation.removes()
    if removal is not None and not _descends(vector, context):
        if len(waiting) >= WAITING_MAX:
            detail = f"{len(waiting)} removals wait for updates that have not come here"
            raise TooManySiblings("remove", detail, "a removal with the context of a fresh read")
        waiting.add(Waiting(context, removal))
    return ordered(waiting)


def _descends(vector: Vector, context: Vector) -> bool:
    return all(covers(vector, actor, counter) for actor, counter in context)


def _check_room(before: State, after: State, size: int, bytes_max: int) -> None:
    """TooLarge if an update that adds makes too much of it."""
    if size > bytes_max:
        raise TooLarge("value", f"would have {size} bytes", f"at most {bytes_max} bytes for the state of a key")
    entries = after.body.entries()
    if entries > ENTRIES_MAX and entries > before.body.entries():
        raise TooLarge("value", f"would have {entries} elements and fields", f"at most {ENTRIES_MAX} in one key")
