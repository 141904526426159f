"""What elements, fields and registers hold, as canonical bytes: MessagePack, each value in one form only.

Elements are true or false, whole numbers of 64 bits, finite numbers, text and bytes. Two elements are the same if they
are equal to a client that speaks JSON: 1.0 is 1, and neither is true. JSON has no bytes: {"base64": "..."} stands for
an element of bytes. What a register holds is any value of JSON, and bytes; it is kept as it came.
"""

from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from math import isfinite
from typing import Any

import msgspec

from dynkv.core.errors import BadParameter, DamagedRecord, TooLarge

Scalar = bool | int | float | str | bytes

ELEMENT_BYTES_MAX = 4096
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
EXACT_MAX = 2**53
"""Up to here every whole number is exact as a float too."""
DEPTH_MAX = 16

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

# What MessagePack puts before a text or bytes of so many.
_HEAD_BYTES: dict[type, int] = {str: 3, bytes: 3}

ELEMENTS = f"text or bytes of at most {ELEMENT_BYTES_MAX} bytes, whole numbers of 64 bits, finite numbers, true, false"


def element(value: object, field: str) -> bytes:
    """The canonical bytes of an element. BadParameter or TooLarge, naming `field`."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_MAX:
        value = int(value)
    if isinstance(value, dict):
        value = _bytes(value, field)
    if not isinstance(value, bool | int | float | str | bytes):
        raise BadParameter(field, f"{_shown(value)} is not an element", ELEMENTS)
    data = _checked(value, field)
    if len(data) > ELEMENT_BYTES_MAX and len(data) > ELEMENT_BYTES_MAX + _HEAD_BYTES[type(value)]:
        raise TooLarge(field, f"an element has more than {ELEMENT_BYTES_MAX} bytes", ELEMENTS)
    return data


def scalar(data: bytes) -> Scalar:
    """The element whose canonical bytes are `data`. DamagedRecord."""
    try:
        value: Scalar = _decode(data)
        if type(value) is str and len(data) <= ELEMENT_BYTES_MAX and _encode(value) == data:
            return value  # what nearly all elements are, checked in a third of the time
        if element(value, "element") == data:
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadParameter, TooLarge) as error:
        raise DamagedRecord(f"not an element: {error}") from error
    raise DamagedRecord("not the canonical bytes of an element")


def in_order(elements: list[Scalar]) -> list[Scalar]:
    """As answers list them: false, true, numbers, text, bytes; each kind ascending."""
    return sorted(elements, key=_place)


def in_json(value: Any) -> Any:
    """`value` as JSON can say it: bytes are {"base64": ...}, in a register, too."""
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: in_json(inner) for name, inner in value.items()}
    return [in_json(inner) for inner in value] if isinstance(value, list) else value


def packed(value: object, field: str) -> bytes:
    """The bytes of a register's value. BadParameter, naming `field`."""
    _check(value, field, DEPTH_MAX)
    return _encode(value)


def unpacked(data: bytes) -> Any:
    """What `packed` packed. DamagedRecord."""
    try:
        value = _decode(data)
        _check(value, "register", DEPTH_MAX)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadParameter) as error:
        raise DamagedRecord(f"not a register's value: {error}") from error
    return value


def _bytes(value: dict[Any, Any], field: str) -> bytes:
    text = value.get("base64")
    if len(value) != 1 or not isinstance(text, str) or not text.isascii():
        raise BadParameter(field, "an object is not an element", ELEMENTS)
    try:
        return a2b_base64(text, strict_mode=True) if text else b""
    except Base64Error as error:
        raise BadParameter(field, "is not base64", "base64 with its padding") from error


def _check(value: object, field: str, depth: int) -> None:
    """BadParameter if `value` is not of JSON or bytes, or nested deeper than `depth`."""
    if isinstance(value, dict | list):
        if not depth:
            raise BadParameter(field, "is nested too deeply", f"{DEPTH_MAX} levels")
        if isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise BadParameter(field, f"has the member {_shown(name)}", "members named by text")
                _checked(name, field)
                _check(inner, field, depth - 1)
        else:
            for inner in value:
                _check(inner, field, depth - 1)
    elif value is not None:
        if not isinstance(value, bool | int | float | str | bytes):
            raise BadParameter(field, f"holds {_shown(value)}", "what JSON can say, and bytes")
        _checked(value, field)


def _checked(value: Scalar, field: str) -> bytes:
    """Its bytes. BadParameter if it has none."""
    if isinstance(value, float) and not isfinite(value):
        raise BadParameter(field, f"{value} is no number that JSON can say", "finite numbers")
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise BadParameter(field, "a whole number is out of range", f"{INT_MIN}..{INT_MAX}")
    try:
        return _encode(value)
    except UnicodeEncodeError as error:
        raise BadParameter(field, "text holds half a character", "Unicode text") from error


def _place(value: Scalar) -> tuple[int, Any]:
    if isinstance(value, bool):
        return 0, value
    if isinstance(value, int | float):
        return 1, value
    return (2, value) if isinstance(value, str) else (3, value)


def _shown(value: object) -> str:
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(value), f"a {type(value).__name__}")
