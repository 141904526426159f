"""Everything that can happen to the copies of one typed key, with the oracle looking at every copy after every step.

The nodes, the wire and the disks are those of `causality_machine`: three primaries and a fallback that drops its copy,
messages late, twice, in any order or never, nodes that lose what they had not synced. Clients update through any node,
remove with what any read showed them, however stale, send an update again through the same node or another, and delete.
"""

from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dynkv.core.errors import WrongType
from dynkv.core.record import Record, Vector, decode, encode, merge, put
from dynkv.core.types.operation import KINDS, parse
from dynkv.core.types.operation import encode as encode_operation
from dynkv.core.types.reading import presented, read
from dynkv.core.types.state import encode as encode_state
from dynkv.core.types.update import update
from dynkv.core.write import Write
from tests.property.causality_machine import FALLBACK, NODES, PRIMARIES, ages, node_numbers
from tests.property.causality_node import Copy, Node
from tests.property.types_oracle import Oracle, Violation

_WORD = 2**64 - 1


class Attempt(NamedTuple):
    """A client's update as it may be sent again."""

    write_id: bytes
    said: dict[str, Any]
    context: Vector


class Applied(NamedTuple):
    """What an update made of a copy."""

    before: Record | None
    dot: tuple[int, int]
    time: int


class TypedNode(Node):
    """A node that coordinates updates as `dynkv.replica` does."""

    clock = 0

    def update(self, kind: str, attempt: Attempt, *, repeated: bool) -> Applied | None:
        """None if this copy has or had it already. WrongType."""
        copy = self.copy
        before = None if copy is None else copy.record
        write_id = attempt.write_id
        if before is not None and (
            any(sibling.write_id == write_id for sibling in before.siblings)
            or self.recent.seen("bucket", b"key", write_id)
        ):
            return None
        actor = self._actor()
        operation = encode_operation(parse(KINDS[kind], attempt.said))
        content_type = KINDS[kind].content_type
        write = Write("b", b"k", attempt.context, operation, content_type, write_id, None, kind, repeated)
        made = update(before, write, actor, self.clock, bytes_max=2**20, doubted=lambda name: False)
        if made.known is not None:
            return None
        record = put(before, self.context(before), actor, made.time, made.value, content_type, write_id)
        self._remember(before, record)
        self.copy = Copy(record, actor, self.incarnation)
        return Applied(before, (actor, dict(record.vector)[actor]), made.time)

    def context(self, before: Record | None) -> Vector:
        """What the new sibling replaces: all that was joined."""
        return () if before is None else before.vector


class TypesMachine(RuleBasedStateMachine):
    """One key of one kind. Subclasses say which, and what operations there are."""

    kind: ClassVar[str] = "counter"
    operations: ClassVar[st.SearchStrategy[dict[str, Any]]] = st.just({"increment": 1})
    node_type: ClassVar[type[TypedNode]] = TypedNode

    def __init__(self) -> None:
        super().__init__()
        self.minted = 0
        self.nodes = [self.node_type(number, self.mint) for number in NODES]
        self.oracle = Oracle(self.kind)
        self.wire: list[bytes] = []
        self.reads: list[Vector] = [()]
        self.attempts: list[Attempt] = []
        self.writes = 0

    def mint(self) -> int:
        self.minted += 1
        return (self.minted * 0x9E3779B97F4A7C15) & _WORD

    # --- clients ------------------------------------------------------------------------------------------------------

    @rule(numbers=st.sets(node_numbers, min_size=1))
    def look(self, numbers: set[int]) -> None:
        """A client reads some copies: it is shown their join, and has a context then."""
        records = [copy.record for number in numbers if (copy := self.nodes[number].copy) is not None]
        if records:
            merged = records[0]
            for record in records[1:]:
                merged = merge(merged, record)
            self.check(merged)
            self.reads.append(merged.vector)

    @rule(number=node_numbers, age=ages, data=st.data())
    def change(self, number: int, age: int, data: st.DataObject) -> None:
        """An update, with the context of a read, possibly a stale one."""
        said = data.draw(type(self).operations)
        attempt = Attempt(b"w%d" % self.writes, said, self.reads[-1 - age % len(self.reads)])
        self.writes += 1
        self.attempts.append(attempt)
        self._attempt(number, attempt, repeated=False)

    @rule(number=node_numbers, data=st.data())
    def change_what_is_there(self, number: int, data: st.DataObject) -> None:
        """Read one copy and update there."""
        self.look({number})
        self.change(number, 0, data)

    @precondition(lambda self: self.attempts)
    @rule(number=node_numbers, age=ages, repeated=st.booleans())
    def retry(self, number: int, age: int, repeated: bool) -> None:
        self._attempt(number, self.attempts[-1 - age % len(self.attempts)], repeated=repeated)

    @rule(number=node_numbers, age=ages, value=st.sampled_from([None, None, b"plain"]))
    def overwrite(self, number: int, age: int, value: bytes | None) -> None:
        """A delete, or rarely a plain value, with the context of a read."""
        context = self.reads[-1 - age % len(self.reads)]
        self.writes += 1
        self.nodes[number].write(context, value, b"w%d" % self.writes)
        self.oracle.never_deleted = False
        self._send(number)

    def _attempt(self, number: int, attempt: Attempt, *, repeated: bool) -> None:
        node = self.nodes[number]
        node.clock += 1
        before = None if node.copy is None else node.copy.record
        try:
            applied = node.update(self.kind, attempt, repeated=repeated)
        except WrongType as error:
            self._check_refusal(before, attempt, error)
            return
        if applied is not None:
            self.oracle.updated(
                applied.before, applied.dot, attempt.write_id, applied.time, attempt.said, attempt.context
            )
        self._send(number)

    def _check_refusal(self, before: Record | None, attempt: Attempt, error: WrongType) -> None:
        """Refused for a plain value that is there, or for a field that is there in another kind only."""
        if error.field == "key":
            if before is None or not any(sibling.value == b"plain" for sibling in before.siblings):
                raise Violation("refused for a plain value that is not there")
        elif not any(
            kinds and inner["type"] not in kinds
            for path, fields in _updates((), attempt.said)
            for name, inner in fields.items()
            if (kinds := self.oracle.holds(before, path, name))
        ):
            raise Violation(f"refused for a field that is not there: {error}")

    def _send(self, number: int) -> None:
        copy = self.nodes[number].copy
        if copy is not None:
            self.wire.append(encode(copy.record))

    # --- replication and disks ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.wire)
    @rule(number=node_numbers, age=ages)
    def deliver(self, number: int, age: int) -> None:
        self.nodes[number].receive(self.wire[-1 - age % len(self.wire)])

    @rule(first=node_numbers, second=node_numbers)
    def exchange(self, first: int, second: int) -> None:
        for one, other in ((first, second), (second, first)):
            copy = self.nodes[one].copy
            if copy is not None:
                self.nodes[other].receive(encode(copy.record))

    @rule(primary=st.sampled_from(PRIMARIES))
    def hand_off(self, primary: int) -> None:
        self.exchange(FALLBACK, primary)
        self.nodes[primary].sync()
        self.nodes[FALLBACK].drop()

    @rule(number=node_numbers)
    def sync(self, number: int) -> None:
        self.nodes[number].sync()

    @rule(number=node_numbers)
    def crash(self, number: int) -> None:
        self.nodes[number].crash()

    @rule(number=node_numbers)
    def restart(self, number: int) -> None:
        self.nodes[number].restart()

    # --- what must hold -----------------------------------------------------------------------------------------------

    @initialize(number=node_numbers, data=st.data())
    def begin(self, number: int, data: st.DataObject) -> None:
        self.change(number, 0, data)

    @invariant()
    def copies_are_what_their_updates_say(self) -> None:
        for node in self.nodes:
            if node.copy is not None:
                self.check(node.copy.record)

    def check(self, record: Record) -> None:
        """The record's value is what the oracle says, and plain readers are shown the same as one sibling."""
        assert decode(encode(record)) == record
        plain = [sibling for sibling in record.siblings if sibling.value == b"plain"]
        kind = KINDS[self.kind]
        if plain:
            try:
                read(record, kind)
            except WrongType:
                return
            raise Violation("a plain value is hidden")
        state = read(record, kind)
        if state is None:
            if any(sibling.value is not None for sibling in record.siblings):
                raise Violation("a state is hidden")
            return
        self.oracle.check(record, state.show())
        siblings = presented(record)
        if [sibling.value for sibling in siblings] != [encode_state(state)]:
            raise Violation(f"{len(siblings)} siblings are shown for one value")


def _updates(path: tuple[Any, ...], said: dict[str, Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """(path, the fields updated there) of a map's operation, at all depths."""
    fields = said.get("update", {})
    found = [(path, fields)] if fields else []
    for name, inner in fields.items():
        found += _updates((*path, (name, inner["type"])), inner) if inner["type"] == "map" else []
    return found


# --- the kinds --------------------------------------------------------------------------------------------------------

elements: st.SearchStrategy[Any] = st.sampled_from(["a", "b", 1, True])
some = st.lists(elements, max_size=2, unique_by=repr)
counting = st.integers(1, 9).map(lambda by: {"increment": by})
setting = st.integers(0, 9).map(lambda value: {"set": value})
switching = st.booleans().map(lambda on: {"enable": on})
changing = st.tuples(some, some).map(
    lambda lists: {"add": lists[0], "remove": [one for one in lists[1] if repr(one) not in map(repr, lists[0])]}
)
members = changing.filter(lambda said: said["add"] or said["remove"])


def _typed(kind: str, said: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return said.map(lambda inner: {"type": kind, **inner})


def _fields(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Operations on a map whose fields are f and g."""
    updates = st.dictionaries(st.sampled_from(["f", "g"]), inner, max_size=2)
    removals = st.lists(st.sampled_from(["f", "g"]), max_size=1)
    both = st.tuples(updates, removals).map(
        lambda parts: {"update": parts[0], "remove": [name for name in parts[1] if name not in parts[0]]}
    )
    return both.filter(lambda said: said["update"] or said["remove"])


leaves = st.one_of(
    _typed("counter", counting), _typed("set", members), _typed("flag", switching), _typed("register", setting)
)


class CounterMachine(TypesMachine):
    kind = "counter"
    operations = counting


class SetMachine(TypesMachine):
    kind = "set"
    operations = members


class FlagMachine(TypesMachine):
    kind = "flag"
    operations = switching


class RegisterMachine(TypesMachine):
    kind = "register"
    operations = setting


class MapMachine(TypesMachine):
    kind = "map"
    operations = _fields(st.one_of(leaves, _typed("map", _fields(leaves))))
