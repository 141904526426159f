"""What goes wrong, by status: which kinds of problem have it, from the errors themselves, and how they look."""

from collections.abc import Iterator

import dynkv.http.bodies  # noqa: F401 - defines a RequestError, and all of them are to be found below
from dynkv.core.errors import RequestError, ServiceError
from dynkv.http.openapi.parts import COUNT, TEXT, Part, answer, list_of, map_of, object_of, one_of, schema, told
from dynkv.http.problems import PREFIX, TEXTS

CONTENT_TYPE = "application/problem+json"

OUTCOMES = ("applied", "ambiguous", "not_applied")

# The kinds that are no class of errors.
_OTHERS = {
    "malformed": (400, 417, 505),
    "unauthorized": (401,),
    "forbidden": (403,),
    "not-found": (404,),
    "deleted": (404,),
    "no-route": (404,),
    "method-not-allowed": (405,),
    "timeout": (408,),
    "too-large": (413, 431),
    "internal": (500,),
    "disk": (503,),
}

# What any request may end with, whatever it is for; 401 and 403 where a client token is set.
ANY = (400, 408, 431, 500, 503, 505)
GUARDED = (401, 403)
WITH_A_BODY = (413, 415, 417)

_FIELDS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    503: ("Retry-After", "Dynkv-Outcome"),
}
_OUTCOME_TOO = (400, 409, 413, 415, 422, 500)

_WORDS = {
    400: "The request cannot be served as it is. Nothing was done.",
    401: "A token is needed.",
    403: "The token is not the one of this cluster.",
    404: "Nothing is there.",
    405: "The route does not take that method.",
    408: "The request did not come in time; the connection is closed.",
    409: "What the key holds does not allow it. Nothing was done.",
    413: "The request, or a part of it, is over its limit. Nothing was done.",
    415: "A body of a kind or coding that is not taken. Nothing was done.",
    417: "An expectation that cannot be met; the connection is closed.",
    422: "The write id belongs to another write, which stands.",
    431: "The request line or header is over its limit; the connection is closed.",
    500: "The node failed to answer. What became of a write is not known.",
    503: "The cluster, or this node, could not do it now. `outcome` says what became of a write.",
    505: "Another version of HTTP; the connection is closed.",
}


def kinds() -> dict[int, list[str]]:
    """By status, the kinds of problem that have it."""
    found: dict[int, set[str]] = {}
    for error in (*_all(RequestError), *_all(ServiceError)):
        found.setdefault(error.status, set()).add(error.kind)
    for kind, statuses in _OTHERS.items():
        for status in statuses:
            found.setdefault(status, set()).add(kind)
    return {status: sorted(found[status]) for status in sorted(found)}


def _all(error: type[RequestError] | type[ServiceError]) -> Iterator[type[RequestError] | type[ServiceError]]:
    yield error
    for narrower in error.__subclasses__():
        yield from _all(narrower)


def responses(guarded: bool) -> dict[str, Part]:
    """The shared answers, one for each status. `guarded`: a client token is set."""
    wanted = {status: names for status, names in kinds().items() if guarded or status not in GUARDED}
    return {f"Problem{status}": _response(status, names) for status, names in wanted.items()}


def _response(status: int, names: list[str]) -> Part:
    lines = "\n".join(f"- `{PREFIX}{name}`: {TEXTS[name][0]}. {TEXTS[name][1]}" for name in names)
    members = {"type": one_of([PREFIX + name for name in names]), "status": {"const": status}}
    form = {"allOf": [schema("Problem"), {"properties": members}]}
    fields = (*_FIELDS.get(status, ()), *(("Dynkv-Outcome",) if status in _OUTCOME_TOO else ()))
    return answer(f"{_WORDS[status]}\n\n{lines}", {CONTENT_TYPE: form}, fields)


def form() -> Part:
    """A problem, of whatever kind."""
    members = {
        "type": told(one_of([PREFIX + kind for kind in TEXTS]), "Stable: what a program should look at."),
        "title": told(TEXT, "The same text for the same type."),
        "status": told({"type": "integer", "minimum": 400, "maximum": 599}, "As in the status line."),
        "detail": told(TEXT, "What was wrong this time."),
        "help": told(TEXT, "What to do about it."),
        "field?": told(TEXT, "Which part of the request is at fault."),
        "limit?": told(TEXT, "What would be accepted there."),
        "outcome?": told(one_of(OUTCOMES[1:]), "What became of a write."),
        "idempotency_key?": told(TEXT, "What to repeat a write under."),
        "needed?": told(map_of(COUNT), "Answers needed, by quorum parameter."),
        "got?": told(map_of(COUNT), "Answers got, by quorum parameter."),
        "replicas?": told(map_of(TEXT), "What each replica that was asked said."),
        "guarantee?": told(TEXT, "Of a session: what would have been broken."),
        "context?": told(TEXT, "What the key has come to, to be sent with a write; of a typed value."),
        "events?": told(list_of(schema("Event")), "The story, if `explain` was asked."),
    }
    return object_of(members, "A problem (RFC 9457).")
