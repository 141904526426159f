"""/kv/{bucket}/{key}: a value, and what else can be asked of a key."""

from typing import get_args

from dynkv.core.levels import NAMES, TIMEOUT_MS_MAX
from dynkv.core.whereabouts import Role, State
from dynkv.http import receipts, session, where
from dynkv.http.openapi.fields import DOT_FORM
from dynkv.http.openapi.levels import LEVEL, named
from dynkv.http.openapi.parts import (
    ANYTHING,
    COUNT,
    TEXT,
    TRUTH,
    Part,
    answer,
    body,
    list_of,
    map_of,
    object_of,
    one_of,
    operation,
    or_null,
    parameter,
    query,
    schema,
    told,
)
from dynkv.http.openapi.schemas import DIGEST, ESCAPED, VECTOR, nodes, siblings
from dynkv.http.values import CBOR, JSON, MULTIPART

FOUND = ("ETag", "Last-Modified", "Dynkv-Context", "Dynkv-Context-Too-Large", "Dynkv-Siblings", "Dynkv-Tombstones")
_READ = (*FOUND, "Dynkv-Session", "Cache-Control")
_WRITTEN = ("Dynkv-Context", "Dynkv-Context-Too-Large", "ETag", "Dynkv-Siblings", "Dynkv-Outcome", "Dynkv-Dot")
_OF_WRITES = (*_WRITTEN, "Dynkv-Session")

EXPLAIN = query("explain", TRUTH, "Answer with the story instead: who was asked, who said what, and when.")
SESSION_WAIT = query(
    session.WAIT,
    {"type": "integer", "minimum": 0, "maximum": TIMEOUT_MS_MAX},
    "With a session: milliseconds to wait for a replica that has what the session has seen; at most `timeout`.",
)

_GET = f"""Three things can be asked of a key.

- Its value: the parameters {", ".join(NAMES)}, explain, {session.WAIT}. One value comes as itself, with the
  content type that it was written with; several come as 300, in the form that `Accept` names.
- `{where.PARAMETER}=true`: what each member holds of it; beside it only `timeout`. Looking heals nothing,
  and asks for no session.
- `{receipts.PARAMETER}=DOT`: which replicas have the write of that name; beside it
  {", ".join(receipts.PARAMETERS[1:])}.
"""

_PUT = """A write replaces what its `Dynkv-Context` covers; beside anything else it becomes a sibling, and none is lost.
Without a context it replaces nothing. `If-Match` and `If-None-Match` are refused: contexts are more exact.
"""

_DELETE = """Deletes what the `Dynkv-Context` covers; without one, what a read at the same levels sees. A value
written at the same time wins over the deletion.
"""


def paths() -> dict[str, Part]:
    return {
        "/kv/{bucket}/{key}": {
            "parameters": [parameter("bucket"), parameter("key")],
            "get": _get(),
            "put": _write("putKey", "Write a value", _PUT, body({"*/*": ANYTHING}, "The value: bytes of any type.")),
            "delete": _write("deleteKey", "Delete a key", _DELETE, None),
        }
    }


def _get() -> Part:
    in_json = {"anyOf": [schema("Siblings"), schema("ReadStory")]}
    several = {MULTIPART: ANYTHING, JSON: in_json, CBOR: schema("SiblingsInCbor")}
    looked = {"anyOf": [schema("ReadStory"), schema("Whereabouts"), schema("Receipt"), told(ANYTHING, "A value.")]}
    explained = {JSON: schema("ReadStory")}
    return operation(
        "getKey",
        "Read a value",
        {
            200: answer("The value, or the description that was asked for.", {"*/*": ANYTHING, JSON: looked}, _READ),
            300: answer("Several concurrent values; with `explain=true` the story.", several, (*_READ, "Vary")),
            304: answer("The client's copy (If-None-Match) is what would be sent.", None, _READ),
            404: answer(
                "No such key, or a deleted one: then there is a context. With `explain=true`: the story.",
                {"application/problem+json": schema("Problem"), **explained},
                _READ,
            ),
        },
        tag="keys",
        text=_GET,
        parameters=[
            *named(*NAMES),
            EXPLAIN,
            SESSION_WAIT,
            query(where.PARAMETER, TRUTH, "Look what each member holds."),
            query(receipts.PARAMETER, DOT_FORM, "Ask who has the write with this dot, the Dynkv-Dot of its answer."),
            query(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": TIMEOUT_MS_MAX},
                "Of a receipt: milliseconds to wait until `wait_for` replicas have it. Left out: not at all.",
            ),
            query("wait_for", LEVEL, "Of a receipt: how many. Left out: all."),
            parameter("IfNoneMatch"),
            parameter("Session"),
        ],
        problems=(),
    )


def _write(name: str, summary: str, text: str, takes: Part | None) -> Part:
    return operation(
        name,
        summary,
        {
            200: answer("As 204, with the story (`explain=true`).", {JSON: schema("WriteStory")}, _OF_WRITES),
            204: answer("Applied: w replicas have it durably.", None, _OF_WRITES),
        },
        tag="keys",
        text=text,
        parameters=[
            *named(*NAMES),
            EXPLAIN,
            SESSION_WAIT,
            parameter("Context"),
            parameter("Session"),
            parameter("IdempotencyKey"),
            *([parameter("ContentEncoding")] if takes else []),
        ],
        takes=takes,
        problems=(409, 422),
    )


def schemas() -> dict[str, Part]:
    story = {"bucket": schema("Bucket"), "key": ESCAPED, "status": COUNT, "levels": schema("Levels")}
    described = siblings("SiblingDescribed")
    return {
        "Siblings": object_of({"context": TEXT, "siblings": siblings(minItems=2)}, "Concurrent values of a key."),
        "SiblingsInCbor": object_of({"context": TEXT, "siblings": siblings("SiblingInCbor", minItems=2)}),
        "ReadStory": object_of(
            {
                **story,
                "answer": one_of(["not found", "deleted", "value", "siblings"]),
                "context": or_null(TEXT),
                "etag": or_null(DIGEST),
                "conflict": schema("Conflict"),
                "vector": VECTOR,
                "siblings": described,
                "not_shown": described,
                "events": list_of(schema("Event")),
            },
            "How a read came to its answer.",
        ),
        "WriteStory": object_of(
            {
                **story,
                "outcome": {"const": "applied"},
                "answer": one_of(["written", "deleted"]),
                "dot": or_null(DOT_FORM),
                "idempotency_key": TEXT,
                "context": TEXT,
                "etag": DIGEST,
                "siblings": COUNT,
                "replicas": map_of(TEXT),
                "events": list_of(schema("Event")),
            },
            "How a write came to be applied.",
        ),
        "Whereabouts": _whereabouts(),
        "Receipt": object_of(
            {
                "bucket": schema("Bucket"),
                "key": ESCAPED,
                "dot": DOT_FORM,
                "n": COUNT,
                "wait_for": COUNT,
                "replicated": TRUTH,
                "have": nodes(),
                "lack": nodes(),
                "unknown": map_of(TEXT),
            },
            "Which replicas have a write.",
        ),
    }


def _whereabouts() -> Part:
    holder = object_of(
        {
            "node": schema("Node"),
            "role": one_of(get_args(Role)),
            "state": one_of(get_args(State)),
            "digest": or_null(DIGEST),
            "vector": VECTOR,
            "siblings": siblings("SiblingDescribed"),
            "why": TEXT,
        }
    )
    return object_of(
        {
            "bucket": schema("Bucket"),
            "key": ESCAPED,
            "partition": COUNT,
            "primaries": nodes(),
            "digest": told(or_null(DIGEST), "Of all that is known; null if no copy was found."),
            "tombstone": told(or_null(TEXT), "Why the tombstone of a deleted key is still there."),
            "replicas": list_of(holder),
        },
        "What each member holds of a key.",
    )
