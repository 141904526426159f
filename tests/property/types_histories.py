"""States as they come about: short random histories of three copies, deleted at times, and all that they ever were."""

from typing import Any

from hypothesis import strategies as st

from dynkv.core.record import Record, Vector, merge, put
from dynkv.core.types.operation import KINDS, encode, parse
from dynkv.core.types.reading import held
from dynkv.core.types.state import State
from dynkv.core.types.update import update
from dynkv.core.write import Write
from tests.property.types_machine import (
    CounterMachine,
    FlagMachine,
    MapMachine,
    RegisterMachine,
    SetMachine,
    TypesMachine,
)

MACHINES: tuple[type[TypesMachine], ...] = (CounterMachine, SetMachine, FlagMachine, RegisterMachine, MapMachine)
OPERATIONS = {machine.kind: machine.operations for machine in MACHINES}
COPIES = 3


def applied(
    copy: Record | None,
    kind: str,
    said: dict[str, Any],
    actor: int,
    write_id: bytes,
    *,
    context: Vector = (),
    repeated: bool = False,
    doubts: frozenset[bytes] = frozenset(),
    time: int = 0,
) -> Record:
    """`copy` after an update under `actor`; itself if it has the write already."""
    form = KINDS[kind]
    operation = encode(parse(form, said))
    write = Write("b", b"k", context, operation, form.content_type, write_id, None, kind, repeated)
    made = update(copy, write, actor, time, bytes_max=2**20, doubted=doubts.__contains__)
    if made.known is not None:
        assert copy is not None
        return copy
    vector = () if copy is None else copy.vector
    return put(copy, vector, actor, made.time, made.value, form.content_type, write_id)


@st.composite
def states(draw: st.DrawFn, kind: str, steps_max: int = 12) -> list[State]:
    """At least one, all of one history. Nobody updates a map's field in two kinds."""
    actors = draw(st.permutations([5, 2**40, 2**63]))
    copies: list[Record | None] = [None] * COPIES
    known: list[Record] = []
    found: list[State] = []
    for step in range(draw(st.integers(1, steps_max))):
        place = draw(st.integers(0, COPIES - 1))
        copy = copies[place]
        what = draw(st.integers(0, 9))
        if what < 4 and copy is not None and known:
            after = merge(copy, draw(st.sampled_from(known)))
        elif what == 4 and copy is not None:
            after = put(copy, copy.vector, actors[place], 0, None, "", b"d%d" % step)
        else:
            said = _one_kind(draw(OPERATIONS[kind]))
            context = draw(st.sampled_from([(), *(record.vector for record in known)]))
            write_id = b"w%d" % draw(st.integers(max(0, step - 3), step))
            repeated = draw(st.booleans())
            after = applied(copy, kind, said, actors[place], write_id, context=context, repeated=repeated)
        copies[place] = after
        known.append(after)
        state = held(after, KINDS[kind]).state
        if state is not None:
            found.append(state)
    return found or draw(states(kind, steps_max))


def _one_kind(said: dict[str, Any]) -> dict[str, Any]:
    """A map's operation with each field under a name of its kind, so that none is ever refused."""
    if "update" not in said:
        return said
    named = {f"{name} {inner['type']}": _one_kind(inner) for name, inner in said["update"].items()}
    removed = [f"{name} {kind}" for name in said["remove"] for kind in ("counter", "set", "map")]
    return said | {"update": named, "remove": [name for name in removed if name not in named]}
