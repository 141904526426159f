"""/types/{type}/{bucket}/{key}: values that the store merges itself. A path for each type, as each has its own form."""

from dynkv.core.levels import NAMES
from dynkv.core.types.counter import INCREMENT_MAX
from dynkv.core.types.map import DEPTH_MAX, NAME_BYTES_MAX
from dynkv.core.types.operation import KINDS, example
from dynkv.core.types.set import AT_ONCE_MAX
from dynkv.core.types.values import ELEMENT_BYTES_MAX, INT_MAX, INT_MIN
from dynkv.http.openapi import problems
from dynkv.http.openapi.fields import DOT_FORM
from dynkv.http.openapi.keys import EXPLAIN, FOUND, SESSION_WAIT
from dynkv.http.openapi.levels import named
from dynkv.http.openapi.parts import (
    ANYTHING,
    COUNT,
    NUMBER,
    TEXT,
    TRUTH,
    Part,
    answer,
    body,
    list_of,
    map_of,
    object_of,
    operation,
    or_null,
    parameter,
    query,
    schema,
    told,
)
from dynkv.http.openapi.schemas import BASE64, DIGEST
from dynkv.http.types import RETURN
from dynkv.http.values import CBOR, JSON

_READ = (*FOUND, "Dynkv-Session", "Cache-Control")
_UPDATED = ("ETag", "Dynkv-Siblings", "Dynkv-Outcome", "Dynkv-Dot", "Dynkv-Session")
_RETURNED = (*_UPDATED, "Dynkv-Context", "Dynkv-Context-Too-Large", "Vary")

_POST = f"""What two nodes take in at the same time is never in conflict. What removes something (elements, fields, the
flag) needs the `Dynkv-Context` of an answer that showed it, and ends what that answer had seen. A repetition has the
`Idempotency-Key` of the first attempt and a `Dynkv-Attempt`. `{RETURN}=true` asks for the value after it.
"""


def paths() -> dict[str, Part]:
    return {f"/types/{kind}/{{bucket}}/{{key}}": _item(kind) for kind in KINDS}


def _item(kind: str) -> Part:
    return {"parameters": [parameter("bucket"), parameter("key")], "get": _get(kind), "post": _post(kind)}


def _both(form: str) -> dict[str, Part]:
    return {JSON: schema(form), CBOR: schema(form)}


def _get(kind: str) -> Part:
    told_so = {problems.CONTENT_TYPE: schema("Problem")}
    return operation(
        f"get{kind.title()}",
        f"Read a {kind}",
        {
            200: answer("The value.", _both(f"{kind.title()}Read"), (*_READ, "Vary")),
            304: answer("The client's copy (If-None-Match) is what would be sent.", None, _READ),
            404: answer("No such key, or a deleted one; with a context all the same.", told_so, _READ),
            409: answer("The key holds something else, which `field` and `limit` name.", told_so, _READ),
        },
        tag="types",
        parameters=[*named(*NAMES), EXPLAIN, SESSION_WAIT, parameter("IfNoneMatch"), parameter("Session")],
    )


def _post(kind: str) -> Part:
    returns = query(RETURN, TRUTH, "Answer with the value after it, as its coordinator sees it, and with a context.")
    return operation(
        f"update{kind.title()}",
        f"Update a {kind}",
        {
            200: answer("Applied, with what was asked for.", _both(f"{kind.title()}Updated"), _RETURNED),
            204: answer("Applied: w replicas have it durably.", None, _UPDATED),
        },
        tag="types",
        text=f"{_POST}\nSuch as `{example(KINDS[kind])}`.",
        parameters=[
            *named(*NAMES),
            EXPLAIN,
            SESSION_WAIT,
            returns,
            *map(parameter, ("Context", "Session", "IdempotencyKey", "Attempt", "ContentEncoding")),
        ],
        takes=body(_both(f"{kind.title()}Operation"), "What to do. Content-Type must be said."),
        problems=(409, 422),
    )


# --- forms ------------------------------------------------------------------------------------------------------------


def schemas() -> dict[str, Part]:
    made: dict[str, Part] = {
        "Element": _element(),
        "FieldValue": _field_value(),
        "FieldOperation": {"oneOf": [_operation(kind, of_field=True) for kind in KINDS]},
    }
    for kind in KINDS:
        made |= {
            f"{kind.title()}Operation": _operation(kind, of_field=False),
            f"{kind.title()}Read": _read(kind),
            f"{kind.title()}Updated": _updated(kind),
        }
    return made


def _element() -> Part:
    """A whole number out of range is a number too, as far as JSON Schema can tell."""
    octets = object_of({"base64": BASE64}, "Bytes. In CBOR they may also be a byte string.", closed=True)
    whole = {"type": "integer", "minimum": INT_MIN, "maximum": INT_MAX}
    return told(
        {"anyOf": [{"type": "string", "maxLength": ELEMENT_BYTES_MAX}, whole, NUMBER, TRUTH, octets]},
        f"At most {ELEMENT_BYTES_MAX} bytes. Equal ones are one: 1.0 is 1, and neither is true.",
    )


def _value(kind: str) -> Part:
    values: dict[str, Part] = {
        "counter": {"type": "integer"},
        "set": told(list_of(schema("Element")), "In order: false, true, numbers, text, bytes."),
        "flag": TRUTH,
        "register": told(ANYTHING, "The latest; null if there is none."),
        "map": map_of(schema("FieldValue")),
    }
    return values[kind]


def _field_value() -> Part:
    one = [object_of({"type": {"const": kind}, "value": _value(kind)}) for kind in KINDS]
    several = {"type": {"const": "several"}, "values": list_of(schema("FieldValue"), minItems=2)}
    return {"oneOf": [*one, object_of(several, "One name was given to fields of several types.")]}


def _operation(kind: str, *, of_field: bool) -> Part:
    field = {"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX}
    elements, fields = list_of(schema("Element"), maxItems=AT_ONCE_MAX), list_of(field, maxItems=AT_ONCE_MAX)
    updates = {**map_of(schema("FieldOperation")), "maxProperties": AT_ONCE_MAX, "propertyNames": field}
    members: dict[str, dict[str, Part]] = {
        "counter": {"increment": {"type": "integer", "minimum": -INCREMENT_MAX, "maximum": INCREMENT_MAX}},
        "set": {"add?": elements, "remove?": elements},
        "flag": {"enable": TRUTH},
        "register": {"set": told(ANYTHING, "Any value.")},
        "map": {"update?": told(updates, f"Maps in one another: at most {DEPTH_MAX}."), "remove?": fields},
    }
    made = object_of({**({"type": {"const": kind}} if of_field else {}), **members[kind]}, closed=True)
    if kind in ("set", "map"):  # one of the two, and something in it
        least = {"set": ("add", {"minItems": 1}), "map": ("update", {"minProperties": 1})}[kind]
        made["anyOf"] = [
            {"properties": {name: bound}, "required": [name]} for name, bound in (least, ("remove", {"minItems": 1}))
        ]
    return made


def _read(kind: str) -> Part:
    story = {"levels?": schema("Levels"), "states?": COUNT, "events?": list_of(schema("Event"))}
    return object_of({"type": {"const": kind}, "value": _value(kind), "context": TEXT, "etag": DIGEST, **story})


def _updated(kind: str) -> Part:
    value = told(or_null(_value(kind)), "Null in the answer to a retry, if the key was deleted since.")
    story = {"idempotency_key?": TEXT, "levels?": schema("Levels"), "replicas?": map_of(TEXT)}
    return object_of(
        {
            "type": {"const": kind},
            "outcome": {"const": "applied"},
            "dot": or_null(DOT_FORM),
            "etag": DIGEST,
            "value?": value,
            "context?": TEXT,
            **story,
            "events?": list_of(schema("Event")),
        }
    )
