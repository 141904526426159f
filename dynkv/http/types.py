"""/types/{type}/{bucket}/{key}: values that the store merges itself: counter, set, flag, register, map.

    GET  /types/counter/b/k            {"type": "counter", "value": 5, "context": "...", "etag": "..."}
    POST /types/counter/b/k            {"increment": 5}
    POST /types/set/b/k                {"add": ["x", 1, true], "remove": ["y"]}
    POST /types/flag/b/k               {"enable": true}
    POST /types/register/b/k           {"set": anything}
    POST /types/map/b/k                {"update": {"visits": {"type": "counter", "increment": 1},
                                                   "tags": {"type": "set", "add": ["new"]}},
                                        "remove": ["old"]}

JSON or CBOR: a body by its Content-Type, which must be said, an answer by Accept. Parameters and header fields are
those of /kv: r, pr, timeout, sloppy, explain of a GET; w, pw, timeout, sloppy, explain, Idempotency-Key of a POST;
sessions of both. What two nodes take in at the same time is never in conflict, but a read at r=1 may not show all of it
yet.

A POST is answered 204; with `return=true` 200 and the value after it, as its coordinator sees it. A retry has the
Idempotency-Key of the first attempt and `Dynkv-Attempt: 2` (3, ...): then it is counted once however late the first one
comes to light (the text of `core.types` says what happens without).

Whatever removes something (elements, fields, the flag) needs the Dynkv-Context of an answer that showed it, of /types
or of /kv, and ends what that answer had seen: an addition that it had not seen stays. An answer has a context only
where it has the value: after a 204 the author has seen nothing.

A map's value is {"visits": {"type": "counter", "value": 5}, ...}. Elements of bytes are {"base64": "..."} in JSON.

A key holds one type or plain values: to another type it is a 409 that says what it holds, with the context of that. It
comes about where somebody writes a plain value without having read (`GET /kv/...` shows all of it as siblings; a PUT or
DELETE with that context settles it). DELETE /kv/... deletes a typed value; an update that the deletion had not seen
survives it, with all that it had joined. Under an `lww` bucket, which keeps one of two concurrent values, there are no
types.
"""

from typing import Any

import cbor2
import msgspec
from multidict import istr

from dynkv.coordinator.results import Coordinator, ReadResult, WriteResult
from dynkv.core.bucket import BucketSettings
from dynkv.core.context import Tokens, fits
from dynkv.core.errors import BadParameter, ServiceError, WrongType
from dynkv.core.hlc import wall_ms_of
from dynkv.core.record import newest
from dynkv.core.types.operation import Kind, encode, example, kind_named, parse
from dynkv.core.types.reading import read
from dynkv.core.types.state import decode as decode_state
from dynkv.core.types.values import in_json
from dynkv.core.write import Write
from dynkv.http.accept import choose
from dynkv.http.bodies import decode, form_of
from dynkv.http.dates import http_date
from dynkv.http.found import matches
from dynkv.http.paths import split_typed
from dynkv.http.problems import OUTCOME, of_error, problem
from dynkv.http.reply import Reply
from dynkv.http.request import ACCEPT, CONTENT_TYPE, BodyBudget, Request
from dynkv.http.session import Sessions
from dynkv.http.stats import HttpStats
from dynkv.http.terms import IF_NONE_MATCH, Terms, TermsReader
from dynkv.http.values import CBOR, JSON, dot
from dynkv.http.view import NodeView

ATTEMPT = istr("Dynkv-Attempt")
ATTEMPTS_MAX = 1_000_000
RETURN = "return"
DEPTH_MAX = 32  # of a body: a register's value in the innermost map

_CACHE = "Cache-Control: no-cache\r\n"


class TypeRoutes:
    """The handlers."""

    def __init__(
        self,
        view: NodeView,
        coordinator: Coordinator,
        stats: HttpStats,
        budget: BodyBudget,
        sessions: Sessions,
        reader: TermsReader,
    ) -> None:
        self._coordinator = coordinator
        self._stats = stats
        self._budget = budget
        self._sessions = sessions
        self._reader = reader
        self._tokens: Tokens = view.tokens
        self._settings = view.bucket_settings
        self._body_bytes_max = view.limits.value_bytes_max

    async def get(self, request: Request) -> Reply:
        """Also HEAD: the connection leaves the body out."""
        name, bucket, key, query = split_typed(request.target)
        kind, settings = self._typed(name, bucket)
        terms = self._reader.terms(request, settings, query)
        request.refuse_body()
        levels, trace, session, wait, _ = terms
        demand = None if session is None else session.demand(bucket, key, wait)
        try:
            result = await self._coordinator.get(bucket, key, levels, trace, demand)
        except ServiceError as error:
            return of_error(error, events=terms.events)
        reply = self._found(request, kind, bucket, key, terms, result)
        return reply if session is None else self._sessions.told(reply, session.after_read(bucket, key, result.record))

    async def post(self, request: Request) -> Reply:
        name, bucket, key, query = split_typed(request.target)
        kind, settings = self._typed(name, bucket)
        terms = self._reader.terms(request, settings, query, (RETURN,))
        context = self._reader.context(request, bucket, key)
        repeated = _attempt(request) > 1
        write_id = self._reader.write_id(request)
        form = form_of(request.headers.get(CONTENT_TYPE))
        body = await request.body(self._body_bytes_max, "operation", self._budget)
        operation = parse(kind, decode(form, body, DEPTH_MAX, example(kind)))
        if context is None and operation.removes() is not None:
            detail = "is missing: what is removed must have been seen"
            raise BadParameter("Dynkv-Context", detail, "the one of an answer that shows what is to be removed")
        write = Write(
            bucket,
            key,
            context or (),
            encode(operation),
            kind.content_type,
            write_id.encode("ascii"),
            None if terms.session is None else terms.session.demand(bucket, key, terms.wait_ms),
            kind.name,
            repeated,
            RETURN in terms.flags,
        )
        try:
            result = await self._coordinator.put(write, terms.levels, settings.conflict, terms.trace)
        except ServiceError as error:
            return of_error(error, writes=True, write_id=write_id, events=terms.events)
        return self._updated(request, form, write, terms, result)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _found(self, request: Request, kind: Kind, bucket: str, key: bytes, terms: Terms, found: ReadResult) -> Reply:
        record, trace = found.record, terms.trace
        token = self._tokens.make(bucket, key, () if record is None else record.vector)
        head = self._context_field(token)
        events = terms.events
        if record is None:
            detail = "no replica that answered holds this key"
            return problem("not-found", 404, detail, head, context=token, events=events)
        tag = f'"{found.digest.hex()}"'
        head = f"ETag: {tag}\r\nLast-Modified: {http_date(wall_ms_of(newest(record)) // 1000)}\r\n{head}{_CACHE}"
        try:
            state = read(record, kind)
        except WrongType as error:
            more = {"field": error.field, "limit": error.limit, "context": token, "events": events}
            return problem(error.kind, error.status, str(error), head, **more)
        if state is None:
            detail = "the latest that is known of this key is its deletion"
            return problem("deleted", 404, detail, head, context=token, events=events)
        head += "Dynkv-Siblings: 1\r\n"
        known = request.headers.get(IF_NONE_MATCH)
        if known is not None and trace is None and matches(known, tag):
            return Reply(304, head)
        told = {"type": kind.name, "value": state.show(), "context": token, "etag": found.digest.hex()}
        if trace is not None:
            told |= {"levels": terms.levels._asdict(), "states": len(record.siblings), "events": trace.events}
        return _reply(choose(request.headers.get(ACCEPT, ""), (JSON, CBOR)), told, head)

    def _updated(self, request: Request, form: str, write: Write, terms: Terms, result: WriteResult) -> Reply:
        head = f'ETag: "{result.digest.hex()}"\r\nDynkv-Siblings: {result.siblings}\r\n{OUTCOME}: applied\r\n'
        name = dot(result.actor, result.counter) if result.counter else None
        if name is not None:  # none for a retry of which only the node's memory knows
            head += f"Dynkv-Dot: {name}\r\n"
        if terms.session is not None:
            # No value of the session's own: what others did is in it, too, so a plain write must not replace it unread.
            after = terms.session.after_write(write.bucket, write.key, result.covering, None)
            head += self._sessions.field(after)
        if not write.returns and terms.trace is None:
            return Reply(204, head)
        told: dict[str, Any] = {"type": write.update, "outcome": "applied", "dot": name, "etag": result.digest.hex()}
        if write.returns:
            token = self._tokens.make(write.bucket, write.key, result.context)
            head += self._context_field(token)
            # No state: a retry, and the key was deleted since.
            value = decode_state(result.state).show() if result.state else None
            told |= {"value": value, "context": token}
        if terms.trace is not None:
            told |= {
                "idempotency_key": write.write_id.decode("ascii"),
                "levels": terms.levels._asdict(),
                "replicas": result.replicas,
                "events": terms.trace.events,
            }
        return _reply(choose(request.headers.get(ACCEPT, ""), (form, JSON if form == CBOR else CBOR)), told, head)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _typed(self, name: str, bucket: str) -> tuple[Kind, BucketSettings]:
        """BadParameter if there is no such type, or no types in this bucket."""
        kind, settings = kind_named(name), self._settings(bucket)
        if settings.conflict != "siblings":
            detail = f"{bucket} keeps one of two concurrent values (lww), and types need both"
            raise BadParameter("bucket", detail, "a bucket whose conflict policy is siblings")
        return kind, settings

    def _context_field(self, token: str) -> str:
        if fits(token):
            return f"Dynkv-Context: {token}\r\n"
        self._stats.contexts_too_large += 1
        return "Dynkv-Context-Too-Large: true\r\n"


def _attempt(request: Request) -> int:
    text = request.headers.get(ATTEMPT)
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= ATTEMPTS_MAX):
        raise BadParameter("Dynkv-Attempt", f"{text[:40]!r} is none", f"1..{ATTEMPTS_MAX}")
    return int(text)


def _reply(form: str, told: dict[str, Any], head: str) -> Reply:
    head = f"Content-Type: {form}\r\nVary: Accept\r\n{head}"
    if form == CBOR:
        return Reply(200, head, cbor2.dumps(msgspec.to_builtins(told, builtin_types=(bytes,))))
    data = msgspec.json.format(msgspec.json.encode(in_json(told)), indent=2) + b"\n"
    return Reply(200, head, data)
