"""Maps: named fields of the other kinds, and of maps, each merged by its own rule.

A field is there while an update of it counts that nobody who had seen it removed; any update of the field wins over a
concurrent removal. Removing a field also ends the effect of what its remover had seen inside: if the field stays
because of a concurrent update, only what is new is in it. (Of a counter, see `counter`: what is new may be more.)

A field is its name and its kind together. Two nodes may create one name in two kinds at the same time; both are kept
then, and shown, and a removal of the name removes both.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadParameter, DamagedRecord, TooLarge, WrongType
from dynkv.core.record import Vector
from dynkv.core.types import dots
from dynkv.core.types.counter import Counter, Increment
from dynkv.core.types.dots import Dots
from dynkv.core.types.flag import Flag, Switch
from dynkv.core.types.lineage import Both, Event, Ids, Twins
from dynkv.core.types.register import Assign, Register
from dynkv.core.types.set import AT_ONCE_MAX, Change, Set

DEPTH_MAX = 4
"""Maps in one another, the outermost counted."""
NAME_BYTES_MAX = 256

Name = Annotated[str, Meta(min_length=1, max_length=NAME_BYTES_MAX)]


class Within(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Update fields, (name, operation) ascending by name, and remove others, ascending."""

    update: Annotated[tuple[tuple[Name, "Operation"], ...], Meta(max_length=AT_ONCE_MAX)]
    remove: Annotated[tuple[Name, ...], Meta(max_length=AT_ONCE_MAX)]

    def removes(self) -> "Within | None":
        """The removals in it, of fields and inside fields, if there are any."""
        inner = tuple((name, removal) for name, operation in self.update if (removal := operation.removes()))
        return Within(inner, self.remove) if inner or self.remove else None

    def check(self, depth: int) -> None:
        """DamagedRecord if it could not have been parsed."""
        if not depth:
            raise DamagedRecord("maps are nested too deeply")
        updated = [name for name, _ in self.update]
        for names in (updated, list(self.remove)):
            if names != sorted({*names}):
                raise DamagedRecord("fields do not ascend")
        if {*updated} & {*self.remove}:
            raise DamagedRecord("a field is both updated and removed")
        for _, operation in self.update:
            operation.check(depth - 1)


class Field(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """`there`: the dots of the updates that count."""

    name: Name
    there: Dots
    body: "Body"

    @property
    def key(self) -> tuple[str, int]:
        return self.name, _tag(self.body)


class Map(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Fields, ascending by name and kind."""

    fields: Annotated[tuple[Field, ...], Meta(max_length=100_000)] = ()

    def join(self, theirs: "Map", both: Both) -> "Map":
        if self == theirs:
            return self
        ours, others = {one.key: one for one in self.fields}, {one.key: one for one in theirs.fields}
        joined = []
        for key in ours.keys() | others.keys():
            our, their = ours.get(key), others.get(key)
            body = (our or others[key]).body
            nothing = Field(key[0], (), type(body)())
            our, their = our or nothing, their or nothing
            there = dots.joined(our.there, their.there, both)
            body = our.body.join(their.body, both)  # type: ignore[arg-type]  # both of the kind in the key
            joined.append(Field(key[0], there, body))
        return _map(joined)

    def reset(self, vector: Vector) -> "Map":
        """Without the updates that `vector` covers."""
        return _map([_reset(field, vector) for field in self.fields])

    def without(self, operation: Within, vector: Vector) -> "Map":
        """Without those of them that the removed fields, or what is removed inside others, consist of."""
        removed, inner = {*operation.remove}, dict(operation.update)
        fields = []
        for field in self.fields:
            if field.name in removed:
                fields.append(_reset(field, vector))
            elif (within := inner.get(field.name)) is not None and isinstance(field.body, BODIES[type(within)]):
                body = field.body.without(within, vector)  # type: ignore[arg-type]  # its own kind of operation
                fields.append(Field(field.name, field.there, body))
            else:
                fields.append(field)
        return _map(fields)

    def apply(self, operation: Within, event: Event) -> "Map":
        """WrongType if a field is of another kind; TooLarge."""
        fields = {field.key: field for field in self.without(Within((), operation.remove), event.context).fields}
        kinds = dict(fields.keys())
        for name, inner in operation.update:
            kind = BODIES[type(inner)]
            key = (name, _tag(kind))
            if key not in fields and name in kinds:
                held = NAMES[kinds[name]]
                raise WrongType(f"update.{name}", f"holds a {held}", f"operations on a {held}, or its removal first")
            before = fields.get(key) or Field(name, (), kind())
            body = before.body.apply(inner, event)  # type: ignore[arg-type]  # as above
            fields[key] = Field(name, dots.added(before.there, event.dot), body)
        return _map([*fields.values()])

    def settle(self, twins: Twins) -> "Map":
        return _map([Field(one.name, dots.settled(one.there, twins), one.body.settle(twins)) for one in self.fields])

    def show(self, ids: Ids) -> dict[str, Any]:
        """{name: {"type": kind, "value": ...}}; a name of two kinds is {"type": "several", "values": [...]}."""
        shown: dict[str, Any] = {}
        for field in self.fields:
            one = {"type": NAMES[_tag(field.body)], "value": field.body.show(ids)}
            before = shown.get(field.name)
            if before is None:
                shown[field.name] = one
            elif before["type"] == "several":
                before["values"].append(one)
            else:
                shown[field.name] = {"type": "several", "values": [before, one]}
        return shown

    def told_apart(self, actor: int) -> set[int]:
        """The counters of the increments of `actor` that its counters can tell apart."""
        return {counter for field in self.fields for counter in field.body.told_apart(actor)}

    def entries(self) -> int:
        return sum(1 + field.body.entries() for field in self.fields)

    def check(self, depth: int) -> None:
        """DamagedRecord if an order is broken, here or inside."""
        if not depth:
            raise DamagedRecord("maps are nested too deeply")
        before = ("", 0)
        for field in self.fields:
            if field.key <= before:
                raise DamagedRecord("fields do not ascend")
            dots.check(field.there)
            field.body.check(depth - 1)
            before = field.key


Body = Counter | Set | Flag | Register | Map
Operation = Increment | Change | Switch | Assign | Within

NAMES: dict[int, str] = {1: "counter", 2: "set", 3: "flag", 4: "register", 5: "map"}
BODIES: dict[type, type[Body]] = {Increment: Counter, Change: Set, Switch: Flag, Assign: Register, Within: Map}


def _tag(body: Body | type[Body]) -> int:
    tag = body.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


def _map(fields: list[Field]) -> Map:
    return Map(tuple(sorted((field for field in fields if field.there), key=_key)))


def _key(field: Field) -> tuple[str, int]:
    return field.key


def _reset(field: Field, vector: Vector) -> Field:
    return Field(field.name, dots.without(field.there, vector), field.body.reset(vector))


def parse(said: dict[str, object], field: str, inner: Callable[[object, str], Operation]) -> Within:
    """{"update": {name: operation}, "remove": [name]}, one of them at least; `inner` parses an operation, and is told
    where it stands. RequestError."""
    updates, removed = said.get("update", {}), said.get("remove", [])
    if not isinstance(updates, dict):
        raise BadParameter(field + "update", "is no object", "fields and what to do with them")
    if not isinstance(removed, list):
        raise BadParameter(field + "remove", "is no list", "a list of fields")
    if not updates and not removed:
        raise BadParameter(field + "update", "is missing, and so is remove: there is nothing to do", "fields")
    if len(updates) + len(removed) > AT_ONCE_MAX:
        detail = f"and remove name {len(updates) + len(removed)} fields"
        raise TooLarge(field + "update", detail, f"at most {AT_ONCE_MAX} in one request")
    names = {_name(name, f"{field}remove[{place}]") for place, name in enumerate(removed)}
    operations = {
        _name(name, f"{field}update"): inner(operation, f"{field}update.{str(name)[:40]}.")
        for name, operation in updates.items()
    }
    both = sorted(names & operations.keys())
    if both:
        raise BadParameter(field + "remove", f"and update both name {both[0]!r:.80}", "a field once")
    return Within(tuple(sorted(operations.items())), tuple(sorted(names)))


def _name(name: object, field: str) -> str:
    limit = f"text of 1..{NAME_BYTES_MAX} bytes"
    if not isinstance(name, str):
        raise BadParameter(field, "names a field by what is no text", limit)
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise BadParameter(field, "names a field by half a character", limit) from error
    if not 1 <= size <= NAME_BYTES_MAX:
        raise BadParameter(field, f"names a field by {size} bytes", limit)
    return name
