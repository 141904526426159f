"""What the body of a batch says, checked: the whole at once, each operation for itself. `batch` shows the form."""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from dynkv.core.bucket import BucketSettings, check_bucket, check_key
from dynkv.core.context import Tokens
from dynkv.core.errors import BadParameter, TooLarge
from dynkv.core.levels import NAMES, Levels, resolve
from dynkv.core.write import Write
from dynkv.http import bodies
from dynkv.http.paths import unescape
from dynkv.http.request import too_large
from dynkv.http.terms import WRITE_ID, WriteIds
from dynkv.http.values import CBOR, CONTENT_TYPE_BYTES_MAX, OCTETS, is_content_type

OPERATIONS_MAX = 1_000
DEPTH_MAX = 8  # the form has four
TEXT = "text/plain; charset=utf-8"

Kind = Literal["get", "put", "delete"]

_NAMES = frozenset(NAMES)
_OF_ALL = _NAMES | {"op", "bucket", "key"}
_OF_WRITES = _OF_ALL | {"context", "idempotency_key"}
MEMBERS: dict[str, frozenset[str]] = {
    "get": _OF_ALL,
    "put": _OF_WRITES | {"value", "content_type"},
    "delete": _OF_WRITES,
}

BODY = '{"operations": [{"op": "get", "bucket": "b", "key": "k"}, ...]}'


def says_a_write(raw: Any) -> bool:
    """Whether what may be no operation says that it is a put or delete."""
    return isinstance(raw, dict) and raw.get("op") in ("put", "delete")


class Operation(NamedTuple):
    """`write`: of a put or delete. `blind`: a delete that says no context, so it has to look first."""

    kind: Kind
    bucket: str
    key: bytes
    settings: BucketSettings
    levels: Levels
    write: Write | None
    blind: bool


# --- the whole --------------------------------------------------------------------------------------------------------


def decode(form: str, data: bytes) -> list[Any]:
    """The operations in a body of this form (JSON or CBOR), not looked at yet. BadParameter, TooLarge."""
    body = bodies.decode(form, data, DEPTH_MAX, BODY)
    if not isinstance(body, dict):
        raise BadParameter("body", f"is {_what(body)}", BODY)
    for name in body:
        if name != "operations":
            raise BadParameter(_shown(name), "is not a member of a batch", "operations")
    operations = body.get("operations")
    if not isinstance(operations, list):
        raise BadParameter("operations", "is missing" if operations is None else f"is {_what(operations)}", "a list")
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge("operations", f"are {len(operations)}", f"at most {OPERATIONS_MAX}")
    return operations


# --- one operation ----------------------------------------------------------------------------------------------------


class OperationReader:
    """Reads the operations of one batch. `levels`: what its query says of r, pr, w, pw, timeout and sloppy."""

    def __init__(
        self,
        form: str,
        levels: Mapping[str, str],
        settings: Callable[[str], BucketSettings],
        tokens: Tokens,
        write_ids: WriteIds,
        value_bytes_max: int,
    ) -> None:
        self._cbor = form == CBOR
        self._query = levels
        self._settings = settings
        self._buckets: dict[str, BucketSettings] = {}  # named so far
        self._tokens = tokens
        self._write_ids = write_ids
        self._value_bytes_max = value_bytes_max
        self._levels: dict[BucketSettings, Levels] = {}  # of operations that say nothing of them

    def read(self, raw: Any) -> Operation:
        """RequestError that names the member at fault."""
        kind = raw.get("op") if isinstance(raw, dict) else None
        if not isinstance(raw, dict):
            raise BadParameter("", f"is {_what(raw)}", '{"op": ..., "bucket": ..., "key": ...}')
        members = MEMBERS.get(kind) if isinstance(kind, str) else None
        if members is None:
            raise BadParameter("op", "is missing" if kind is None else f"is {_what(kind)}", "get, put or delete")
        if not members.issuperset(raw):
            unknown = next(name for name in raw if name not in members)
            raise BadParameter(_shown(unknown), f"is not a member of a {kind}", ", ".join(sorted(members)))
        bucket = _text(raw, "bucket", "a bucket's name")
        settings = self._buckets.get(bucket) or self._checked(bucket)
        key = check_key(self._bytes_of_key(raw.get("key")))
        levels = self._levels_of(raw, settings)
        if kind == "get":
            return Operation(kind, bucket, key, settings, levels, None, False)
        token = raw.get("context")
        context = () if token is None else self._tokens.parse(bucket, key, _text(raw, "context", "a token"))
        write_id = self._write_id(raw)
        value, content_type = self._value(raw) if kind == "put" else (None, "")
        write = Write(bucket, key, context, value, content_type, write_id.encode("ascii"))
        blind = kind == "delete" and token is None
        return Operation("put" if kind == "put" else "delete", bucket, key, settings, levels, write, blind)

    def _checked(self, bucket: str) -> BucketSettings:
        """The settings of a bucket that is named for the first time. BadKey."""
        settings = self._buckets[bucket] = self._settings(check_bucket(bucket))
        return settings

    def _bytes_of_key(self, said: Any) -> bytes:
        if isinstance(said, str):
            encoded = _utf8(said, "key")
            return encoded if self._cbor else unescape(encoded, "key")
        if self._cbor and isinstance(said, bytes):
            return said
        raise _wrong("key", said, "a byte string or text" if self._cbor else "text, percent-encoded")

    def _levels_of(self, raw: dict[str, Any], settings: BucketSettings) -> Levels:
        if not _NAMES.isdisjoint(raw):
            own = {name: _level(name, value) for name in NAMES if (value := raw.get(name)) is not None}
            if own:
                return resolve(settings, {**self._query, **own})
        levels = self._levels.get(settings)
        if levels is None:
            levels = self._levels[settings] = resolve(settings, self._query)
        return levels

    def _write_id(self, raw: dict[str, Any]) -> str:
        said = raw.get("idempotency_key")
        if said is None:
            return self._write_ids.next()
        text = _text(raw, "idempotency_key", "text")
        if WRITE_ID.match(text) is None:
            raise BadParameter("idempotency_key", f"{text[:80]!r} is not one", "1..64 visible ASCII characters")
        return text

    def _value(self, raw: dict[str, Any]) -> tuple[bytes, str]:
        """(value, content type)."""
        said = raw.get("value")
        if self._cbor:
            if not isinstance(said, bytes | str):
                raise _wrong("value", said, "a byte string or text")
            value = _utf8(said, "value") if isinstance(said, str) else said
            is_text = isinstance(said, str)
        else:
            value, is_text = _json_value(said)
        if len(value) > self._value_bytes_max:
            raise too_large("value", self._value_bytes_max)
        if raw.get("content_type") is None:
            return value, TEXT if is_text else OCTETS
        content_type = _text(raw, "content_type", "text")
        if not is_content_type(content_type):
            limit = f"visible ASCII, at most {CONTENT_TYPE_BYTES_MAX} bytes"
            raise BadParameter("content_type", "is not a header value", limit)
        return value, content_type


def _json_value(said: Any) -> tuple[bytes, bool]:
    """(bytes, whether they are of a text)."""
    limit = '{"text": "..."} or {"base64": "..."}'
    if not isinstance(said, dict):
        raise _wrong("value", said, limit)
    if len(said) != 1 or not said.keys() <= {"text", "base64"}:
        raise BadParameter("value", "has other members", limit)
    ((name, text),) = said.items()
    if not isinstance(text, str):
        raise _wrong(f"value.{name}", text, "text")
    if name == "text":
        return _utf8(text, "value.text"), True
    try:
        return a2b_base64(text, strict_mode=True), False
    except (Base64Error, ValueError) as error:
        raise BadParameter("value.base64", f"is not base64: {error}", "RFC 4648 section 4, padded") from None


def _level(name: str, said: Any) -> str:
    """A level as a query would say it."""
    if isinstance(said, bool):
        if name == "sloppy":
            return "true" if said else "false"
    elif isinstance(said, int):
        if name != "sloppy" and abs(said) < 10**9:
            return str(said)
    elif isinstance(said, str) and name not in ("sloppy", "timeout"):
        return said
    limit = {"sloppy": "true or false", "timeout": "a number of milliseconds"}.get(name, "1..n, one, quorum or all")
    raise _wrong(name, said, limit)


def _text(raw: dict[str, Any], name: str, limit: str) -> str:
    said = raw.get(name)
    if not isinstance(said, str):
        raise _wrong(name, said, limit)
    return said


def _utf8(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadParameter(field, "holds half of a surrogate pair", "text that UTF-8 can say") from None


def _wrong(name: str, said: Any, limit: str) -> BadParameter:
    return BadParameter(name, "is missing" if said is None else f"is {_what(said)}", limit)


def _what(said: Any) -> str:
    """What was said instead, in few words: its kind, or a short text itself."""
    if isinstance(said, str) and len(said) <= 40:
        return repr(said)
    kinds = {dict: "an object", list: "a list", str: "a text", bytes: "a byte string", bool: "a truth value"}
    return kinds.get(type(said)) or ("a number" if isinstance(said, int | float) else "null")


def _shown(name: Any) -> str:
    """A member's name, fit for an error; in CBOR it may be a byte string."""
    return (name[:40] if isinstance(name, str) else repr(name[:40])) or "a member without a name"
