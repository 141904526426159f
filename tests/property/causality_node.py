"""One node's copy of one key: `core.record` used as the design's rules say, and three nodes that break one rule each.

The disk is what the copy was at the last sync. The actor lies beside the copy, on the disk too, and is good only under
the incarnation that minted it.
"""

from collections.abc import Callable
from typing import NamedTuple

from dynkv.core.errors import DamagedRecord
from dynkv.core.recent import RecentWrites
from dynkv.core.record import Record, Sibling, Vector, decode, encode, merge, put, replaced, union

Mint = Callable[[], int]


class Copy(NamedTuple):
    """The record, and the actor under which this copy's writes count, valid in one incarnation."""

    record: Record
    actor: int
    incarnation: int


class Node:
    """`number` names the node; `mint` returns an actor that was never used before."""

    def __init__(self, number: int, mint: Mint) -> None:
        self.number = number
        self.mint = mint
        self.incarnation = 1
        self.copy: Copy | None = None
        self.disk: Copy | None = None
        self.recent = RecentWrites(1000)

    @property
    def siblings(self) -> list[Sibling]:
        return [] if self.copy is None else list(self.copy.record.siblings)

    def write(self, context: Vector, value: bytes | None, write_id: bytes) -> bool:
        """Coordinate a client's write. False if this copy has or had it already: a retry."""
        copy = self.copy
        if copy is not None and (
            any(sibling.write_id == write_id for sibling in copy.record.siblings)
            or self.recent.seen("bucket", b"key", write_id)
        ):
            return False
        actor = self._actor()
        before = None if copy is None else copy.record
        record = put(before, context, actor, 0, value, "", write_id)
        self._remember(before, record)
        self.copy = Copy(record, actor, self.incarnation)
        return True

    def replicate(self, context: Vector, write_id: bytes) -> bytes:
        """What the other replicas are sent after the write: the whole record."""
        assert self.copy is not None
        return encode(self.copy.record)

    def receive(self, message: bytes) -> None:
        """Merge another copy into this one, or refuse it if it contradicts this one (only where a rule is broken)."""
        theirs = decode(message)
        if self.copy is None:
            self.copy = Copy(theirs, 0, 0)
            return
        try:
            merged = merge(self.copy.record, theirs)
        except DamagedRecord:
            return
        self._remember(self.copy.record, merged)
        self._remember(theirs, merged)
        self.copy = Copy(merged, self.copy.actor, self.copy.incarnation)

    def sync(self) -> None:
        self.disk = self.copy

    def crash(self) -> None:
        """An unclean stop and a start: what was not synced is gone, and so is the incarnation."""
        self.incarnation += 1
        self._start()

    def restart(self) -> None:
        """A clean stop and a start."""
        self.sync()
        self._start()

    def drop(self) -> None:
        self.copy = None

    def _start(self) -> None:
        self.copy = self.disk
        self.recent = RecentWrites(1000)

    def _actor(self) -> int:
        copy = self.copy
        if copy is not None and copy.actor and copy.incarnation == self.incarnation:
            return copy.actor
        return self.mint()

    def _remember(self, before: Record | None, after: Record) -> None:
        """A write id that is still a sibling is found there; one that is replaced is found here."""
        if before is not None:
            for sibling in replaced(before, after):
                self.recent.add("bucket", b"key", sibling.write_id)


class CountsUnderItsOwnName(Node):
    """Breaks the actor rule: the node id is the actor of every copy."""

    def _actor(self) -> int:
        return self.number + 1


class KeepsItsIncarnation(Node):
    """Breaks the incarnation rule: after an unclean stop it counts on where its disk left off."""

    def crash(self) -> None:
        self._start()


class SendsOnlyTheNewValue(Node):
    """Breaks the whole-record rule: a write travels with its own dot and context, without its older siblings."""

    def replicate(self, context: Vector, write_id: bytes) -> bytes:
        for sibling in self.siblings:
            if sibling.write_id == write_id:
                return encode(Record(union(context, ((sibling.actor, sibling.counter),)), (sibling,)))
        return super().replicate(context, write_id)


class ForgetsWriteIds(Node):
    """Breaks the rule of late retries: it knows only the write ids of siblings that it still has."""

    def _remember(self, before: Record | None, after: Record) -> None:
        pass
