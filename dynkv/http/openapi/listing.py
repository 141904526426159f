"""/kv/{bucket}: the keys of a bucket."""

from dynkv.core.bucket import KEY_BYTES_MAX
from dynkv.http import listing
from dynkv.http.key_forms import CBOR_SEQ, JSON, NDJSON
from dynkv.http.openapi.levels import named
from dynkv.http.openapi.parts import (
    ANYTHING,
    COUNT,
    TEXT,
    TRUTH,
    Part,
    answer,
    list_of,
    object_of,
    operation,
    or_null,
    parameter,
    query,
    schema,
    told,
)
from dynkv.http.openapi.schemas import ESCAPED

_TEXT = """Streamed, each key once, in an order that is always the same but not alphabetical. By `Accept` one document,
a JSON line for each key and one at the end, or a CBOR sequence of byte strings with a map at the end. An answer that
ends without `count`, `complete`, `missing` and `cursor` was cut off.
"""


def paths() -> dict[str, Part]:
    prefix = {"type": "string", "maxLength": KEY_BYTES_MAX}
    limit = {"type": "integer", "minimum": 1, "maximum": listing.LIMIT_MAX}
    cursor = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
    forms = {
        JSON: schema("Listing"),
        NDJSON: told(ANYTHING, 'A line `{"key": …}` for each key, then one like ListingEnd.'),
        CBOR_SEQ: ANYTHING,
    }
    get = operation(
        "listKeys",
        "List keys",
        {200: answer("The keys.", forms, ("Vary", "Cache-Control"))},
        tag="keys",
        text=_TEXT,
        parameters=[
            query("prefix", prefix, "Only keys that begin with these bytes, percent-encoded as in a path."),
            query("limit", limit, "No more keys than this. Left out: all there are."),
            query("cursor", cursor, "Goes on where the answer that gave it ended, at any node, at any time."),
            *named("r", "timeout"),
        ],
    )
    return {"/kv/{bucket}": {"parameters": [parameter("bucket")], "get": get}}


def schemas() -> dict[str, Part]:
    end = {
        "count": COUNT,
        "complete": told(TRUTH, "Whether nothing is missing among what this answer went over."),
        "missing": list_of(object_of({"partition": COUNT, "why": TEXT})),
        "cursor": told(
            or_null(TEXT), "Null if all is told; else it goes on behind `limit`, and does what was missing."
        ),
    }
    return {
        "Listing": object_of({"bucket": schema("Bucket"), "keys": list_of(ESCAPED), **end}, "Keys of a bucket."),
        "ListingEnd": object_of(end, "What the end of a listing says."),
    }
