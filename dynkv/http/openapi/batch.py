"""POST /batch: many operations in one request."""

from dynkv.core.levels import NAMES
from dynkv.http import batch, operations
from dynkv.http.openapi import levels
from dynkv.http.openapi.fields import CONTENT_TYPE_FORM, CONTEXT, DOT_FORM, WRITE_ID_FORM
from dynkv.http.openapi.parts import (
    COUNT,
    TEXT,
    TRUTH,
    Part,
    answer,
    body,
    list_of,
    object_of,
    one_of,
    operation,
    parameter,
    query,
    schema,
    told,
)
from dynkv.http.openapi.problems import OUTCOMES
from dynkv.http.openapi.schemas import DIGEST, KEY, siblings
from dynkv.http.values import CBOR, JSON

_TEXT = f"""Up to {operations.OPERATIONS_MAX:,} gets, puts and deletes, in at most {batch.BODY_BYTES_MAX:,} bytes, and a
result each, in the same order. They run side by side. The answer is 200 as soon as the batch could be read, whatever
became of its operations: one that breaks the form described here is a result with the status 400, and no other suffers.
`timeout` is the deadline of the whole; the other parameters hold for operations that do not say their own.
"""
_BRIEF = "Whether a put or delete that was applied is told by its status and outcome alone. Left out: false."


def paths() -> dict[str, Part]:
    takes = body({JSON: schema("Batch"), CBOR: schema("BatchInCbor")}, "The operations. Content-Type must be said.")
    answers = {200: answer("A result each.", {JSON: schema("Results"), CBOR: schema("ResultsInCbor")}, _ANSWERED)}
    post = operation(
        "postBatch",
        "Many operations at once",
        answers,
        tag="keys",
        text=_TEXT,
        parameters=[*levels.named(*NAMES), query(batch.BRIEF, TRUTH, _BRIEF), parameter("ContentEncoding")],
        takes=takes,
    )
    return {"/batch": {"post": post}}


_ANSWERED = ("Vary", "Cache-Control")


def schemas() -> dict[str, Part]:
    in_cbor = told(TEXT, "A byte string, or a text that stands for its UTF-8.")
    return {
        "Batch": _batch("Operation"),
        "BatchInCbor": _batch("OperationInCbor"),
        "Operation": _operation(told(KEY, "Percent-encoded as in a path."), schema("Value")),
        "OperationInCbor": _operation({**in_cbor, "minLength": 1}, in_cbor),
        "Results": object_of({"results": list_of(schema("Result"))}),
        "ResultsInCbor": object_of({"results": list_of(schema("ResultInCbor"))}),
        "Result": _result("Sibling"),
        "ResultInCbor": _result("SiblingInCbor"),
    }


def _batch(form: str) -> Part:
    members = {"operations": list_of(schema(form), maxItems=operations.OPERATIONS_MAX)}
    return object_of(members, "Operations of a batch.", closed=True)


def _operation(key: Part, value: Part) -> Part:
    of_all = {"bucket": schema("Bucket"), "key": key, **levels.members()}
    of_writes = {
        "context?": told(
            CONTEXT, "What the author has seen of the key. Left out: nothing, and of a delete what it reads."
        ),
        "idempotency_key?": told(WRITE_ID_FORM, "The write's id. Left out: one is made, and told."),
    }
    of_puts = {"value": value, "content_type?": told(CONTENT_TYPE_FORM, "As the header field Content-Type.")}
    members: dict[str, dict[str, Part]] = {"get": {}, "put": of_writes | of_puts, "delete": of_writes}
    return {
        "oneOf": [
            object_of({"op": {"const": kind}, **of_all, **members[kind]}, closed=True) for kind in operations.MEMBERS
        ]
    }


def _result(form: str) -> Part:
    return object_of(
        {
            "status": told({"type": "integer", "minimum": 200, "maximum": 599}, "As of the single request."),
            "context?": TEXT,
            "etag?": DIGEST,
            "siblings?": siblings(form, minItems=1),
            "tombstones?": told(COUNT, "Deletions that are hidden beside the siblings."),
            "outcome?": one_of(OUTCOMES),
            "sibling_count?": COUNT,
            "dot?": told(DOT_FORM, "Missing in the answer to the retry of a write since overwritten."),
            "idempotency_key?": TEXT,
            "problem?": schema("Problem"),
        },
        "What became of one operation.",
    )
