"""What must be true of every copy, said without vectors, dots or actors: histories are sets of events.

An event is one write that a copy took in. It has *seen* the events that its client had read; those it replaces. A copy
has a history: all events that ever reached it. Its survivors are the events of its history that no event of its
history has seen. That is all: `check` holds a copy against it after every step, exactly, so a value that is missing, a
replaced value that is back, and a value that is there twice are all red.

Beside that the oracle keeps two promises over time. What was once on a disk, and so may have been acknowledged, is in
the history of some disk for good (`promised`), unless the key was deleted and reaped. What was reaped (`buried`) is
never alive anywhere again.
"""

from collections import Counter
from typing import NamedTuple

History = frozenset[int]

NOTHING: History = frozenset()


class Violation(AssertionError):
    """The copies are not what the histories say."""


class Event(NamedTuple):
    """One write. Two events with one `write_id` are one client's write that two copies took in."""

    write_id: bytes
    deletes: bool
    seen: History


class Oracle:
    """The histories of the copies of one key on nodes 0..nodes-1."""

    def __init__(self, nodes: int) -> None:
        self.events: list[Event] = []
        self.held = [NOTHING] * nodes
        self.durable = [NOTHING] * nodes
        self.met: list[set[bytes]] = [set() for _ in range(nodes)]
        self.promised: set[int] = set()
        self.buried: set[int] = set()

    def survivors(self, history: History) -> History:
        """The events of `history` that no event of it has seen."""
        return history.difference(*(self.events[event].seen for event in history))

    # --- what happened ------------------------------------------------------------------------------------------------

    def wrote(self, node: int, write_id: bytes, deletes: bool, seen: History) -> int:
        """The copy took a client's write in as something new: an event."""
        if self.held[node] and write_id in self.met[node]:
            raise Violation(f"node {node} took in {write_id!r} anew although its copy had met it")
        event = len(self.events)
        self.events.append(Event(write_id, deletes, seen))
        self.learned(node, seen | {event})
        return event

    def knew(self, node: int, write_id: bytes) -> None:
        """The node answered a write with "I have that already"."""
        known = self.promised | self.buried | self.held[node]
        if not any(self.events[event].write_id == write_id for event in known):
            raise Violation(f"node {node} claims to have {write_id!r}, which is nowhere")

    def learned(self, node: int, history: History) -> None:
        """All of `history` reached the copy."""
        self.held[node] |= history
        self.met[node].update(self.events[event].write_id for event in self.survivors(self.held[node]))

    def synced(self, node: int) -> None:
        self.durable[node] = self.held[node]
        self.promised |= self.held[node]

    def restarted(self, node: int) -> None:
        """The node lives on with what its disk has."""
        self.held[node] = self.durable[node]
        self.met[node] = set()
        self.learned(node, NOTHING)

    def dropped(self, node: int) -> None:
        self.held[node] = NOTHING
        self.met[node] = set()

    def reaped(self, nodes: set[int]) -> None:
        """The deleted key was forgotten on `nodes`, by common consent."""
        for node in nodes:
            self.buried |= self.held[node]
            self.promised -= self.held[node]
            self.dropped(node)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def check(self, node: int, siblings: list[tuple[bytes, bool]]) -> None:
        """`siblings`: (write id, whether it is a tombstone) of everything in the copy."""
        survivors = self.survivors(self.held[node])
        expected = Counter((self.events[event].write_id, self.events[event].deletes) for event in survivors)
        if expected != Counter(siblings):
            raise Violation(f"node {node} holds {sorted(siblings)}, not {sorted(expected.elements())}")
        back = [self.events[event].write_id for event in survivors & self.buried if not self.events[event].deletes]
        if back:
            raise Violation(f"node {node} holds {back}, deleted and reaped before")

    def check_shown(self, history: History, write_ids: list[bytes]) -> None:
        """`write_ids`: of the values shown to a client that read copies with `history` in all. Each live one, once."""
        survivors = (self.events[event] for event in self.survivors(history))
        alive = sorted({event.write_id for event in survivors if not event.deletes})
        if sorted(write_ids) != alive:
            raise Violation(f"a client is shown {sorted(write_ids)}, not {alive}")

    def check_promises(self) -> None:
        lost = self.promised.difference(*self.durable)
        if lost:
            raise Violation(f"acknowledged and on no disk: {[self.events[event] for event in sorted(lost)]}")
