"""What became of one operation of a batch, as the answer says it. `batch` shows the form."""

from typing import Any

from dynkv.coordinator.results import ReadResult, WriteResult
from dynkv.core.context import Tokens
from dynkv.core.errors import DynkvError, RequestError
from dynkv.http.found import visible
from dynkv.http.operations import Operation
from dynkv.http.problems import Told, describe, told, unexpected
from dynkv.http.values import dot, entries

Result = dict[str, Any]

# How header fields that an error names are called in a batch.
_MEMBERS = {"Dynkv-Context": "context", "Idempotency-Key": "idempotency_key", "Content-Type": "content_type"}


def found(operation: Operation, read: ReadResult, tokens: Tokens, form: str) -> Result:
    """Of a get, as `found` (the module) has it of a single one."""
    record = read.record
    if record is None:
        detail = "no replica that answered holds this key"
        return {"status": 404, "problem": describe("not-found", 404, detail, {})}
    token = tokens.make(operation.bucket, operation.key, record.vector)
    result: Result = {"status": 404, "context": token, "etag": read.digest.hex()}
    siblings = visible(record, operation.settings.conflict)
    if not siblings:
        detail = "the latest that is known of this key is its deletion"
        result["problem"] = describe("deleted", 404, detail, {})
        return result
    result["status"] = 200 if len(siblings) == 1 else 300
    if tombstones := sum(1 for sibling in record.siblings if sibling.value is None):
        result["tombstones"] = tombstones
    result["siblings"] = entries(form, siblings)
    return result


def written(operation: Operation, write: WriteResult, tokens: Tokens) -> Result:
    """Of a put or delete."""
    result: Result = {
        "status": 204,
        "outcome": "applied",
        "context": tokens.make(operation.bucket, operation.key, write.context),
        "etag": write.digest.hex(),
        "sibling_count": write.siblings,
        "idempotency_key": _write_id(operation),
    }
    if write.counter:
        result["dot"] = dot(write.actor, write.counter)
    return result


def failed(number: int, operation: Operation | None, error: DynkvError | None, *, writes: bool) -> Result:
    """Of what `error` ended; None: something unforeseen. `operation`: None if it could not be read. `writes`: whether
    it is, or says that it is, a put or delete."""
    if error is None:
        one = unexpected(writes=writes)
    else:
        one = told(error, writes=writes, write_id="")
        if isinstance(error, RequestError):
            one = _named(one, number, error)
    kind, status, detail, _, more = one
    result: Result = {"status": status}
    if writes:
        result["outcome"] = more["outcome"]
        if operation is not None:
            result["idempotency_key"] = _write_id(operation)
    result["problem"] = describe(kind, status, detail, more)
    return result


def _named(one: Told, number: int, error: RequestError) -> Told:
    """The member of the batch at fault instead of a header field."""
    member = _MEMBERS.get(error.field, error.field)
    field = f"operations[{number}].{member}" if member else f"operations[{number}]"
    return one._replace(detail=f"{field}: {error.detail}", more={**one.more, "field": field})


def _write_id(operation: Operation) -> str:
    assert operation.write is not None
    return operation.write.write_id.decode("ascii")
