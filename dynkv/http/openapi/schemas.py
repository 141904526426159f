"""Forms that several routes share: values, siblings, names."""

from typing import Any, get_args

from dynkv.config import NODE_ID
from dynkv.core.bucket import BUCKET_NAME, KEY_BYTES_MAX, Conflict
from dynkv.http.openapi import levels, problems, structs
from dynkv.http.openapi.fields import DOT_FORM
from dynkv.http.openapi.parts import (
    COUNT,
    TEXT,
    TRUTH,
    Part,
    in_path,
    list_of,
    object_of,
    one_of,
    or_null,
    pattern,
    schema,
    told,
)

TIME: Part = {"type": "string", "format": "date-time"}
DIGEST: Part = {"type": "string", "pattern": "^[0-9a-f]+$"}
BASE64: Part = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
KEY: Part = {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX}
ESCAPED: Part = {"type": "string", "description": "Bytes, percent-encoded but for letters, digits and -._~"}
VECTOR: Part = list_of(
    {
        "type": "array",
        "prefixItems": [{"type": "string", "pattern": "^[0-9a-f]{16}$"}, {"type": "integer", "minimum": 1}],
        "minItems": 2,
        "maxItems": 2,
    }
)


def parameters() -> dict[str, Part]:
    """The parts of a path."""
    return {
        "bucket": in_path("bucket", schema("Bucket"), "The bucket. It exists by being named."),
        "key": in_path(
            "key",
            KEY,
            f"1..{KEY_BYTES_MAX} bytes, each `%XX` unescaped once and nothing normalised: everything up to the `?`, "
            "slashes included. `a/b` and `a%2Fb` are one key.",
        ),
    }


def schemas() -> dict[str, Part]:
    """By name."""
    entry = {"dot": DOT_FORM, "time": TIME, "content_type": TEXT}
    texts = object_of({"text": TEXT}, "A text.", closed=True)
    octets = object_of({"base64": BASE64}, "Bytes, as RFC 4648 section 4 has them, padded.", closed=True)
    in_cbor = told(TEXT, "A byte string.")
    return {
        "Problem": problems.form(),
        "Bucket": {"type": "string", "pattern": pattern(BUCKET_NAME)},
        "Node": {"type": "string", "pattern": f"^{NODE_ID}$"},
        "Conflict": conflict(),
        "Levels": levels.resolved(),
        "Value": {"anyOf": [texts, octets]},
        "Sibling": object_of({**entry, "value": schema("Value")}, "One of concurrent values."),
        "SiblingInCbor": object_of({**entry, "value": in_cbor}, "One of concurrent values."),
        "SiblingDescribed": object_of(
            {**entry, "deleted": TRUTH, "bytes": or_null(COUNT)}, "A value or deletion, without the value."
        ),
        **structs.schemas(),
    }


def conflict() -> Part:
    return one_of(get_args(Conflict))


def nodes() -> Part:
    return list_of(schema("Node"))


def siblings(form: str = "Sibling", **bounds: Any) -> Part:
    return list_of(schema(form), **bounds)
