"""What a request is about: bucket, key and parameters, from the raw request target.

Rules: everything after `/kv/{bucket}/` up to the first `?` is the key, as bytes, each `%XX` unescaped once and nothing
else changed. So `a/b` and `a%2Fb` are one key, `%FF` and `%25FF` are two, and `.`, `..` and `//` are ordinary bytes:
nothing is ever normalised. (Clients do normalise: `curl` folds `/../` unless told `--path-as-is`; `%2e%2e` is safe.)
A `%` without two hex digits is refused rather than guessed. Bytes from 0x80 up may also come unescaped.
"""

import re
from collections.abc import Collection

from dynkv.core.bucket import check_bucket, check_key
from dynkv.core.errors import BadKey, BadParameter, RequestError

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HEX = b"0123456789abcdefABCDEF"
_BYTES = {bytes((one, two)): bytes((int(chr(one) + chr(two), 16),)) for one in _HEX for two in _HEX}

NO_PARAMETERS: dict[str, str] = {}

# Names that passed, so that the pattern is matched once per name and not once per request.
_NAMES_MAX = 1024
_names: set[str] = set()


def unescape(raw: bytes, field: str, error: type[RequestError] = BadKey) -> bytes:
    """`raw` with every %XX replaced by its byte, once. `error` if a % is not followed by two hex digits."""
    if b"%" not in raw:
        return raw
    if (bad := _BAD_ESCAPE.search(raw)) is not None:
        shown = raw[bad.start() : bad.start() + 3].decode("ascii", "backslashreplace")
        raise error(field, f"{shown!r} is not an escape", "% and two hex digits; a % itself is %25")
    first, *parts = raw.split(b"%")
    return b"".join([first, *[_BYTES[part[:2]] + part[2:] for part in parts]])


def raw_bytes(text: str) -> bytes:
    """The bytes that the parser made `text` of."""
    return text.encode("utf-8", "surrogateescape")


def origin_form(target: str) -> str:
    """`target` from its first slash on: a request line may also hold a whole URL (RFC 9112 3.2.2)."""
    if target.startswith("/"):
        return target
    slash = target.find("/", target.find("://") + 3) if "://" in target else -1
    if slash < 0:
        raise BadKey("target", f"{target[:80]!r} is not a path", "/...")
    return target[slash:]


def names_bucket(target: str) -> bool:
    """Whether `/kv/...` is a bucket and not a key in one: no second slash before the query."""
    slash, question = target.find("/", 4), target.find("?", 4)
    return slash < 0 or 0 <= question < slash


def split_key(target: str) -> tuple[str, bytes, str]:
    """(bucket, key, query) of `/kv/{bucket}/{key}?{query}`. BadKey."""
    slash = target.find("/", 4)
    if slash < 0:
        raise BadKey("key", "is missing", "/kv/{bucket}/{key}")
    bucket = target[4:slash]
    rest = target[slash + 1 :]
    query = ""
    if "?" in rest:
        rest, _, query = rest.partition("?")
    key = rest.encode() if rest.isascii() else raw_bytes(rest)
    if "#" in target:
        raise BadKey("target", "holds a '#'; in a key it is written %23", "")
    if "%" in rest:
        key = unescape(key, "key")
    return bucket if bucket in _names else bucket_name(bucket), check_key(key), query


def split_typed(target: str) -> tuple[str, str, bytes, str]:
    """(type, bucket, key, query) of `/types/{type}/{bucket}/{key}?{query}`. BadKey."""
    kind, slash, rest = target[len("/types/") :].partition("/")
    if not slash or "/" not in rest.partition("?")[0]:
        raise BadKey("key", "is missing", "/types/{type}/{bucket}/{key}")
    return kind, *split_key(f"/kv/{rest}")


def bucket_name(raw: str) -> str:
    """The bucket that the path segment `raw` names. BadKey."""
    name = unescape(raw_bytes(raw), "bucket").decode("utf-8", "surrogateescape")
    check_bucket(name)
    if name == raw:
        if len(_names) >= _NAMES_MAX:
            _names.clear()
        _names.add(name)
    return name


def parameters(query: str, known: Collection[str]) -> dict[str, str]:
    """The parameters of `query`. BadParameter if one is unknown, given twice, or not text."""
    if not query:
        return NO_PARAMETERS
    found: dict[str, str] = {}
    for part in query.split("&"):
        raw_name, equals, raw_value = part.partition("=")
        name, value = _text(raw_name), _text(raw_value)
        if name not in known:
            raise BadParameter(name[:40] or "query", "is not a parameter of this route", ", ".join(known) or "none")
        if not equals:
            raise BadParameter(name, "has no value", f"{name}=...")
        if name in found:
            raise BadParameter(name, "is given twice", "once")
        found[name] = value
    return found


def _text(raw: str) -> str:
    """Latin-1, one character a byte, so that a key can be a parameter too (`value.encode("latin-1")`)."""
    return unescape(raw_bytes(raw), "query", BadParameter).decode("latin-1")


def flag(found: dict[str, str], name: str) -> bool:
    """Take the true-or-false parameter `name` out of `found`; false if it is not there. BadParameter."""
    text = found.pop(name, "false")
    if text not in ("true", "false"):
        raise BadParameter(name, f"{text[:40]!r} is neither true nor false", "true or false")
    return text == "true"
