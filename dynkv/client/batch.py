"""Many keys in one request: `POST /batch`, up to 1,000 operations at a time, a result for each.

    Operations are taken as they come, in parts of up to OPERATIONS_MAX and BYTES_MAX.
    A part goes to any node; what the cluster could not do now of it goes to another, under the same write ids.
    What is refused for good, or still not done at the deadline, is that operation's error and no matter for the others.

Parts follow each other, so what is held is one part and the results.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import cbor2

from dynkv.client.answers import Values
from dynkv.client.caller import Ask
from dynkv.client.codecs import CBOR
from dynkv.client.core import Core
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import BatchError, ClientError, NotDynkv
from dynkv.client.keys import Key, key_of
from dynkv.client.problems import described, error_of, passes
from dynkv.client.requests import Follow, Levels
from dynkv.client.resolvers import Resolver, keep, resolve_entry
from dynkv.client.tries import Tries
from dynkv.core.portions import portions

OPERATIONS_MAX = 1000
# Half of what a node takes, and no reason for more: what one request holds, somebody has to hold.
BYTES_MAX = 8 * 1024 * 1024
# A thousand writes take longer than one.
PATIENCE = 2
_FIELDS = {"Content-Type": CBOR, "Accept": CBOR}
_EXPECTS = frozenset((200,))


class Put(NamedTuple):
    """A value to write, with what it replaces."""

    key: str | bytes
    value: Any
    context: str = ""
    content_type: str | None = None
    write_id: str | None = None


class Operation:
    """One operation of a part. `said`: as the node gets it. `error`: until it is done, why not."""

    __slots__ = ("error", "key", "result", "said", "size", "write_id")

    def __init__(self, key: Key, said: dict[str, Any], write_id: str = "", more: int = 0) -> None:
        """`more`: bytes that it has beside its key and what it always has."""
        self.key = key
        self.said = said
        self.write_id = write_id
        self.size = len(key.data) + more + 100
        self.result: Any = None
        self.error: ClientError | None = None


class Reads:
    """How what was found becomes entries."""

    def __init__(self, bucket: str, resolver: Resolver | None, default: Any, *, raw: bool) -> None:
        self.bucket = bucket
        self.raw = raw
        self._resolver = resolver
        self._default = default

    def entry(self, key: Key, result: Mapping[str, Any], values: Values) -> Entry:
        """ConflictError, CodecError; KeyError, TypeError or ValueError if it is no result."""
        siblings = values.described(result.get("siblings", ()))
        tombstones = int(result.get("tombstones", 0))
        context, etag = str(result.get("context") or ""), str(result.get("etag") or "")
        entry = Entry(self.bucket, key.text, siblings, context, etag, tombstones)
        if not entry.found:
            return entry.with_value(self._default, resolved=False)
        return entry if self._resolver is keep else resolve_entry(entry, self._resolver)


async def get_many(
    core: Core, reads: Reads, keys: Iterable[str | bytes], levels: Levels, deadline: float
) -> list[Entry | ClientError]:
    """An entry or an error for each key, in order."""
    values = Values(core.codecs, raw=reads.raw)
    operations = (_get(reads.bucket, key) for key in keys)
    return [
        _result(operation, lambda key, found: reads.entry(key, found, values))
        for part in _parts(operations)
        for operation in await _run(core, part, levels, deadline)
    ]


async def put_many(
    core: Core,
    bucket: str,
    items: Iterable[Put | tuple[Any, ...]],
    levels: Levels,
    deadline: float,
    *,
    receipts: bool = True,
) -> list[Receipt | ClientError | None]:
    """A receipt or an error for each item, in order. Without `receipts`: None for what was applied."""

    def told(operation: Operation) -> Any:
        if not receipts:
            return operation.error
        return _result(operation, lambda key, said: _receipt(bucket, key, said, operation.write_id, core.follow))

    operations = (_put(core, bucket, item if isinstance(item, Put) else Put(*item)) for item in items)
    query = levels if receipts else {**levels, "brief": "true"}
    return [told(operation) for part in _parts(operations) for operation in await _run(core, part, query, deadline)]


def checked(results: list[Any], *, return_errors: bool) -> list[Any]:
    """BatchError if one is an error, unless they are wanted."""
    if not return_errors and any(isinstance(result, ClientError) for result in results):
        raise BatchError(results)
    return results


# --- operations -------------------------------------------------------------------------------------------------------


def _get(bucket: str, key: str | bytes) -> Operation:
    try:
        name = key_of(bucket, key)
    except ClientError as error:
        return _failed(key, error)
    return Operation(name, {"op": "get", "bucket": bucket, "key": name.data})


def _put(core: Core, bucket: str, put: Put) -> Operation:
    try:
        data, content_type = core.codecs.encode(put.value, put.content_type)
        name = key_of(bucket, put.key)
    except ClientError as error:
        return _failed(put.key, error)
    write_id = put.write_id or core.new_write_id()
    said = {
        "op": "put",
        "bucket": bucket,
        "key": name.data,
        "value": data,
        "content_type": content_type,
        "idempotency_key": write_id,
    }
    if put.context:
        said["context"] = put.context
    return Operation(name, said, write_id, len(data) + len(put.context or ""))


def _failed(key: str | bytes, error: ClientError) -> Operation:
    """One that is wrong before anybody is asked."""
    operation = Operation(Key(str(key), b""), {})
    operation.error = error
    return operation


def _parts(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    return portions(operations, attrgetter("size"), OPERATIONS_MAX, BYTES_MAX)


# --- a part -----------------------------------------------------------------------------------------------------------


async def _run(core: Core, part: list[Operation], levels: Levels, deadline: float) -> list[Operation]:
    """Each with a result or an error."""
    left = [operation for operation in part if operation.error is None]
    tries = core.caller.tries(next((operation.write_id for operation in left), ""))
    in_doubt: set[int] = set()  # operations of which an attempt may have done its work
    while left:
        body = cbor2.dumps({"operations": [operation.said for operation in left]})
        ask = Ask("POST", "/batch", levels, _FIELDS, body, None, tries.write_id, _EXPECTS, PATIENCE)
        try:
            answer = await core.caller.call(ask, deadline, tries)
            results = _results(answer.body, len(left))
        except ClientError as error:
            for operation in left:
                _give_up(operation, error, ambiguous=error.outcome == "ambiguous" or id(operation) in in_doubt)
            break
        if tries.arrived:
            in_doubt.update(id(operation) for operation in left)
            tries.arrived = False
        left = _settle(left, results, tries, in_doubt)
    return part


def _results(body: bytes, count: int) -> list[dict[str, Any]]:
    try:
        results = cbor2.loads(body)["results"]
        if len(results) != count or not all(isinstance(result["status"], int) for result in results):
            raise TypeError(f"not {count} results")
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError) as error:
        raise NotDynkv(f"a batch was answered in a form that no node writes: {error!r}", outcome="ambiguous") from error
    return list(results)


def _settle(left: list[Operation], results: list[dict[str, Any]], tries: Tries, in_doubt: set[int]) -> list[Operation]:
    """Note what became of each; those that are worth another attempt."""
    again, done = [], 0
    crowded = []  # gets for whose values this answer had no room
    for operation, result in zip(left, results, strict=True):
        status = result["status"]
        if status < 400 or _is_missing(result):
            operation.result, operation.error = result, None
            done += 1
            continue
        problem = described(status, result.get("problem") or {}, {})
        outcome = result.get("outcome")
        if outcome == "ambiguous":
            in_doubt.add(id(operation))
        ambiguous = id(operation) in in_doubt
        operation.error = error_of(
            problem,
            outcome=_outcome(operation, ambiguous=ambiguous),
            write_id=operation.write_id,
            attempts=tries.told,
        )
        if passes(status):
            again.append(operation)
        elif status == 413 and not operation.write_id:
            crowded.append(operation)
    return again + crowded if done or not crowded else again


def _is_missing(result: Mapping[str, Any]) -> bool:
    kind = str((result.get("problem") or {}).get("type", ""))
    return result["status"] == 404 and kind.rpartition(":")[2] in ("not-found", "deleted")


def _give_up(operation: Operation, error: ClientError, *, ambiguous: bool) -> None:
    """What the node said of the operation itself tells more than that time ran out."""
    known = operation.error
    outcome = _outcome(operation, ambiguous=ambiguous)
    if known is None:
        operation.error = type(error)(
            error.detail, problem=error.problem, outcome=outcome, write_id=operation.write_id, attempts=error.attempts
        )
    else:
        known.outcome = outcome


def _outcome(operation: Operation, *, ambiguous: bool) -> str | None:
    if not operation.write_id:
        return None
    return "ambiguous" if ambiguous else "not_applied"


# --- results ----------------------------------------------------------------------------------------------------------


def _result(operation: Operation, make: Any) -> Any:
    if operation.error is not None:
        return operation.error
    try:
        return make(operation.key, operation.result)
    except ClientError as error:
        return error
    except (KeyError, TypeError, ValueError) as error:
        return NotDynkv(f"a result in a form that no node writes: {error!r}")


def _receipt(bucket: str, key: Key, told: Mapping[str, Any], write_id: str, follow: Follow) -> Receipt:
    return Receipt(
        bucket=bucket,
        key=key.text,
        dot=str(told.get("dot") or ""),
        context=str(told.get("context") or ""),
        etag=str(told.get("etag") or ""),
        siblings=int(told["sibling_count"]),
        write_id=write_id,
        follow=follow,
    )
