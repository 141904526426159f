"""GET, HEAD, PUT and DELETE of one key.

A request is checked whole before anybody is asked: target, parameters, header fields, then the body. What is refused
has changed nothing, and a refused or failed write says what became of it (`Dynkv-Outcome`).

A DELETE without a context deletes what a read at the same levels sees. A blind tombstone would stand beside the value
as a concurrent sibling, and a concurrent write wins over a concurrent delete: it would delete nothing.
"""

from urllib.parse import quote

import msgspec

from dynkv.coordinator.results import Coordinator, Trace, WriteResult
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter, ServiceError
from dynkv.core.levels import Levels
from dynkv.core.write import Write
from dynkv.http.found import Asked, FoundReplies
from dynkv.http.paths import split_key
from dynkv.http.problems import OUTCOME, of_error
from dynkv.http.receipts import PARAMETER as RECEIPT
from dynkv.http.receipts import ReceiptRoute
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import ACCEPT, CONTENT_TYPE, BodyBudget, Request
from dynkv.http.session import Sessions
from dynkv.http.stats import HttpStats
from dynkv.http.terms import IF_NONE_MATCH, Terms, TermsReader
from dynkv.http.values import CONTENT_TYPE_BYTES_MAX, OCTETS, dot, is_content_type
from dynkv.http.view import NodeView
from dynkv.http.where import PARAMETER as REPLICAS
from dynkv.http.where import WhereRoute, without


class KeyRoutes:
    """The four handlers."""

    def __init__(
        self,
        view: NodeView,
        coordinator: Coordinator,
        stats: HttpStats,
        budget: BodyBudget,
        sessions: Sessions,
        reader: TermsReader,
    ) -> None:
        self._view = view
        self._coordinator = coordinator
        self._budget = budget
        self._tokens = view.tokens
        self._settings = view.bucket_settings
        self._value_bytes_max = view.limits.value_bytes_max
        self._found = FoundReplies(view.tokens, stats)
        self._where = WhereRoute(view)
        self._receipts = ReceiptRoute(view, coordinator)
        self._sessions = sessions
        self._reader = reader

    async def get(self, request: Request) -> Reply:
        """Also HEAD: the connection leaves the body out."""
        bucket, key, query = split_key(request.target)
        if REPLICAS in query:
            looked = await self._where.get(request, bucket, key, query)
            if looked is not None:
                return looked
            query = without(query)
        if f"{RECEIPT}=" in query:
            return await self._receipts.get(request, bucket, key, query)
        settings = self._settings(bucket)
        terms = self._reader.terms(request, settings, query)
        levels, trace, session, wait, _ = terms
        request.refuse_body()
        headers = request.headers
        asked = Asked(
            bucket,
            key,
            levels,
            settings.conflict,
            trace,
            headers.get(ACCEPT, ""),
            headers.get(IF_NONE_MATCH),
        )
        demand = None if session is None else session.demand(bucket, key, wait)
        try:
            result = await self._coordinator.get(bucket, key, levels, trace, demand)
        except ServiceError as error:
            return of_error(error, events=terms.events)
        reply = self._found.reply(asked, result)
        return reply if session is None else self._sessions.told(reply, session.after_read(bucket, key, result.record))

    async def put(self, request: Request) -> Reply:
        bucket, key, query = split_key(request.target)
        settings = self._settings(bucket)
        terms = self._reader.terms(request, settings, query)
        context = self._reader.context(request, bucket, key)
        headers = request.headers
        content_type = headers.get(CONTENT_TYPE) or OCTETS
        if not is_content_type(content_type):
            raise BadParameter(
                "Content-Type", "is not a header value", f"visible ASCII, at most {CONTENT_TYPE_BYTES_MAX} bytes"
            )
        write_id = self._reader.write_id(request)
        value = await request.body(self._value_bytes_max, "value", self._budget)
        write = Write(bucket, key, context or (), value, content_type, write_id.encode("ascii"))
        return await self._write(write, settings, terms)

    async def delete(self, request: Request) -> Reply:
        bucket, key, query = split_key(request.target)
        settings = self._settings(bucket)
        terms = self._reader.terms(request, settings, query)
        context = self._reader.context(request, bucket, key)
        write_id = self._reader.write_id(request)
        request.refuse_body()
        if context is None and settings.conflict == "siblings":
            levels, trace, session, wait, _ = terms
            demand = None if session is None else session.demand(bucket, key, wait)
            try:
                seen = (await self._coordinator.get(bucket, key, levels, trace, demand)).record
            except ServiceError as error:
                error.outcome = "not_applied"  # only the read has failed so far
                return of_error(error, writes=True, write_id=write_id, events=terms.events)
            context = () if seen is None else seen.vector
            if session is not None:
                terms = terms._replace(session=session.after_read(bucket, key, seen))
        write = Write(bucket, key, context or (), None, "", write_id.encode("ascii"))
        return await self._write(write, settings, terms)

    async def _write(self, write: Write, settings: BucketSettings, terms: Terms) -> Reply:
        levels, trace, session, wait, _ = terms
        if session is not None:
            write = msgspec.structs.replace(write, demand=session.demand(write.bucket, write.key, wait))
        try:
            result = await self._coordinator.put(write, levels, settings.conflict, trace)
        except ServiceError as error:
            write_id = write.write_id.decode("ascii")
            return of_error(error, writes=True, write_id=write_id, events=terms.events)
        token = self._tokens.make(write.bucket, write.key, result.context)
        head = (
            f'{self._found.context_field(token)}ETag: "{result.digest.hex()}"\r\n'
            f"Dynkv-Siblings: {result.siblings}\r\n{OUTCOME}: applied\r\n"
        )
        if result.counter:  # none for the retry of a write that has since been overwritten
            head += f"Dynkv-Dot: {dot(result.actor, result.counter)}\r\n"
        if session is not None:
            named = (result.actor, result.counter) if result.counter else None
            head += self._sessions.field(session.after_write(write.bucket, write.key, result.covering, named))
        if trace is not None:
            return _explained(write, levels, result, token, trace, head)
        return Reply(204, head)


def _explained(write: Write, levels: Levels, result: WriteResult, token: str, trace: Trace, head: str) -> Reply:
    story = {
        "bucket": write.bucket,
        "key": quote(write.key, safe=""),
        "status": 200,
        "outcome": "applied",
        "answer": "deleted" if write.value is None else "written",
        "dot": dot(result.actor, result.counter) if result.counter else None,
        "idempotency_key": write.write_id.decode("ascii"),
        "context": token,
        "etag": result.digest.hex(),
        "siblings": result.siblings,
        "levels": levels._asdict(),
        "replicas": result.replicas,
        "events": trace.events,
    }
    return json_reply(200, story, head)
