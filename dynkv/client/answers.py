"""Answers for good as entries and receipts. NotDynkv if an answer does not have what a node's has."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import cbor2

from dynkv.client.codecs import CBOR, OCTETS, Codecs, media_of
from dynkv.client.entry import EPOCH, Entry, Receipt, Sibling
from dynkv.client.errors import NotDynkv
from dynkv.client.keys import Key
from dynkv.client.transport import Answer

FOUND = frozenset((200, 300, 404))
WRITTEN = frozenset((204,))
SIBLINGS = "Dynkv-Siblings"


class Values:
    """Decodes siblings. `raw`: their values are bytes, whatever their content type."""

    def __init__(self, codecs: Codecs, *, raw: bool) -> None:
        self._codecs = codecs
        self._raw = raw

    def sibling(self, data: bytes, content_type: str, dot: str, time: datetime) -> Sibling:
        """CodecError."""
        value = data if self._raw else self._codecs.decode(data, content_type)
        return Sibling(value, dot, time, content_type, data)

    def described(self, described: Sequence[Mapping[str, Any]]) -> list[Sibling]:
        """Of the siblings of a 300 or of a batch, in CBOR."""
        siblings = []
        for one in described:
            data = one["value"]
            if not isinstance(data, bytes):
                raise TypeError("a value is no byte string")
            siblings.append(self.sibling(data, str(one["content_type"]), str(one["dot"]), _iso(one["time"])))
        return sorted(siblings, key=lambda sibling: sibling.order)


def entry_of(bucket: str, key: Key, answer: Answer, values: Values) -> Entry:
    """Of a GET. CodecError if a value is not of its content type."""
    headers = answer.headers
    context, etag = headers.get("Dynkv-Context", ""), headers.get("ETag", "").strip('"')
    if answer.status == 404:
        check_missing(answer)
        return Entry(bucket, key.text, (), context, etag, count_of(headers, "Dynkv-Tombstones"))
    check_siblings(answer)
    tombstones = count_of(headers, "Dynkv-Tombstones")
    if answer.status == 300:
        try:
            if media_of(headers.get("Content-Type", "")) != CBOR:
                raise TypeError(f"siblings as {headers.get('Content-Type', '')!r}")
            told = cbor2.loads(answer.body)
            siblings = values.described(told["siblings"])
            return Entry(bucket, key.text, siblings, str(told["context"]), etag, tombstones)
        except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError) as error:
            raise NotDynkv(f"siblings in a form that no node writes: {error!r}") from error
    content_type = headers.get("Content-Type", OCTETS)
    dot, time = headers.get("Dynkv-Dot", ""), _http_date(headers.get("Last-Modified", ""))
    sibling = values.sibling(answer.body, content_type, dot, time)
    return Entry(bucket, key.text, (sibling,), context, etag, tombstones)


def receipt_of(bucket: str, key: Key, answer: Answer, write_id: str, follow: Any) -> Receipt:
    """Of a PUT or DELETE that was applied."""
    check_siblings(answer)
    headers = answer.headers
    return Receipt(
        bucket=bucket,
        key=key.text,
        dot=headers.get("Dynkv-Dot", ""),
        context=headers.get("Dynkv-Context", ""),
        etag=headers.get("ETag", "").strip('"'),
        siblings=count_of(headers, SIBLINGS),
        write_id=write_id,
        follow=follow,
    )


def check_siblings(answer: Answer) -> None:
    """Any server answers 200; only a node says how many siblings there are."""
    if SIBLINGS not in answer.headers:
        raise NotDynkv(f"an answer with status {answer.status} without {SIBLINGS}: is this address a dynkv node's?")


def check_missing(answer: Answer) -> None:
    """Any server answers 404; a node says by its type that it is the key that is not there. To HEAD it cannot."""
    if answer.body:
        try:
            kind = str(json.loads(answer.body)["type"])
        except (ValueError, KeyError, TypeError):
            kind = ""
        if kind.rpartition(":")[2] in ("not-found", "deleted"):
            return
    elif "problem+json" in answer.headers.get("Content-Type", ""):
        return
    raise NotDynkv("a 404 that is not about a key: is this address a dynkv node's?")


def count_of(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _http_date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return EPOCH
