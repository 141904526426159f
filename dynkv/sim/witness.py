"""Who sees every write to every disk: what really happened, as opposed to what clients were told.

It looks over the nodes' shoulders and shares none of their code but the form of records. Two things are wrong the
moment they are seen: one dot with two contents, and a write that the cluster said it had not applied.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord
from dynkv.core.record import Record, Vector
from dynkv.sim.history import Dot, number_in, number_of
from dynkv.storage.base import Change
from dynkv.storage.envelope import unpack
from dynkv.storage.keys import HINT, RECORD, parse_hint_key, parse_record_key, record_key


class Event(msgspec.Struct, frozen=True):
    """The content of one dot, and where it was first seen."""

    write_id: bytes
    value: bytes | None
    node: str


class Drop(NamedTuple):
    """A copy was removed."""

    node: str
    at: float


class Seen(msgspec.Struct):
    """What was seen of one key. `dots`: by write id, all that ever named the write. `longest`: of its vectors."""

    events: dict[Dot, Event] = {}
    dots: dict[bytes, list[Dot]] = {}
    longest: int = 0
    drops: list[Drop] = []


class Witness:
    """`machine.Watcher` of a whole world. `wrong(checker, what)` is told of what must not be,
    `dropped(node, key, record)` of every copy that a node removes by itself, and `struck(node, target, key, record)` of
    every hint that it strikes out; its copy, if it goes in the same batch."""

    def __init__(
        self,
        now: Callable[[], float],
        wrong: Callable[[str, str], None],
        dropped: Callable[[str, str, Record], None],
        struck: Callable[[str, str, str, Record | None], None],
    ) -> None:
        self.keys: dict[str, Seen] = {}
        self.written: dict[int, str] = {}
        """Numbers of writes seen on any disk, and on which node's first."""
        self.records = 0
        self._now = now
        self._wrong = wrong
        self._dropped = dropped
        self._struck = struck
        self._known: dict[bytes, None] = {}  # records looked at already: most are written n times

    def wrote(self, node: str, batch: Sequence[Change], before: Mapping[bytes, bytes]) -> None:
        for stored_key, value in batch:
            if stored_key[:1] == RECORD:
                key = parse_record_key(stored_key)[2].decode()
                self._look(node, key, value)
                if value is None and (record := decoded(before.get(stored_key))) is not None:
                    self._dropped(node, key, record)
            elif stored_key[:1] == HINT and value is None and stored_key in before:
                target, partition, bucket, key_bytes = parse_hint_key(stored_key)
                copy = decoded(before.get(record_key(partition, bucket, key_bytes)))
                self._struck(node, target, key_bytes.decode(), copy)

    def dots_of(self, key: str, write_id: bytes) -> list[Dot]:
        """All dots that ever named this write."""
        seen = self.keys.get(key)
        return [] if seen is None else seen.dots.get(write_id, [])

    def forgotten(self, key: str, primaries: Container[str], since: float, until: float) -> bool:
        """Whether some primary has let go of its copy in between: the key was deleted, and all agreed that it be
        forgotten."""
        seen = self.keys.get(key)
        drops = [] if seen is None else seen.drops
        return any(since < drop.at < until and drop.node in primaries for drop in drops)

    def reaped(self, primaries: Callable[[str], Container[str]]) -> int:
        """Copies that primaries have let go of."""
        return sum(drop.node in primaries(key) for key, seen in self.keys.items() for drop in seen.drops)

    def _look(self, node: str, key: str, value: bytes | None) -> None:
        seen = self.keys.setdefault(key, Seen())
        if value is None:
            seen.drops.append(Drop(node, self._now()))
            return
        self.records += 1
        envelope = unpack(value)
        if envelope.digest in self._known:
            return
        self._known[envelope.digest] = None
        record = records.decode(envelope.record)
        seen.longest = max(seen.longest, len(record.vector))
        for sibling in record.siblings:
            dot = (sibling.actor, sibling.counter)
            before = seen.events.get(dot)
            if before is None:
                seen.events[dot] = Event(sibling.write_id, sibling.value, node)
                seen.dots.setdefault(sibling.write_id, []).append(dot)
                number = number_of(sibling.write_id) if sibling.value is None else number_in(sibling.value)
                self.written.setdefault(number, node)
            elif before.write_id != sibling.write_id or before.value != sibling.value:
                self._wrong(
                    "dots",
                    f"dot {dot[0]:016x}-{dot[1]} of {key} names {before.write_id!r} at {before.node} and "
                    f"{sibling.write_id!r} at {node}",
                )


def decoded(value: bytes | None) -> Record | None:
    """The record in a stored value; None if there is none or it is damaged."""
    if value is None:
        return None
    try:
        return records.decode(unpack(value).record)
    except DamagedRecord:
        return None


def covers(vector: Vector, dot: Dot) -> bool:
    return records.covers(vector, *dot)
