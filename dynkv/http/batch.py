"""POST /batch: up to 1,000 gets, puts and deletes in one request, and a result each, in the same order.

    POST /batch?r=&pr=&w=&pw=&sloppy=&timeout=      all optional: the levels of operations that do not say their own
    Content-Type: application/json | application/cbor       must be said; no other is taken
    Accept: application/json | application/cbor             of the answer; else it is of the request's form

    {"operations": [
        {"op": "get",    "bucket": "b", "key": "k"},
        {"op": "put",    "bucket": "b", "key": "caf%C3%A9", "value": {"text": "hello"}},
        {"op": "delete", "bucket": "b", "key": "k2", "context": "…", "r": 1}
    ]}

    member            of              is                                                          left out
    op                all             "get", "put", "delete"                                      400
    bucket            all             as in a path                                                400
    key               all             JSON: text, percent-encoded as in a path                    400
                                      CBOR: bytes, or text that stands for its UTF-8
    value             put             JSON: {"text": "…"} or {"base64": "…"}                      400
                                      CBOR: bytes, or text that stands for its UTF-8
    content_type      put             as the header field Content-Type                            text/plain; charset=utf-8
                                                                          of text, else application/octet-stream
    context           put, delete     the token that a result or a Dynkv-Context gave             nothing was seen (*)
    idempotency_key   put, delete     as the header field, 1..64 visible ASCII characters         one is made
    r, pr, w, pw      all             1..n, "one", "quorum", "all"                                the query's, the bucket's
    sloppy            all             true, false                                                 the query's, true
    timeout           all             ms; never beyond the deadline of the whole                  the query's

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
"operations[7].key". A deleted key is 404 with a `context` and an `etag`. `tombstones` is there if some are hidden beside
a live value. `dot` is missing in the answer to the retry of a write since overwritten. A value is {"text": …} or
{"base64": …} in JSON, as in a 300, and bytes in CBOR. A put or delete that failed has an `outcome`, and the
`idempotency_key` to repeat it under, be it given or made.

Each operation stands for itself: what is wrong with one, or becomes of one, is its own result. They run side by side,
also those of one key: the same as single requests sent at the same time, so two puts of one key without contexts become
siblings. Operations of one batch leave together: what goes to one node goes in few frames, and one sync covers many.

The whole is refused (4xx, 503, with `Dynkv-Outcome: not_applied`) only before anything is done: not JSON or CBOR, not
of this form, more than 1,000 operations, over 16 MiB, an unknown parameter, or too much work in progress here. A batch
counts as so many requests as it runs side by side. Values of all gets of one batch have 16 MiB together at most; a get
beyond is a 413 of its own.
"""
