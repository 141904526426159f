"""The forms in which a listing's keys are written, piece by piece; `listing` shows them."""

import re
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote

import cbor2
import msgspec

JSON = "application/json"
NDJSON = "application/x-ndjson"
CBOR_SEQ = "application/cbor-seq"

_PLAIN = re.compile(rb"[A-Za-z0-9._~-]*\Z")


def escaped(keys: Sequence[bytes]) -> list[bytes]:
    """Keys as they stand in JSON, percent-encoded."""
    if _PLAIN.match(b"".join(keys)):
        return list(keys)
    return [quote(key, safe="").encode("ascii") for key in keys]


class Form(Protocol):
    """How a listing is written. Pieces of the one body, in this order: `start`, `keys` any number of times, `end`."""

    content_type: str

    def start(self, bucket: str) -> bytes: ...
    def keys(self, keys: Sequence[bytes]) -> bytes: ...
    def end(self, told: dict[str, Any]) -> bytes: ...


class JsonForm:
    """One document."""

    content_type = JSON

    def __init__(self) -> None:
        self._between = b"\n"

    def start(self, bucket: str) -> bytes:
        return b'{"bucket":%b,"keys":[' % msgspec.json.encode(bucket)

    def keys(self, keys: Sequence[bytes]) -> bytes:
        between, self._between = self._between, b",\n"
        return b'%b"%b"' % (between, b'",\n"'.join(escaped(keys)))

    def end(self, told: dict[str, Any]) -> bytes:
        return b"\n],%b\n" % msgspec.json.encode(told)[1:]


class LinesForm:
    """A line for each key, and one at the end."""

    content_type = NDJSON

    def start(self, bucket: str) -> bytes:
        return b""

    def keys(self, keys: Sequence[bytes]) -> bytes:
        return b'{"key":"%b"}\n' % b'"}\n{"key":"'.join(escaped(keys))

    def end(self, told: dict[str, Any]) -> bytes:
        return msgspec.json.encode(told) + b"\n"


class SequenceForm:
    """A CBOR sequence (RFC 8742): a byte string for each key, and a map at the end."""

    content_type = CBOR_SEQ

    def start(self, bucket: str) -> bytes:
        return b""

    def keys(self, keys: Sequence[bytes]) -> bytes:
        return b"".join(map(cbor2.dumps, keys))

    def end(self, told: dict[str, Any]) -> bytes:
        return cbor2.dumps(told)


FORMS: dict[str, type[Form]] = {JSON: JsonForm, NDJSON: LinesForm, CBOR_SEQ: SequenceForm}
