"""On what terms a request for a key is run, by its query and header: levels, story, session, context, write id."""

import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import NamedTuple

from multidict import CIMultiDictProxy, istr

from dynkv.coordinator.results import Event, Trace
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter
from dynkv.core.levels import NAMES, Levels, defaults, resolve
from dynkv.core.record import Vector
from dynkv.core.session import Session
from dynkv.http.paths import flag, parameters
from dynkv.http.request import Request
from dynkv.http.session import WAIT, Sessions, wait_ms
from dynkv.http.view import NodeView
from dynkv.runtime import Random

CONTEXT = istr("Dynkv-Context")
IDEMPOTENCY_KEY = istr("Idempotency-Key")
IF_MATCH = istr("If-Match")
IF_NONE_MATCH = istr("If-None-Match")

PARAMETERS = (*NAMES, "explain", WAIT)
WRITE_ID = re.compile(r"[!-~]{1,64}\Z")


class Terms(NamedTuple):
    """`trace` if it is to be explained, `session` if it is in one. `flags`: which of the route's own are true."""

    levels: Levels
    trace: Trace | None
    session: Session | None
    wait_ms: int
    flags: frozenset[str] = frozenset()

    @property
    def events(self) -> Sequence[Event] | None:
        return None if self.trace is None else self.trace.events


class WriteIds:
    """Write ids for clients that bring none: a prefix drawn once per start, then a count."""

    def __init__(self, random: Random) -> None:
        self._prefix = b2a_base64(random.token(12), newline=False).decode("ascii")
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count:x}"


class TermsReader:
    """Reads the terms of requests. All methods: RequestError."""

    def __init__(self, view: NodeView, sessions: Sessions) -> None:
        self._clock = view.clock
        self._tokens = view.tokens
        self._sessions = sessions
        self._write_ids = WriteIds(view.random)
        self._defaults: dict[BucketSettings, Levels] = {}  # as few as there are different settings

    def terms(self, request: Request, settings: BucketSettings, query: str, flags: Sequence[str] = ()) -> Terms:
        """`flags`: parameters, true or false, that the route takes beside those of all."""
        if not query:
            levels = self._defaults.get(settings)
            if levels is None:
                levels = self._defaults[settings] = defaults(settings)
            return Terms(levels, None, self._sessions.of(request, None), 0)
        found = parameters(query, (*PARAMETERS, *flags))
        trace = Trace(self._clock.now()) if flag(found, "explain") else None
        said = frozenset(name for name in flags if flag(found, name))
        wait = found.pop(WAIT, None)
        levels = resolve(settings, found)
        return Terms(levels, trace, self._sessions.of(request, wait), wait_ms(wait, levels), said)

    def context(self, request: Request, bucket: str, key: bytes) -> Vector | None:
        """The vector of a write's context, None without one. Refuses the conditions that we would not keep."""
        headers = request.headers
        for name in (IF_MATCH, IF_NONE_MATCH):
            if name in headers:
                raise BadParameter(str(name), "does not apply to writes", "Dynkv-Context says what a write has seen")
        token = _one(headers, CONTEXT)
        return self._tokens.parse(bucket, key, token) if token else None

    def write_id(self, request: Request) -> str:
        """The client's, or one of ours."""
        given = _one(request.headers, IDEMPOTENCY_KEY)
        if given is None:
            return self._write_ids.next()
        if WRITE_ID.match(given) is None:
            raise BadParameter("Idempotency-Key", f"{given[:80]!r} is not one", "1..64 visible ASCII characters")
        return str(given)


def _one(headers: CIMultiDictProxy[str], name: istr) -> str | None:
    """The field's value, if there is one. BadParameter if there are two: which of them counts cannot be said."""
    value = headers.get(name)
    if value is not None and len(headers.getall(name)) > 1:
        raise BadParameter(str(name), "is there more than once", "at most once")
    return value
