"""POST /batch: up to 1,000 gets, puts and deletes in one request, and a result each, in the same order.

    POST /batch?r=&pr=&w=&pw=&sloppy=&timeout=      all optional: the levels of operations that do not say their own
               &brief=true                          of a put or delete that was applied nothing but that is told
    Content-Type: application/json | application/cbor       must be said; no other is taken
    Accept: application/json | application/cbor             of the answer; else it is of the request's form

    {"operations": [
        {"op": "get",    "bucket": "b", "key": "k"},
        {"op": "put",    "bucket": "b", "key": "caf%C3%A9", "value": {"text": "hello"}},
        {"op": "delete", "bucket": "b", "key": "k2", "context": "…", "r": 1}
    ]}

    member            of              is                                                       left out
    op                all             "get", "put", "delete"                                   400
    bucket            all             as in a path                                             400
    key               all             JSON: text, percent-encoded as in a path                 400
                                      CBOR: bytes, or text that stands for its UTF-8
    value             put             JSON: {"text": "…"} or {"base64": "…"}                   400
                                      CBOR: bytes, or text that stands for its UTF-8
    content_type      put             as the header field Content-Type                         text/plain; charset=utf-8
                                                                                               of text, else octets
    context           put, delete     the token that a result or a Dynkv-Context gave          nothing was seen (*)
    idempotency_key   put, delete     as the header field, 1..64 visible ASCII characters      one is made
    r, pr, w, pw      all             1..n, "one", "quorum", "all"                             the query's, the bucket's
    sloppy            all             true, false                                              the query's, true
    timeout           all             ms; never beyond the deadline of the whole               the query's

(*) A delete without a context deletes what a read at its levels sees, as a single DELETE does.

`timeout` in the query is the deadline of the whole batch, 5,000 ms if it is not said. The answer is 200 as soon as the
batch could be read, whatever became of its operations, and has a result for each:

    {"results": [
        {"status": 200, "context": "…", "etag": "…",
         "siblings": [{"dot": "…", "time": "…", "content_type": "text/plain", "value": {"text": "hello"}}]},
        {"status": 204, "outcome": "applied", "context": "…", "etag": "…", "sibling_count": 1, "dot": "…",
         "idempotency_key": "…"},
        {"status": 503, "outcome": "not_applied", "idempotency_key": "…", "problem": {"type": "…", "detail": "…", …}}
    ]}

`status` is the one that the single request would have had: of a get 200 (one sibling), 300 (several) or 404, of a put
or delete 204, or that of the problem. `problem` is there from 400 up, in the form of `problems`; its `field` says
"operations[7].key". A deleted key is 404 with a `context` and an `etag`. `tombstones` counts those that are hidden
beside a live value, if there are any. `dot` is missing in the answer to the retry of a write since overwritten. A value
is {"text": …} or {"base64": …} in JSON, as in a 300, and bytes in CBOR. A put or delete that failed has an `outcome`,
and the `idempotency_key` to repeat it under, be it given or made.

With `brief=true` the second of these is {"status": 204, "outcome": "applied"}: for who has no use for contexts and
dots, as an import, it costs less to make, to send and to read.

Each operation stands for itself: what is wrong with one, or becomes of one, is its own result. They run side by side,
also those of one key: the same as single requests sent at the same time, so two puts of one key without contexts become
siblings. Operations of one batch leave together: what goes to one node goes in few frames, and one sync covers many.

The whole is refused (4xx, 503, with `Dynkv-Outcome: not_applied`) only before anything is done: not JSON or CBOR, not
of this form, more than 1,000 operations, over 16 MiB, an unknown parameter, or too much work in progress here: of the
operations that a batch runs side by side three count as one request. Values of all gets of one batch have 16 MiB
together at most; a get beyond is a 413 of its own.
"""

from collections.abc import Callable

import cbor2
import msgspec

from dynkv.coordinator.results import Coordinator
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import Overloaded
from dynkv.core.levels import NAMES, resolve
from dynkv.http.accept import choose
from dynkv.http.batch_work import AT_ONCE, BatchWork, Told
from dynkv.http.bodies import form_of
from dynkv.http.operations import OperationReader, decode
from dynkv.http.paths import flag, parameters
from dynkv.http.reply import Reply
from dynkv.http.request import ACCEPT, CONTENT_TYPE, BodyBudget, Request
from dynkv.http.routes import no_route
from dynkv.http.session import refuse_session
from dynkv.http.stats import HttpStats
from dynkv.http.terms import WriteIds
from dynkv.http.values import CBOR, JSON
from dynkv.http.view import NodeView

BRIEF = "brief"
BODY_BYTES_MAX = 16 * 1024 * 1024
# An operation of a batch takes about a third of the work of a single request.
OPERATIONS_PER_REQUEST = 3
# For levels in the query, before a bucket is known: only what can be right for none is refused.
ANY_BUCKET = BucketSettings(255, 255, 255)


class BatchRoute:
    """The handler. `broken` is told of errors that nobody foresaw."""

    def __init__(
        self,
        view: NodeView,
        coordinator: Coordinator,
        stats: HttpStats,
        budget: BodyBudget,
        broken: Callable[[Exception], None],
    ) -> None:
        self._view = view
        self._coordinator = coordinator
        self._broken = broken
        self._write_ids = WriteIds(view.random)
        self._rows = {kind: stats.route("operation", kind.upper()) for kind in ("get", "put", "delete")}
        self._stats = stats
        self._budget = budget

    async def post(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != "/batch":
            return no_route(request.target)
        refuse_session(request)
        levels = parameters(query, (*NAMES, BRIEF))
        brief = flag(levels, BRIEF)
        timeout_s = resolve(ANY_BUCKET, levels).timeout_ms / 1000
        form = form_of(request.headers.get(CONTENT_TYPE))
        answered = choose(request.headers.get(ACCEPT, ""), (form, JSON if form == CBOR else CBOR))
        operations = decode(form, await request.body(BODY_BYTES_MAX, "batch", self._budget))
        view = self._view
        reader = OperationReader(
            form, levels, view.bucket_settings, view.tokens, self._write_ids, view.limits.value_bytes_max
        )
        width = min(len(operations), AT_ONCE, OPERATIONS_PER_REQUEST * view.limits.requests_max)
        more = self._admit(width)
        told = Told(view.tokens, answered, brief)
        work = BatchWork(self._coordinator, view.clock, reader, operations, told, self._rows, self._broken)
        try:
            results = await work.run(width, timeout_s)
        finally:
            self._stats.requests -= more
        said = {"results": results}
        body = cbor2.dumps(said) if answered == CBOR else msgspec.json.encode(said) + b"\n"
        return Reply(200, f"Content-Type: {answered}\r\nVary: Accept\r\nCache-Control: no-store\r\n", body)

    def _admit(self, width: int) -> int:
        """Count so many operations as the work that they are: requests beyond the one that the server has counted.
        Overloaded."""
        more, limit = max(0, -(-width // OPERATIONS_PER_REQUEST) - 1), self._view.limits.requests_max
        if self._stats.requests + more > limit:
            self._stats.overloaded += 1
            raise Overloaded(f"{self._stats.requests} of {limit} requests are in progress at this node")
        self._stats.requests += more
        return more
