"""How what was found is shown: one value as itself, several as multipart, JSON or CBOR, and a description for explain.

In JSON a value is {"text": ...} if its content type is a text's and its bytes are UTF-8, else {"base64": ...}; in CBOR
it is a byte string. Both forms carry the context too, since it may be too long for a header field.
"""

import base64
import re
from collections.abc import Sequence
from typing import Any

import cbor2
import msgspec

from dynkv.core.hlc import wall_ms_of
from dynkv.core.record import Sibling
from dynkv.http.dates import http_date, iso_date

MULTIPART = "multipart/mixed"
JSON = "application/json"
CBOR = "application/cbor"
FORMS = (MULTIPART, JSON, CBOR)

OCTETS = "application/octet-stream"
CONTENT_TYPE_BYTES_MAX = 255
FIELD_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?\Z")
_TEXT_TYPES = re.compile(
    r"(text/|application/([a-z0-9.+-]*\+)?(json|xml|yaml|javascript|x-www-form-urlencoded)\b)", re.I
)

# Content types that passed: there are few, and each is asked for at every read.
_SAFE_MAX = 1024
_safe: set[str] = {OCTETS}


def is_content_type(text: str) -> bool:
    """Whether `text` may be kept and sent as a Content-Type: visible ASCII and blanks, at most 255 bytes."""
    if text in _safe:
        return True
    if len(text) > CONTENT_TYPE_BYTES_MAX or FIELD_VALUE.match(text) is None:
        return False
    if len(_safe) >= _SAFE_MAX:
        _safe.clear()
    _safe.add(text)
    return True


def content_type(sibling: Sibling) -> str:
    """Its content type, fit for a header. Records come from peers too, so what HTTP took in is not all there is."""
    return sibling.content_type if is_content_type(sibling.content_type) else OCTETS


def dot(actor: int, counter: int) -> str:
    """A write's name as a receipt, url-safe."""
    return f"{actor:016x}-{counter}"


def describe(sibling: Sibling) -> dict[str, Any]:
    """A sibling without its value."""
    size = None if sibling.value is None else len(sibling.value)
    return {
        "dot": dot(sibling.actor, sibling.counter),
        "time": iso_date(wall_ms_of(sibling.time)),
        "deleted": sibling.value is None,
        "content_type": content_type(sibling),
        "bytes": size,
    }


def body(form: str, siblings: Sequence[Sibling], context: str, digest: bytes) -> tuple[str, bytes]:
    """(content type, bytes) of several values in one of `FORMS`. None of `siblings` is a tombstone."""
    if form == MULTIPART:
        return _multipart(siblings, digest)
    told = {"context": context, "siblings": entries(form, siblings)}
    if form == CBOR:
        return CBOR, cbor2.dumps(told)
    return JSON, msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def entries(form: str, siblings: Sequence[Sibling]) -> list[dict[str, Any]]:
    """Values as members of what is written in JSON or CBOR."""
    if form == CBOR:
        return [_entry(sibling, sibling.value) for sibling in siblings]
    return [_entry(sibling, _json_value(sibling)) for sibling in siblings]


def _entry(sibling: Sibling, value: Any) -> dict[str, Any]:
    return {
        "dot": dot(sibling.actor, sibling.counter),
        "time": iso_date(wall_ms_of(sibling.time)),
        "content_type": content_type(sibling),
        "value": value,
    }


def _json_value(sibling: Sibling) -> dict[str, str]:
    value = sibling.value or b""
    if _TEXT_TYPES.match(sibling.content_type):
        try:
            return {"text": value.decode()}
        except UnicodeDecodeError:
            pass  # it says text and is not UTF-8: the bytes are what counts
    return {"base64": base64.b64encode(value).decode()}


def _multipart(siblings: Sequence[Sibling], digest: bytes) -> tuple[str, bytes]:
    boundary = digest.hex()
    while any(boundary.encode() in (sibling.value or b"") for sibling in siblings):
        boundary += "x"  # a value that holds its own record's digest: not by chance, but possible
    parts = [
        (
            f"--{boundary}\r\nContent-Type: {content_type(sibling)}\r\n"
            f"Dynkv-Dot: {dot(sibling.actor, sibling.counter)}\r\n"
            f"Dynkv-Time: {iso_date(wall_ms_of(sibling.time))}\r\n"
            f"Last-Modified: {http_date(wall_ms_of(sibling.time) // 1000)}\r\n\r\n"
        ).encode("latin-1")
        + (sibling.value or b"")
        + b"\r\n"
        for sibling in siblings
    ]
    return f'{MULTIPART}; boundary="{boundary}"', b"".join((*parts, f"--{boundary}--\r\n".encode()))
