"""Operations: what a client asks to be done to a typed value, as it came, and as bytes on the way to its coordinator.

    counter     {"increment": 5}
    set         {"add": ["x", 1, true], "remove": ["y"]}
    flag        {"enable": true}
    register    {"set": anything}
    map         {"update": {"visits": {"type": "counter", "increment": 1}}, "remove": ["old"]}

Elements of bytes are {"base64": "..."} where there are no bytes (`values`).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from dynkv.core.errors import BadParameter, DamagedRecord
from dynkv.core.types import counter, flag, map, register, set
from dynkv.core.types.map import BODIES, DEPTH_MAX, NAMES, Body, Operation

PREFIX = "application/vnd.dynkv."

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Operation).decode


class Kind(NamedTuple):
    """One of the types. `members`: what its operation may say."""

    name: str
    body: type[Body]
    members: tuple[str, ...]

    @property
    def content_type(self) -> str:
        """Of the siblings that hold its states."""
        return PREFIX + self.name


_MEMBERS = {
    "counter": ("increment",),
    "set": ("add", "remove"),
    "flag": ("enable",),
    "register": ("set",),
    "map": ("update", "remove"),
}
_EXAMPLES = {
    "counter": '{"increment": 1}',
    "set": '{"add": ["x"], "remove": ["y"]}',
    "flag": '{"enable": true}',
    "register": '{"set": "anything"}',
    "map": '{"update": {"visits": {"type": "counter", "increment": 1}}, "remove": ["old"]}',
}
_PARSERS: dict[str, Callable[[dict[str, object], str], Operation]] = {
    "counter": counter.parse,
    "set": set.parse,
    "flag": flag.parse,
    "register": register.parse,
}

KINDS: Mapping[str, Kind] = {
    NAMES[tag]: Kind(NAMES[tag], body, _MEMBERS[NAMES[tag]]) for tag, body in enumerate(BODIES.values(), 1)
}
BY_CONTENT_TYPE: Mapping[str, Kind] = {kind.content_type: kind for kind in KINDS.values()}


def kind_named(name: str) -> Kind:
    """BadParameter if there is none of this name."""
    kind = KINDS.get(name)
    if kind is None:
        raise BadParameter("type", f"{name[:40]!r} is none", ", ".join(KINDS))
    return kind


def parse(kind: Kind, said: object) -> Operation:
    """The operation that `said` (of JSON or CBOR) asks for. RequestError that names the member at fault."""
    return _parse(kind, said, "", DEPTH_MAX)


def example(kind: Kind) -> str:
    """An operation as a client may send it."""
    return _EXAMPLES[kind.name]


def encode(operation: Operation) -> bytes:
    return _encode(operation)


def decode(kind: Kind, data: bytes) -> Operation:
    """The operation on a value of this kind whose bytes are `data`. BadParameter if they are none: a peer sent them."""
    try:
        operation: Operation = _decode(data)
        operation.check(DEPTH_MAX)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, DamagedRecord) as error:
        raise BadParameter("operation", "is damaged", "") from error
    if BODIES[type(operation)] is not kind.body:
        raise BadParameter("operation", f"is none on a {kind.name}", "")
    return operation


def _parse(kind: Kind, said: object, field: str, depth: int) -> Operation:
    if not isinstance(said, dict):
        raise BadParameter(field.rstrip(".") or "body", "is no object", _EXAMPLES[kind.name])
    for name in said:
        if name not in kind.members and not (field and name == "type"):
            shown = name[:40] if isinstance(name, str) else "a member"
            raise BadParameter(field + shown, f"does not belong to a {kind.name}", ", ".join(kind.members))
    if kind.name != "map":
        return _PARSERS[kind.name](said, field)
    if not depth:
        raise BadParameter(field + "type", "is a map, nested too deeply", f"{DEPTH_MAX} maps in one another")
    return map.parse(said, field, lambda inner, where: _inner(inner, where, depth - 1))


def _inner(said: object, field: str, depth: int) -> Operation:
    if not isinstance(said, dict):
        raise BadParameter(field.rstrip("."), "is no object", 'an operation, with its "type"')
    name = said.get("type")
    if not isinstance(name, str) or name not in KINDS:
        detail = "is missing" if name is None else f"{str(name)[:40]!r} is none"
        raise BadParameter(field + "type", detail, ", ".join(KINDS))
    return _parse(KINDS[name], said, field, depth)
