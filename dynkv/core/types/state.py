"""States: what a sibling of a typed value holds, their bytes, and their join.

    State    runs       the updates it has seen, and their ids (`lineage`)
             waiting    removals that name what it may not have seen yet
             body       what still has an effect: a `Counter`, `Set`, `Flag`, `Register` or `Map`

The bytes are canonical, as those of records are: equal states, equal bytes. What does not decode, from a disk, a peer
or a client that wrote bytes under a type's name, is a DamagedRecord here and a plain value to everybody else.
"""

from functools import reduce
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import Actor, Counter
from dynkv.core.types import lineage
from dynkv.core.types.lineage import Both, Ids, Run, Seen
from dynkv.core.types.map import BODIES, DEPTH_MAX, Body, Operation

STATE_BYTES_MAX = 16 * 2**20
"""The largest that is looked at: in memory a state takes a few dozen times its bytes."""
WAITING_MAX = 64
"""Removals that may wait in the state of one key."""


class Waiting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A removal, to be applied to every update that `context` covers, also to those that are not known here yet."""

    context: Annotated[tuple[tuple[Actor, Counter], ...], Meta(max_length=65_536)]
    removal: Operation


class State(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """See the module's text. `form`: of these bytes."""

    form: Literal[1]
    runs: Annotated[tuple[Run, ...], Meta(max_length=lineage.RUNS_MAX)]
    waiting: Annotated[tuple[Waiting, ...], Meta(max_length=WAITING_MAX * 128)]
    body: Body

    def show(self) -> Any:
        """Its value: a number, a list, true or false, anything, or an object of fields."""
        return self.body.show(Ids(self.runs))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode


def empty(body: type[Body]) -> State:
    """The state of a value that nobody has updated."""
    return State(1, (), (), body())


def encode(state: State) -> bytes:
    """The canonical bytes."""
    return _encode(state)


def decode(data: bytes) -> State:
    """The state whose canonical bytes are `data`. DamagedRecord if there is none."""
    if len(data) > STATE_BYTES_MAX:
        raise DamagedRecord(f"a state of {len(data)} bytes is not looked at")
    try:
        state: State = _decode(data)
        if _encode(state) != data:
            raise DamagedRecord("not the canonical bytes of a state")
        _check(state)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecord(f"not a state: {error}") from error
    return state


def _check(state: State) -> None:
    lineage.check(state.runs)
    state.body.check(DEPTH_MAX)
    before = b""
    for one in state.waiting:
        data = _encode(one)
        if data <= before:
            raise DamagedRecord("the removals that wait do not ascend")
        before = data
        one.removal.check(DEPTH_MAX)
        if BODIES[type(one.removal)] is not type(state.body) or one.removal.removes() != one.removal:
            raise DamagedRecord("what waits is no removal from this kind of value")
        if any(one >= other for (one, _), (other, _) in pairwise(one.context)):
            raise DamagedRecord("a context does not ascend")


def join(ours: State, theirs: State) -> State:
    """The updates that either has seen, and what neither knows to be gone. Both are of one kind."""
    if ours == theirs:
        return ours
    both = Both(Seen(ours.runs), Seen(theirs.runs))
    body = ours.body.join(theirs.body, both)  # type: ignore[arg-type]  # of one kind, says the contract
    waiting = ours.waiting
    if waiting != theirs.waiting:
        waiting = ordered({*waiting, *theirs.waiting})
    return State(1, lineage.union(ours.runs, theirs.runs), waiting, cleared(body, waiting))


def joined(states: list[State]) -> State:
    """All of one kind, at least one."""
    return reduce(join, states)


def settled(state: State) -> State:
    """Without what a twin of has lost its effect: of the whole, for what is joined later may show another twin."""
    twins = lineage.twins(state.runs)
    return State(1, state.runs, state.waiting, state.body.settle(twins)) if twins else state


def cleared(body: Body, waiting: tuple[Waiting, ...]) -> Body:
    """`body` without what the removals that wait have in view."""
    for one in waiting:
        body = body.without(one.removal, one.context)  # type: ignore[arg-type]  # of one kind: `_check`, `update`
    return body


def ordered(waiting: set[Waiting]) -> tuple[Waiting, ...]:
    return tuple(sorted(waiting, key=_encode))
