"""Everything that can happen to the copies of one key, in any order, with the oracle looking after every step.

Nodes 0 to 2 are the key's primaries; node 3 is a fallback, which takes writes too, hands its copy off and drops it.
Messages stay on the wire until a deadline far away: they arrive late, twice, in another order, or never. Clients read
from any nodes, unsynced data included, and write with what they read, however stale.
"""

from typing import ClassVar, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import Vector, encode, is_deleted, merge, shown
from tests.property.causality_node import Node
from tests.property.causality_oracle import NOTHING, History, Oracle

PRIMARIES = (0, 1, 2)
FALLBACK = 3
NODES = (*PRIMARIES, FALLBACK)

T = TypeVar("T")

_WORD = 2**64 - 1

node_numbers = st.sampled_from(NODES)
ages = st.integers(0, 7)  # 0: the newest


class Message(NamedTuple):
    """A record on the wire, and what it tells whoever gets it."""

    data: bytes
    history: History


class Seen(NamedTuple):
    """What a client knows after a read, or before any."""

    context: Vector
    history: History


class Attempt(NamedTuple):
    """A client's write as it may be sent again."""

    write_id: bytes
    value: bytes | None
    seen: Seen


BLIND = Seen((), NOTHING)


class CausalityMachine(RuleBasedStateMachine):
    """One key on four nodes. Subclasses put nodes in that break a rule."""

    node_type: ClassVar[type[Node]] = Node
    whole_record: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.minted = 0
        self.nodes = [self.node_type(number, self.mint) for number in NODES]
        self.oracle = Oracle(len(NODES))
        self.wire: list[Message] = []
        self.reads: list[Seen] = [BLIND]
        self.attempts: list[Attempt] = []

    def mint(self) -> int:
        """Actors that never repeat and come in no order."""
        self.minted += 1
        return (self.minted * 0x9E3779B97F4A7C15) & _WORD

    # --- clients ------------------------------------------------------------------------------------------------------

    @rule(numbers=st.sets(node_numbers, min_size=1))
    def read(self, numbers: set[int]) -> None:
        """The merge of some copies, and its context. What is shown is exactly what is alive."""
        records = [copy.record for copy in (self.nodes[number].copy for number in numbers) if copy is not None]
        if not records:
            return
        merged = records[0]
        try:
            for record in records[1:]:
                merged = merge(merged, record)
        except DamagedRecord:
            return  # only where a rule is broken: the invariant will see it once the two copies meet
        history = NOTHING.union(*(self.oracle.held[number] for number in numbers))
        self.reads.append(Seen(merged.vector, history))
        self.oracle.check_shown(history, [sibling.write_id for sibling in shown(merged)])

    @rule(number=node_numbers, age=ages, deletes=st.booleans())
    def write(self, number: int, age: int, deletes: bool) -> None:
        """A new write with the context of a read, possibly a stale one, or of none."""
        write_id = b"w%d" % len(self.attempts)
        attempt = Attempt(write_id, None if deletes else write_id, _aged(self.reads, age))
        self.attempts.append(attempt)
        self._attempt(number, attempt)

    @rule(number=node_numbers)
    def write_blindly(self, number: int) -> None:
        self.reads.append(BLIND)
        self.write(number, 0, deletes=False)

    @rule(number=node_numbers)
    def update(self, number: int) -> None:
        """Read one copy and write over it there."""
        self.read({number})
        self.write(number, 0, deletes=False)

    @precondition(lambda self: self.attempts)
    @rule(number=node_numbers, age=ages)
    def retry(self, number: int, age: int) -> None:
        """The same write again, through this node or another, early or late."""
        self._attempt(number, _aged(self.attempts, age))

    def _attempt(self, number: int, attempt: Attempt) -> None:
        node, (write_id, value, seen) = self.nodes[number], attempt
        if node.write(seen.context, value, write_id):
            event = self.oracle.wrote(number, write_id, value is None, seen.history)
            told = self.oracle.held[number] if self.whole_record else seen.history | {event}
            self.wire.append(Message(node.replicate(seen.context, write_id), told))
        else:
            self.oracle.knew(number, write_id)
            self.wire.extend(self._messages(number))

    # --- replication --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.wire)
    @rule(number=node_numbers, age=ages)
    def deliver(self, number: int, age: int) -> None:
        """A message arrives; it may arrive again."""
        message = _aged(self.wire, age)
        self._receive(number, message)

    @rule(first=node_numbers, second=node_numbers)
    def exchange(self, first: int, second: int) -> None:
        """Two nodes compare their copies and take over what they miss."""
        ours, theirs = self._messages(first), self._messages(second)
        for message in theirs:
            self._receive(first, message)
        for message in ours:
            self._receive(second, message)

    @rule(primary=st.sampled_from(PRIMARIES))
    def hand_off(self, primary: int) -> None:
        """The fallback pays its hint: once a primary has it on disk, its own copy goes."""
        for message in self._messages(FALLBACK):
            self._receive(primary, message)
            self.sync(primary)
            self.nodes[FALLBACK].drop()
            self.oracle.dropped(FALLBACK)

    def _messages(self, number: int) -> list[Message]:
        """The whole copy as one message, or no message where there is no copy."""
        copy = self.nodes[number].copy
        return [] if copy is None else [Message(encode(copy.record), self.oracle.held[number])]

    def _receive(self, number: int, message: Message) -> None:
        self.nodes[number].receive(message.data)
        self.oracle.learned(number, message.history)

    # --- disks --------------------------------------------------------------------------------------------------------

    @rule(number=node_numbers)
    def sync(self, number: int) -> None:
        self.nodes[number].sync()
        self.oracle.synced(number)

    @rule(number=node_numbers)
    def crash(self, number: int) -> None:
        """kill -9 and power loss: the tail since the last sync is gone."""
        self.nodes[number].crash()
        self.oracle.restarted(number)

    @rule(number=node_numbers, other=node_numbers)
    def crash_in_mid_write(self, number: int, other: int) -> None:
        """A write whose message left before its own sync was over, which it never was."""
        self.write_blindly(number)
        self.deliver(other, 0)
        self.crash(number)

    @rule(number=node_numbers)
    def restart(self, number: int) -> None:
        self.nodes[number].restart()
        self.oracle.synced(number)
        self.oracle.restarted(number)

    @rule(numbers=st.sets(st.sampled_from(PRIMARIES), min_size=1))
    def reap(self, numbers: set[int]) -> None:
        """All agree, nobody else has anything, the grace period is over: tombstones may go, from some nodes first."""
        self._settle()
        records = [copy.record for copy in (self.nodes[number].copy for number in PRIMARIES) if copy is not None]
        if len(records) == len(PRIMARIES) and is_deleted(records[0]):
            for number in numbers:
                self.nodes[number].drop()
            self.oracle.reaped(numbers)

    def _settle(self) -> None:
        """Anti-entropy to its end: all primaries have the same bytes, the fallback nothing, the wire is empty."""
        self.hand_off(0)
        for number in (*PRIMARIES, *PRIMARIES):
            self.exchange(0, number)
        for number in NODES:
            self.sync(number)
        self.wire.clear()
        self.copies_are_what_their_histories_say()
        copies = [self._messages(number) for number in PRIMARIES]
        assert copies[0] == copies[1] == copies[2]

    # --- what must hold -----------------------------------------------------------------------------------------------

    @initialize(number=node_numbers)
    def begin(self, number: int) -> None:
        self.write_blindly(number)

    @invariant()
    def copies_are_what_their_histories_say(self) -> None:
        for node in self.nodes:
            self.oracle.check(node.number, [(sibling.write_id, sibling.value is None) for sibling in node.siblings])
        self.oracle.check_promises()


def _aged(items: list[T], age: int) -> T:
    return items[-1 - age % len(items)]
