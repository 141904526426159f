"""What a record holds of a type: the states of its live siblings, joined; and what readers of values are shown."""

from typing import NamedTuple

from dynkv.core.errors import DamagedRecord, WrongType
from dynkv.core.record import Record, Sibling, shown
from dynkv.core.types.operation import BY_CONTENT_TYPE, Kind
from dynkv.core.types.state import State, decode, empty, encode, joined, settled


class Held(NamedTuple):
    """`state`: the join of all states of one kind, None if there is none. `others`: the other live siblings."""

    state: State | None
    others: tuple[Sibling, ...]


def held(record: Record | None, kind: Kind) -> Held:
    """What the record holds of this kind."""
    if record is None:
        return Held(None, ())
    states, others = [], []
    for sibling in record.siblings:
        if sibling.value is not None:
            state = state_of(sibling)
            if state is not None and type(state.body) is kind.body:
                states.append(state)
            else:
                others.append(sibling)
    return Held(settled(joined(states)) if states else None, tuple(others))


def state_of(sibling: Sibling) -> State | None:
    """The state in a live sibling; None if it says that it is none, or is none whatever it says."""
    kind = BY_CONTENT_TYPE.get(sibling.content_type)
    if kind is None or sibling.value is None:
        return None
    try:
        state = decode(sibling.value)
    except DamagedRecord:
        return None  # bytes under a type's name that are no state: a plain value like any other
    return state if type(state.body) is kind.body else None


def read(record: Record | None, kind: Kind) -> State | None:
    """The value of this kind; None if the key holds nothing. WrongType if it holds anything else."""
    found = held(record, kind)
    if found.others:
        raise wrong_type(kind, found.others)
    return found.state


def bytes_of(record: Record | None, kind: Kind) -> bytes:
    """The state of this kind that the record holds, b"" if it holds none."""
    state = held(record, kind).state
    return b"" if state is None else encode(state)


def begun(kind: Kind, state: State | None) -> State:
    """`state`, or that of a value which nobody has updated."""
    return empty(kind.body) if state is None else state


def wrong_type(kind: Kind, others: tuple[Sibling, ...]) -> WrongType:
    """Why an operation on this kind is refused."""
    words = sorted({_word(sibling) for sibling in others})
    return WrongType("key", f"holds {' and '.join(words)}", f"keys that hold nothing or a {kind.name}")


def _word(sibling: Sibling) -> str:
    kind = BY_CONTENT_TYPE.get(sibling.content_type)
    if kind is None:
        return f"a plain value ({sibling.content_type[:80] or 'of no content type'})"
    return f"a {kind.name}" if state_of(sibling) is not None else f"bytes that say {kind.name} and are none"


def presented(record: Record) -> tuple[Sibling, ...]:
    """`record.shown`, with all states of one kind as one sibling: it has the join for its value, and else is the latest
    of them."""
    siblings = shown(record)
    if len(siblings) < 2 or not any(sibling.content_type in BY_CONTENT_TYPE for sibling in siblings):
        return siblings
    plain: list[Sibling] = []
    typed: dict[str, list[tuple[Sibling, State]]] = {}
    for sibling in siblings:
        state = state_of(sibling)
        if state is None:
            plain.append(sibling)
        else:
            typed.setdefault(sibling.content_type, []).append((sibling, state))
    for group in typed.values():
        latest = max((sibling for sibling, _ in group), key=_time)
        value = latest.value if len(group) == 1 else encode(settled(joined([state for _, state in group])))
        plain.append(_with_value(latest, value))
    return tuple(sorted(plain, key=_dot))


def _with_value(sibling: Sibling, value: bytes | None) -> Sibling:
    return Sibling(sibling.actor, sibling.counter, sibling.time, value, sibling.content_type, sibling.write_id)


def _time(sibling: Sibling) -> tuple[int, int, int]:
    return sibling.time, sibling.actor, sibling.counter


def _dot(sibling: Sibling) -> tuple[int, int]:
    return sibling.actor, sibling.counter
