"""Bodies that say something, in JSON or CBOR: which of the two it is, and what it says."""

from collections.abc import Callable
from io import BytesIO
from typing import Any, NoReturn

import cbor2
import msgspec

from dynkv.core.errors import BadParameter
from dynkv.http.values import CBOR, JSON


class UnsupportedMediaType(BadParameter):
    """A body of some other kind, or of one that is not said: a page of another site can send those unasked."""

    kind = "unsupported-media-type"
    status = 415


def form_of(content_type: str | None) -> str:
    """JSON or CBOR, as the Content-Type says."""
    said = (content_type or "").partition(";")[0].strip().lower()
    if said not in (JSON, CBOR):
        raise UnsupportedMediaType("Content-Type", f"is {said[:80]!r}" if said else "is missing", f"{JSON}, {CBOR}")
    return said


def decode(form: str, data: bytes, depth_max: int, example: str) -> Any:
    """What a body of this form says. BadParameter, which shows `example`, if it is not of the form or nested deeper (in
    CBOR; JSON as deep as Python calls)."""
    try:
        return msgspec.json.decode(data) if form == JSON else _cbor(data, depth_max)
    except (msgspec.MsgspecError, cbor2.CBORError, RecursionError, UnicodeDecodeError, ValueError) as error:
        name = "CBOR" if form == CBOR else "JSON"
        raise BadParameter("body", f"is not {name}: {' '.join(str(error).split())[:200]}", example) from None


class _NoTags(dict[int, Callable[..., NoReturn]]):
    """A decoder for every CBOR tag: none is taken. Some would have cbor2 compile a pattern or parse a mail."""

    def __missing__(self, tag: int) -> Callable[..., NoReturn]:
        return _refuse_tag


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not taken")


_NO_TAGS = _NoTags()


def _cbor(data: bytes, depth_max: int) -> Any:
    stream = BytesIO(data)
    said = cbor2.load(
        stream,
        semantic_decoders=_NO_TAGS,
        tag_hook=_refuse_tag,
        max_depth=depth_max,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    if stream.tell() != len(data):  # `loads` would pass over it without a word
        raise ValueError("something follows the first value")
    return said
