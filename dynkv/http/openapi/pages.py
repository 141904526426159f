"""/, /page, /events and /openapi.json: for people, for their browsers, and for who writes clients."""

from dynkv.http.assets import TYPES, packaged
from dynkv.http.openapi.parts import (
    ANYTHING,
    TEXT,
    Part,
    answer,
    in_path,
    json_answer,
    one_of,
    operation,
    parameter,
    told,
)

_EVENTS = """Server-sent events. `overview`: all that GET /antientropy says, first and whenever changes would not do.
`change`: what has changed since the event before, about once a second. `beat`: nothing has. It never ends by itself.
"""


def paths() -> dict[str, Part]:
    stored = ("ETag", "Cache-Control")
    page = operation(
        "getPage",
        "The status page",
        {200: answer("How the cluster is, for people.", {"text/html; charset=utf-8": ANYTHING}, ("Cache-Control",))},
        tag="for people",
    )
    file = operation(
        "getPageFile",
        "A file of the status page",
        {
            200: answer("The file.", dict.fromkeys(TYPES.values(), ANYTHING), stored),
            304: answer("The client's copy is the same.", None, stored),
        },
        tag="for people",
        parameters=[parameter("IfNoneMatch")],
    )
    name = in_path("name", one_of(sorted(packaged())), "The file's name.")
    events = operation(
        "getEvents",
        "How the cluster is, as events",
        {200: answer("A stream.", {"text/event-stream; charset=utf-8": told(ANYTHING, _EVENTS)}, ("Cache-Control",))},
        tag="for people",
        text=_EVENTS,
    )
    described = operation(
        "getDescription",
        "This description",
        {
            200: json_answer("OpenAPI 3.1.", {"type": "object", "properties": {"openapi": TEXT}}, stored),
            304: answer("The client's copy is the same.", None, stored),
        },
        tag="for people",
        parameters=[parameter("IfNoneMatch")],
    )
    return {
        "/": {"get": page},
        "/page/{name}": {"parameters": [name], "get": file},
        "/events": {"get": events},
        "/openapi.json": {"get": described},
    }
