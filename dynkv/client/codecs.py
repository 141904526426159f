"""Values as bytes and back, by content type.

    value              without a content type                       with one
    bytes              application/octet-stream                     taken for bytes of that type, as they are
    str                text/plain; charset=utf-8                    text/...: encoded; JSON, CBOR: a string of those
    of a user's type   the content type it was registered with      its codec
    anything else      `objects`: application/json by default       JSON, CBOR, or a registered codec

Back: text/... becomes str, JSON and CBOR what they hold, a registered type what its codec makes; of any other content
type the bytes are the value. JSON is the standard library's: tuples come back as lists, and keys that are no text as
text. CBOR keeps sets, bytes, dates, big and exact numbers.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cbor2

from dynkv.client.errors import CodecError

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
CBOR = "application/cbor"
BYTES = (bytes, bytearray, memoryview)


class Codec(NamedTuple):
    """Values of one content type. Both functions may raise anything; it becomes the cause of a CodecError."""

    content_type: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    types: tuple[type, ...] = ()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Codecs:
    """The content types that a client knows. `objects`: what a value is written as that is neither bytes nor text."""

    def __init__(self, objects: str = JSON, more: Sequence[Codec] = ()) -> None:
        """CodecError if `objects` is not among them."""
        self._codecs = {JSON: Codec(JSON, _json, json.loads), CBOR: Codec(CBOR, cbor2.dumps, cbor2.loads)}
        self._typed: list[Codec] = []
        for codec in more:
            self._codecs[media_of(codec.content_type)] = codec
            if codec.types:
                self._typed.insert(0, codec)
        self._objects = objects
        if self._find(objects) is None:
            raise CodecError(f"no codec for {objects!r}")

    def encode(self, value: Any, content_type: str | None = None) -> tuple[bytes, str]:
        """(bytes, content type). CodecError if the value is not of it."""
        kind = content_type or self._kind(value)
        if isinstance(value, BYTES):
            return bytes(value), kind
        codec = self._find(kind)
        if codec is None and isinstance(value, str) and kind.startswith("text/"):
            codec = Codec(kind, lambda text: bytes(text.encode(_charset(kind))), bytes)
        if codec is None:
            raise CodecError(f"no codec for {kind!r}: give bytes, or register one")
        try:
            data = codec.encode(value)
        except Exception as error:
            hint = f"; content_type={CBOR!r} takes sets, bytes and dates" if codec.content_type == JSON else ""
            raise CodecError(f"a {type(value).__name__} cannot be written as {kind}: {error}{hint}") from error
        return data, kind

    def encode_like(self, value: Any, content_type: str) -> tuple[bytes, str]:
        """The same for a value that takes another's place: of that one's content type, if it can be."""
        if content_type and not isinstance(value, BYTES):
            try:
                return self.encode(value, content_type)
            except CodecError:
                pass  # another kind of value than it was
        elif content_type and self._find(content_type) is None and not content_type.startswith("text/"):
            return bytes(value), content_type
        return self.encode(value)

    def decode(self, data: bytes, content_type: str) -> Any:
        """CodecError, with the bytes, if they are not of this content type."""
        codec = self._find(content_type)
        try:
            if codec is not None:
                return codec.decode(data)
            if content_type.lower().startswith("text/"):
                return data.decode(_charset(content_type))
        except Exception as error:
            raise CodecError(f"a value of {len(data)} bytes is not {content_type}: {error}", data) from error
        return data

    def _kind(self, value: Any) -> str:
        for codec in self._typed:
            if isinstance(value, codec.types):
                return codec.content_type
        if isinstance(value, BYTES):
            return OCTETS
        return TEXT if isinstance(value, str) else self._objects

    def _find(self, content_type: str) -> Codec | None:
        media = media_of(content_type)
        found = self._codecs.get(media)
        if found is None and media.endswith("+json"):
            found = self._codecs[JSON]
        return found


def media_of(content_type: str) -> str:
    """`text/plain` of `Text/Plain; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"') or "utf-8"
    return "utf-8"
