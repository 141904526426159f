"""What a read found, as an answer: one value as itself, several as 300, a deletion and a miss as 404.

    found                       siblings bucket                     lww bucket
    no record                   404 not-found                       the same
    tombstones only             404 deleted, with a context         the latest is a tombstone: likewise
    one value                   200, the value                      200, the latest value
    several values              300, all of them                    200, the latest value

The states of a typed value (`core.types`) are one value: their join, with the content type of its type.

A tombstone beside a live value is not shown, but said (`Dynkv-Tombstones`) and covered by the context. A context too
long for a header is announced by `Dynkv-Context-Too-Large: true`; the forms with a body of ours carry it.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dynkv.coordinator.results import ReadResult, Trace
from dynkv.core.bucket import Conflict
from dynkv.core.context import Tokens, fits
from dynkv.core.hlc import wall_ms_of
from dynkv.core.levels import Levels
from dynkv.core.record import Record, Sibling, latest
from dynkv.core.types.reading import presented
from dynkv.http.accept import choose
from dynkv.http.dates import http_date
from dynkv.http.problems import NOT_FOUND, problem
from dynkv.http.reply import Reply, json_reply
from dynkv.http.stats import HttpStats
from dynkv.http.values import FORMS, body, content_type, describe

_CACHE = "Cache-Control: no-cache\r\n"  # a stored answer may be used only after asking here (If-None-Match)
_TOO_LARGE = "Dynkv-Context-Too-Large: true\r\n"


class Asked:
    """What a read asked for, beside bucket and key. `trace` is None unless an explanation was asked for."""

    __slots__ = ("accept", "bucket", "conflict", "if_none_match", "key", "levels", "trace")

    def __init__(
        self,
        bucket: str,
        key: bytes,
        levels: Levels,
        conflict: Conflict,
        trace: Trace | None,
        accept: str,
        if_none_match: str | None,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self.levels = levels
        self.conflict = conflict
        self.trace = trace
        self.accept = accept
        self.if_none_match = if_none_match


class FoundReplies:
    """Makes the answers of reads."""

    def __init__(self, tokens: Tokens, stats: HttpStats) -> None:
        self._tokens = tokens
        self._stats = stats

    def reply(self, asked: Asked, result: ReadResult) -> Reply:
        record = result.record
        if record is None:
            return NOT_FOUND if asked.trace is None else self._explained(asked, asked.trace, result, NOT_FOUND, "", ())
        token = self._tokens.make(asked.bucket, asked.key, record.vector)
        siblings = visible(record, asked.conflict)
        if len(siblings) == 1 and fits(token) and len(record.siblings) == 1:
            # Nearly every read there is: one value, no story.
            sibling = siblings[0]
            tag = f'"{result.digest.hex()}"'
            written = http_date(wall_ms_of(sibling.time) // 1000)
            head = f"ETag: {tag}\r\nLast-Modified: {written}\r\nDynkv-Context: {token}\r\nDynkv-Siblings: 1\r\n{_CACHE}"
            if asked.if_none_match is not None and matches(asked.if_none_match, tag):
                reply = Reply(304, head)
            else:
                reply = Reply(200, f"Content-Type: {content_type(sibling)}\r\n{head}", sibling.value or b"")
        else:
            reply = self._rare(asked, record, siblings, token, result.digest)
        if asked.trace is not None:
            return self._explained(asked, asked.trace, result, reply, token, siblings)
        return reply

    def _rare(self, asked: Asked, record: Record, siblings: Sequence[Sibling], token: str, digest: bytes) -> Reply:
        """Several values, or none, or a hidden tombstone, or a context too long for a header."""
        tag = f'"{digest.hex()}"'
        tombstones = sum(1 for sibling in record.siblings if sibling.value is None)
        time = max(sibling.time for sibling in (siblings or record.siblings))
        head = (
            f"ETag: {tag}\r\nLast-Modified: {http_date(wall_ms_of(time) // 1000)}\r\n{self.context_field(token)}"
            f"Dynkv-Siblings: {len(siblings)}\r\n"
        )
        if tombstones:
            head += f"Dynkv-Tombstones: {tombstones}\r\n"
        head += _CACHE
        if not siblings:
            return problem("deleted", 404, "the latest that is known of this key is its deletion", head)
        if asked.if_none_match is not None and matches(asked.if_none_match, tag):
            return Reply(304, head)
        if len(siblings) == 1:
            return Reply(200, f"Content-Type: {content_type(siblings[0])}\r\n{head}", siblings[0].value or b"")
        form, data = body(choose(asked.accept, FORMS), siblings, token, digest)
        return Reply(300, f"Content-Type: {form}\r\nVary: Accept\r\n{head}", data)

    def context_field(self, token: str) -> str:
        """The header line that carries `token`, or says that it is too long for one."""
        if fits(token):
            return f"Dynkv-Context: {token}\r\n"
        self._stats.contexts_too_large += 1
        return _TOO_LARGE

    @staticmethod
    def _explained(
        asked: Asked, trace: Trace, result: ReadResult, plain: Reply, token: str, siblings: Sequence[Sibling]
    ) -> Reply:
        """The same answer as a description, with what led to it: same status, same header but for the content."""
        record = result.record
        story: dict[str, Any] = {
            "bucket": asked.bucket,
            "key": quote(asked.key, safe=""),
            "status": plain.status,
            "answer": answer_word(record, siblings),
            "context": token or None,
            "etag": result.digest.hex() or None,
            "levels": asked.levels._asdict(),
            "conflict": asked.conflict,
            "vector": [] if record is None else [[f"{actor:016x}", counter] for actor, counter in record.vector],
            "siblings": [describe(sibling) for sibling in siblings],
            "not_shown": [describe(s) for s in (record.siblings if record else ()) if s not in siblings],
            "events": trace.events,
        }
        lines = plain.head.split("\r\n")
        head = "".join(f"{line}\r\n" for line in lines if line and not line.startswith("Content-Type:"))
        return json_reply(plain.status if plain.status != 304 else 200, story, head)


def visible(record: Record, conflict: Conflict) -> tuple[Sibling, ...]:
    """The siblings that a reader of a bucket of this policy is shown."""
    if conflict == "lww" and len(record.siblings) > 1:
        return tuple(sibling for sibling in (latest(record),) if sibling.value is not None)
    return presented(record)


def answer_word(record: Record | None, siblings: Sequence[Sibling]) -> str:
    if record is None:
        return "not found"
    if not siblings:
        return "deleted"
    return "value" if len(siblings) == 1 else "siblings"


def matches(field: str, tag: str) -> bool:
    """Whether an If-None-Match field names `tag` (RFC 9110 13.1.2: weak comparison)."""
    return field.strip() == "*" or any(part.strip().removeprefix("W/") == tag for part in field.split(","))
