"""Errors as `application/problem+json` (RFC 9457). The one place that maps them; nothing else builds an error's answer.

    type      "urn:dynkv:problem:<kind>", stable: what a program should look at
    title     what kind of problem, the same text for the same type
    status    as in the status line
    detail    what was wrong this time; names the field
    help      what to do about it
    field, limit                          for a request at fault: which part, and what would be accepted
    guarantee, replicas                   for a session that has seen more than any replica has: what would be broken
    outcome, needed, got, replicas        for a write or an unmet quorum: what became of it, and who said what
    idempotency_key                       to repeat a write under, if the outcome is open
    events                                the story, if `explain` was asked

A handler's own vocabulary (the errors in `dynkv.core.errors`) stays free of HTTP but for the status that a class of
errors has.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dynkv.core.errors import (
    DynkvError,
    QuorumUnmet,
    RequestError,
    ServiceError,
    SessionBehind,
    StoreBusy,
    StoreError,
    StoreReadOnly,
)
from dynkv.http.parsing import ClientError
from dynkv.http.reply import Reply, json_reply

PREFIX = "urn:dynkv:problem:"
OUTCOME = "Dynkv-Outcome"

_CONTENT = "Content-Type: application/problem+json\r\n"

# kind -> (title, help)
TEXTS: dict[str, tuple[str, str]] = {
    "bad-request": ("The request cannot be served as it is", "Correct the request; repeating it will not help."),
    "bad-parameter": (
        "A parameter or header field is not acceptable",
        "Correct the field; `limit` says what it takes.",
    ),
    "bad-key": (
        "The bucket or key is not acceptable",
        "Percent-encode every byte of the key that is not a letter, a digit or one of -._~/ and keep within the limit.",
    ),
    "bad-context": (
        "The context is not one of this key",
        "Read the key again and send the Dynkv-Context of that answer, unchanged.",
    ),
    "bad-session": (
        "The session is not one of this cluster",
        "Send the Dynkv-Session of an earlier answer, unchanged; `Dynkv-Session: new` begins another session.",
    ),
    "too-many-siblings": (
        "The key has too many concurrent values",
        "Read the key, merge its values into one, and write that with the Dynkv-Context of the read.",
    ),
    "wrong-type": (
        "The key, or the field, holds something else",
        "GET /kv/{bucket}/{key} shows what it holds; a PUT or DELETE with the Dynkv-Context of that answer settles it.",
    ),
    "write-id-reused": (
        "The Idempotency-Key belongs to another write",
        "The earlier write stands. Send this one with an Idempotency-Key of its own.",
    ),
    "too-large": ("Too large", "Store large values elsewhere, or in parts under keys of their own."),
    "unsupported-media-type": (
        "The body is of a kind that this route does not take",
        "Say what the body is in Content-Type; `limit` lists what is taken.",
    ),
    "unsupported-encoding": ("Encoded bodies are not taken", "Send the body as it is, without Content-Encoding."),
    "quorum-unmet": (
        "Too few replicas answered in time",
        "Repeat it; a write with the same Idempotency-Key. GET /nodes shows who is down; lower levels (r, w, sloppy) "
        "need fewer of them.",
    ),
    "session-behind": (
        "No replica has all that this session has seen",
        "Nothing is wrong with the data. Repeat it; `session_wait=MS` waits for it; a new session does not ask for it.",
    ),
    "overloaded": ("This node has as much work as it takes", "Wait for Retry-After, or ask another node."),
    "not-formed": ("This node does not know its cluster yet", "Wait for Retry-After, or ask another node."),
    "unavailable": ("The cluster could not do it now", "Wait for Retry-After, or ask another node."),
    "disk": ("This node's disk cannot do it", "Ask another node; see this node's log and GET /health/ready."),
    "not-found": ("No such key", "Nothing to do: the replicas that answered hold nothing under this key."),
    "deleted": (
        "The key was deleted",
        "To write it again, send the Dynkv-Context of this answer, so that the new value replaces the deletion.",
    ),
    "no-route": ("No such route", "GET / lists the routes."),
    "method-not-allowed": ("This route does not take that method", "See the Allow header field."),
    "unauthorized": ("A token is needed", "Send `Authorization: Bearer TOKEN`."),
    "forbidden": ("The token is not the one of this cluster", "Ask the operator for the client token."),
    "malformed": ("The request breaks the rules of HTTP", "The connection is closed; check the client or the proxy."),
    "timeout": ("The request did not come in time", "Send it faster, or in smaller parts, on a new connection."),
    "internal": ("The node failed to answer", "Repeat it, a write with the same Idempotency-Key; see the node's log."),
}


def problem(kind: str, status: int, detail: str, head: str = "", **more: Any) -> Reply:
    """An answer of this `kind`; `more` are members beside the standard ones, left out if None."""
    reply = json_reply(status, describe(kind, status, detail, more), head)
    reply.head = reply.head.replace("Content-Type: application/json\r\n", _CONTENT, 1)
    return reply


def describe(kind: str, status: int, detail: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a problem; of `more` those that are not None."""
    title, advice = TEXTS[kind]
    members: dict[str, Any] = {"type": PREFIX + kind, "title": title, "status": status, "detail": detail}
    members.update((name, value) for name, value in more.items() if value is not None)
    members["help"] = advice
    return members


class Told(NamedTuple):
    """What is told of an error. `head`: header lines. `more`: members beside the standard ones, None for those that do
    not apply."""

    kind: str
    status: int
    detail: str
    head: str
    more: dict[str, Any]


def of_error(
    error: DynkvError, *, writes: bool = False, write_id: str = "", events: Sequence[Any] | None = None
) -> Reply:
    """The answer to a request that failed with `error`. `writes`: it was a write, so it has an outcome."""
    kind, status, detail, head, more = told(error, writes=writes, write_id=write_id)
    return problem(kind, status, detail, head, **more, events=events)


def told(error: DynkvError, *, writes: bool, write_id: str) -> Told:
    """The same, not yet an answer."""
    more: dict[str, Any]
    if isinstance(error, RequestError):
        outcome = "not_applied" if writes else None
        more = {"field": error.field, "limit": error.limit or None, "outcome": outcome}
        return Told(error.kind, error.status, str(error), _outcome(outcome), more)
    if isinstance(error, ServiceError):
        outcome = (error.outcome or "not_applied") if writes else None
        head = f"Retry-After: {error.retry_after_s}\r\n{_outcome(outcome)}"
        unmet = error if isinstance(error, QuorumUnmet) else None
        behind = error if isinstance(error, SessionBehind) else None
        more = {
            "needed": unmet and unmet.needed,
            "got": unmet and unmet.got,
            "guarantee": behind and behind.guarantee,
            "replicas": (unmet and unmet.replicas) or (behind and behind.replicas),
            "outcome": outcome,
            "idempotency_key": write_id or None,
        }
        return Told(error.kind, error.status, error.detail, head, more)
    if isinstance(error, StoreError):
        # Refused before anything was written, or not known to be on disk.
        outcome = ("not_applied" if isinstance(error, StoreBusy | StoreReadOnly) else "ambiguous") if writes else None
        head = f"Retry-After: 1\r\n{_outcome(outcome)}"
        return Told("disk", 503, str(error), head, {"outcome": outcome, "idempotency_key": write_id or None})
    return unexpected(writes=writes)


def unexpected(*, writes: bool) -> Told:
    """Of what should not happen. Says nothing of the inside; the log does."""
    outcome = "ambiguous" if writes else None
    return Told("internal", 500, "an error that the node did not expect", _outcome(outcome), {"outcome": outcome})


def internal(*, writes: bool) -> Reply:
    """The answer to that."""
    kind, status, detail, head, more = unexpected(writes=writes)
    return problem(kind, status, detail, head, **more)


def of_client(error: ClientError) -> Reply:
    """For a client that broke the rules of HTTP; the connection ends with it."""
    kind = {408: "timeout", 413: "too-large", 414: "too-large", 431: "too-large"}.get(error.status, "malformed")
    reply = problem(kind, error.status, error.detail)
    reply.close = True
    return reply


def _outcome(outcome: str | None) -> str:
    return f"{OUTCOME}: {outcome}\r\n" if outcome else ""


# Frequent and always the same, so made once.
NOT_FOUND = problem("not-found", 404, "no replica that answered holds this key")
