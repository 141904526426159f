"""Records as they come about: short random histories of a few copies, with the set of events behind each record."""

from typing import NamedTuple

from hypothesis import strategies as st

from dynkv.core.record import Record, Vector, merge, put

WORD = 2**64 - 1

actors = st.integers(1, WORD)
vectors: st.SearchStrategy[Vector] = st.dictionaries(actors, st.integers(1, 2**48), max_size=6).map(
    lambda counters: tuple(sorted(counters.items()))
)


class Known(NamedTuple):
    """A record, and the events that reached it, by number."""

    record: Record
    events: frozenset[int]


@st.composite
def histories(draw: st.DrawFn, steps_max: int = 14) -> list[Known]:
    """Every record that three copies ever were, at least one: each the result of writes and merges."""
    names = draw(st.lists(actors, min_size=3, max_size=3, unique=True))
    copies: list[Known | None] = [None, None, None]
    known: list[Known] = []
    for event in range(draw(st.integers(1, steps_max))):
        place = draw(st.integers(0, 2))
        copy = copies[place]
        other = draw(st.sampled_from(known)) if known else None
        if other is not None and copy is not None and draw(st.booleans()):
            after = Known(merge(copy.record, other.record), copy.events | other.events)
        else:
            seen = other if draw(st.booleans()) else None
            record = put(
                None if copy is None else copy.record,
                () if seen is None else seen.record.vector,
                names[place],
                draw(st.integers(0, 3)),
                draw(st.none() | st.binary(max_size=3)),
                draw(st.sampled_from(["", "text/plain"])),
                b"w%d" % draw(st.integers(0, event)),
            )
            events = frozenset((event,)) | (copy.events if copy else set()) | (seen.events if seen else set())
            after = Known(record, events)
        copies[place] = after
        known.append(after)
    return known


records = histories().map(lambda known: known[-1].record)


@st.composite
def three_records(draw: st.DrawFn) -> tuple[Record, Record, Record]:
    """Any three records of one history, possibly the same."""
    known = draw(histories())
    picked = [draw(st.sampled_from(known)).record for _ in range(3)]
    return picked[0], picked[1], picked[2]
