"""A node's refusal as an error: the one place that knows which `type` is which class.

A proxy may answer in a node's place and knows nothing of problems, so the status alone has to do, too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dynkv.client.errors import (
    Attempt,
    BadContext,
    BadRequest,
    BadSession,
    ClientError,
    NotDynkv,
    Overloaded,
    Problem,
    QuorumUnmet,
    Refused,
    SessionError,
    TooLarge,
    TooManySiblings,
    Unauthorized,
    Unavailable,
    WriteIdReused,
    WrongType,
)

PREFIX = "urn:dynkv:problem:"
SESSION_BEHIND = "session-behind"

_CLASSES: dict[str, type[ClientError]] = {
    "bad-request": BadRequest,
    "bad-parameter": BadRequest,
    "bad-key": BadRequest,
    "bad-context": BadContext,
    "bad-session": BadSession,
    "too-many-siblings": TooManySiblings,
    "wrong-type": WrongType,
    "write-id-reused": WriteIdReused,
    "too-large": TooLarge,
    "unauthorized": Unauthorized,
    "forbidden": Unauthorized,
    "quorum-unmet": QuorumUnmet,
    "overloaded": Overloaded,
    SESSION_BEHIND: SessionError,
}
_STATUSES: dict[int, type[ClientError]] = {
    401: Unauthorized,
    403: Unauthorized,
    408: Unavailable,
    413: TooLarge,
    429: Overloaded,
}
# Said of the moment and not of the request, although the status is a 4xx.
_PASSING = frozenset((408, 429))


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    """What an answer that is no success says, however little."""
    members: Any = None
    if "problem+json" in headers.get("Content-Type", ""):
        try:
            members = json.loads(body) if body else None  # HEAD has none
        except ValueError:
            members = None  # cut by a proxy; the status is still true
    return described(status, members if isinstance(members, dict) else {}, headers)


def described(status: int, members: Mapping[str, Any], headers: Mapping[str, str]) -> Problem:
    """A problem of its members as they were decoded; what is not of its type is left out."""
    outcome = members.get("outcome") or headers.get("Dynkv-Outcome")
    return Problem(
        status=status,
        kind=_text(members, "type").removeprefix(PREFIX),
        title=_text(members, "title"),
        detail=_text(members, "detail"),
        help=_text(members, "help"),
        field=_text(members, "field"),
        limit=_text(members, "limit"),
        outcome=outcome if outcome in ("not_applied", "ambiguous") else None,
        needed=_map(members, "needed", int),
        got=_map(members, "got", int),
        replicas=_map(members, "replicas", str),
        guarantee=_text(members, "guarantee"),
        retry_after_s=_seconds(headers.get("Retry-After", "")),
    )


def passes(status: int) -> bool:
    """Whether asking again may help: a server's error, or one of the moment."""
    return status >= 500 or status in _PASSING


def error_of(
    problem: Problem, *, outcome: str | None = None, write_id: str = "", attempts: Sequence[Attempt] = ()
) -> ClientError:
    """The error for what a node said. `outcome`: of the whole call."""
    kind = _CLASSES.get(problem.kind) or _STATUSES.get(problem.status)
    if kind is None:
        if problem.status >= 500:
            kind = Unavailable
        else:
            kind = Refused if problem.status >= 400 else NotDynkv
    detail = problem.detail or problem.title or f"a node answered with status {problem.status}"
    return kind(detail, problem=problem, outcome=outcome, write_id=write_id, attempts=attempts)


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _map(members: Mapping[str, Any], name: str, kind: type) -> dict[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in value.items() if isinstance(item, kind)}


def _seconds(text: str) -> float:
    """Of Retry-After; a date, which nodes do not send, counts as nothing said."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0.0
