"""Values that the store merges itself: nobody has to read before writing, and there is never a conflict to resolve.

    counter = client.counter("pages", "home")
    await counter.increment()
    await counter.value()                                  # 1

    cart = client.set("carts", "ann")
    await cart.add("milk", "bread")
    await cart.remove("milk")                              # what is there now: it reads first
    seen = await cart.read()
    await cart.remove("bread", seen=seen.context)          # what was there then: a later addition stays

    user = client.map("users", "ann")
    await user.counter("logins").increment()
    await user.update({"mail": {"type": "register", "set": "a@b.c"}}, remove=["old"])

An object is a name and nothing else: it holds no value, costs nothing, and tasks may share it. A session has the same
objects (`session.counter(...)`). `dynkv.core.types` tells what happens when updates meet.

All methods raise ClientError: WrongType if the key holds something else. Each update is one write under one id, however
often it had to be sent; after an ambiguous failure, `write_id=error.write_id` sends it once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import NoneType
from typing import Any, ClassVar, NamedTuple, TypedDict, Unpack

import cbor2

from dynkv.client.answers import check_missing, check_siblings, receipt_of
from dynkv.client.codecs import CBOR
from dynkv.client.core import Core
from dynkv.client.entry import Receipt
from dynkv.client.errors import CodecError, NotDynkv
from dynkv.client.keys import key_of
from dynkv.client.requests import KeyRequests, Level, levels_of
from dynkv.client.transport import Answer

Element = str | int | float | bool | bytes


class Reading(TypedDict, total=False):
    """How a read is made; see `KeyOperations`."""

    r: Level | None
    pr: Level | None
    sloppy: bool | None
    timeout: float | None


class Writing(TypedDict, total=False):
    """How an update is made. write_id: to send one of before once more. returning: its receipt is to have the value."""

    w: Level | None
    pw: Level | None
    sloppy: bool | None
    timeout: float | None
    write_id: str | None
    returning: bool


class Typed(NamedTuple):
    """What a read found. context: for a removal of what it shows. found: false if the value is merely the empty one."""

    value: Any
    context: str
    found: bool


@dataclass(frozen=True, slots=True)
class TypedReceipt(Receipt):
    """An applied update. value: after it, as its coordinator saw it, and `context` of that, with `returning=True`."""

    value: Any = None


class TypedValue:
    """A typed value, or a field of one."""

    kind: ClassVar[str]
    nothing: ClassVar[type]

    def __init__(self, owner: "TypedValues", bucket: str, key: str | bytes, field: "Field | None" = None) -> None:
        self._owner = owner
        self._bucket = bucket
        self._key = key
        self._field = field

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._bucket!r}, {self._key!r}{'' if self._field is None else ', a field'})"

    async def value(self, **reading: Unpack[Reading]) -> Any:
        """What it is now; of one that nobody has updated 0, [], False, None or {}."""
        return (await self.read(**reading)).value

    async def read(self, **reading: Unpack[Reading]) -> Typed:
        """The same, with the context for removals."""
        if self._field is None:
            return await self._owner._read_typed(self.kind, self._bucket, self._key, reading, self.nothing())
        outer, name = self._field
        found = await outer.read(**reading)
        inner = _of_kind(found.value.get(name), self.kind)
        return Typed(self.nothing() if inner is None else inner["value"], found.context, inner is not None)

    async def _update(
        self, said: Mapping[str, Any], writing: Writing, *, removes: bool = False, seen: str | None = None
    ) -> TypedReceipt:
        """`removes`: what its author has seen counts; read now, if `seen` does not say it."""
        if self._field is not None:
            outer, name = self._field
            receipt = await outer._update(
                {"update": {name: {"type": self.kind, **said}}}, writing, removes=removes, seen=seen
            )
            return self._inner(receipt, name)
        if removes and seen is None:
            reading = Reading(timeout=writing.get("timeout"), sloppy=writing.get("sloppy"))
            seen = (await self.read(**reading)).context
        return await self._owner._update_typed(self.kind, self._bucket, self._key, said, seen, writing)

    def _inner(self, receipt: TypedReceipt, name: str) -> TypedReceipt:
        """The receipt of the whole, as that of this field."""
        if receipt.value is None:
            return receipt
        inner = _of_kind(receipt.value.get(name), self.kind)
        return replace(receipt, value=self.nothing() if inner is None else inner["value"])


class Counter(TypedValue):
    """A whole number to which anybody adds; no addition is lost or counted twice."""

    kind = "counter"
    nothing = int

    async def increment(self, by: int = 1, **writing: Unpack[Writing]) -> TypedReceipt:
        """Add `by`, at most 2**53 either way."""
        return await self._update({"increment": by}, writing)

    async def decrement(self, by: int = 1, **writing: Unpack[Writing]) -> TypedReceipt:
        return await self._update({"increment": -by}, writing)


class Set(TypedValue):
    """A set of texts, numbers, true, false and bytes; an addition wins over a removal that had not seen it.

    Its value is a list, in the order false, true, numbers, texts, bytes, because in Python 1 and True are one.
    """

    kind = "set"
    nothing = list

    async def add(self, *elements: Element, **writing: Unpack[Writing]) -> TypedReceipt:
        return await self._update({"add": list(elements)}, writing)

    async def remove(self, *elements: Element, seen: str | None = None, **writing: Unpack[Writing]) -> TypedReceipt:
        """Remove elements as a read with the context `seen` showed them, or, without one, as a read shows them now."""
        return await self._update({"remove": list(elements)}, writing, removes=True, seen=seen)

    async def update(
        self,
        add: Iterable[Element] = (),
        remove: Iterable[Element] = (),
        seen: str | None = None,
        **writing: Unpack[Writing],
    ) -> TypedReceipt:
        """Both at once."""
        gone = list(remove)
        said = {"add": list(add), "remove": gone}
        return await self._update(
            {name: those for name, those in said.items() if those}, writing, removes=bool(gone), seen=seen
        )

    async def contains(self, element: Element, **reading: Unpack[Reading]) -> bool:
        """Whether it is in: of all elements, so a set of many is better read once."""
        return any(one == element and _alike(one, element) for one in await self.value(**reading))


class Flag(TypedValue):
    """On or off; who switches it on wins over who switches it off without having seen that."""

    kind = "flag"
    nothing = bool

    async def enable(self, **writing: Unpack[Writing]) -> TypedReceipt:
        return await self._update({"enable": True}, writing)

    async def disable(self, seen: str | None = None, **writing: Unpack[Writing]) -> TypedReceipt:
        """Switch off what a read with the context `seen` showed to be on, or what a read shows now."""
        return await self._update({"enable": False}, writing, removes=True, seen=seen)


class Register(TypedValue):
    """One value of None, true, false, numbers, texts, bytes, lists and dicts of these; the last to set it wins."""

    kind = "register"
    nothing = NoneType

    async def set(self, value: Any, **writing: Unpack[Writing]) -> TypedReceipt:
        return await self._update({"set": value}, writing)


class Map(TypedValue):
    """Named fields of all these kinds, and of maps, each merged by its own rule; who updates a field wins over who
    removes it. Its value is {name: {"type": kind, "value": ...}}."""

    kind = "map"
    nothing = dict

    async def update(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        remove: Iterable[str] = (),
        seen: str | None = None,
        **writing: Unpack[Writing],
    ) -> TypedReceipt:
        """Several fields at once: {name: {"type": "counter", "increment": 1}, ...}, as in `dynkv.http.types`."""
        gone = list(remove)
        updates = {name: dict(one) for name, one in fields.items()}
        removes = bool(gone) or _removes(updates)
        said = _not_empty({"update": updates, "remove": gone})
        return await self._update(said, writing, removes=removes, seen=seen)

    async def remove(self, *fields: str, seen: str | None = None, **writing: Unpack[Writing]) -> TypedReceipt:
        """Remove fields as a read with the context `seen` showed them, or, without one, as a read shows them now."""
        return await self._update({"remove": list(fields)}, writing, removes=True, seen=seen)

    def counter(self, name: str) -> Counter:
        return Counter(*self._of(name))

    def set(self, name: str) -> Set:
        return Set(*self._of(name))

    def flag(self, name: str) -> Flag:
        return Flag(*self._of(name))

    def register(self, name: str) -> Register:
        return Register(*self._of(name))

    def map(self, name: str) -> "Map":
        return Map(*self._of(name))

    def _of(self, name: str) -> "tuple[TypedValues, str, str | bytes, Field]":
        return self._owner, self._bucket, self._key, Field(self, name)


class Field(NamedTuple):
    """A place in a map."""

    outer: Map
    name: str


class TypedValues(ABC):
    """What has typed values: a client, and a session."""

    def counter(self, bucket: str, key: str | bytes) -> Counter:
        return Counter(self, bucket, key)

    def set(self, bucket: str, key: str | bytes) -> Set:
        return Set(self, bucket, key)

    def flag(self, bucket: str, key: str | bytes) -> Flag:
        return Flag(self, bucket, key)

    def register(self, bucket: str, key: str | bytes) -> Register:
        return Register(self, bucket, key)

    def map(self, bucket: str, key: str | bytes) -> Map:
        return Map(self, bucket, key)

    async def _read_typed(self, kind: str, bucket: str, key: str | bytes, reading: Reading, nothing: Any) -> Typed:
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(reading.get("timeout"))
        levels = levels_of(r=reading.get("r"), pr=reading.get("pr"), sloppy=reading.get("sloppy"))
        answer = await self._requests().read_typed(kind, bucket, name, levels, deadline)
        if answer.status == 404:
            check_missing(answer)
            return Typed(nothing, str(answer.json().get("context", "")), False)
        check_siblings(answer)
        told = _told(answer, kind)
        return Typed(told["value"], str(told["context"]), True)

    async def _update_typed(
        self, kind: str, bucket: str, key: str | bytes, said: Mapping[str, Any], seen: str | None, writing: Writing
    ) -> TypedReceipt:
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(writing.get("timeout"))
        query = levels_of(w=writing.get("w"), pw=writing.get("pw"), sloppy=writing.get("sloppy"))
        returning = writing.get("returning", False)
        if returning:
            query["return"] = "true"
        try:
            body = cbor2.dumps(said)
        except (cbor2.CBOREncodeError, UnicodeEncodeError, RecursionError) as error:
            raise CodecError(f"not an operation on a {kind}: {error}") from error
        write_id = writing.get("write_id")
        again = write_id is not None
        write_id = write_id or core.new_write_id()
        requests = self._requests()
        answer = await requests.update_typed(kind, bucket, name, body, seen, write_id, query, deadline, again=again)
        receipt = receipt_of(bucket, name, answer, write_id, core.follow)
        applied = TypedReceipt(**{member.name: getattr(receipt, member.name) for member in fields(receipt)})
        if not returning:
            return applied
        told = _told(answer, kind)
        return replace(applied, value=told["value"], context=told["context"])

    @abstractmethod
    def _core(self) -> Core:
        """The parts, on the running loop. ClientClosed."""

    @abstractmethod
    def _requests(self) -> KeyRequests:
        """How keys are read and written."""


def _told(answer: Answer, kind: str) -> Mapping[str, Any]:
    """What a 200 says. NotDynkv."""
    try:
        if answer.headers.get("Content-Type") != CBOR:
            raise TypeError(f"an answer as {answer.headers.get('Content-Type', '')!r}")
        told = cbor2.loads(answer.body)
        if told["type"] != kind or not isinstance(told["context"], str):
            raise ValueError("of another type")
        told["value"]
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError) as error:
        raise NotDynkv(f"a typed value in a form that no node writes: {error!r}") from error
    assert isinstance(told, dict)
    return told


def _of_kind(shown: Any, kind: str) -> Mapping[str, Any] | None:
    """What a map shows of a field, if it is of this kind, or of several of which one is."""
    if not isinstance(shown, Mapping):
        return None
    many = shown["values"] if shown["type"] == "several" else [shown]
    return next((one for one in many if one["type"] == kind), None)


def _not_empty(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: those for name, those in said.items() if those}


def _removes(updates: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether operations on fields remove something inside them."""
    return any(
        bool(one.get("remove")) or one.get("enable") is False or _removes(one.get("update") or {})
        for one in updates.values()
    )


def _alike(one: Element, other: Element) -> bool:
    """Equal for the store: to it True is not 1."""
    return isinstance(one, bool) == isinstance(other, bool)
