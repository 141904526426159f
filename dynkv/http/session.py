"""`Dynkv-Session`: requests of one client that see what its earlier ones have seen, at whatever node.

    Dynkv-Session: new | token | token, token, ...        with GET, HEAD, PUT, DELETE of a key
    ?session_wait=MS                                      how long to wait for a replica that has what is missing

Every answer to such a request that read or wrote has a `Dynkv-Session`, to be sent with the next one in place of the
last; a request that failed leaves the session as it was. Requests sent side by side are given each a token of its own:
send them all, separated by commas or dots, with the next request (at most four; its answer holds all that any does).

A token says nothing that is secret, grants nothing, and is of no key in particular; it may be kept in a cookie or
handed to another process. What a session guarantees is told in `core.session`, what it costs in `coordinator.session`.

When a guarantee cannot be kept the answer is 503 `session-behind`, with the `guarantee` and what each member said, at
once or after `session_wait`. Nothing was read or written then. Repeat it later, or go on without the session.

deploy/sessions.md tells all this to those who use it.
"""

from multidict import istr

from dynkv.core.errors import BadParameter
from dynkv.core.levels import Levels
from dynkv.core.session import Session, SessionTokens
from dynkv.http.reply import Reply
from dynkv.http.request import Request

SESSION = istr("Dynkv-Session")
WAIT = "session_wait"


class Sessions:
    """Reads and writes the header field."""

    def __init__(self, tokens: SessionTokens) -> None:
        self._tokens = tokens

    def of(self, request: Request, wait: str | None) -> Session | None:
        """The session of a request, None without one. BadSession; BadParameter for a wait without a session."""
        fields = request.headers.getall(SESSION, None)
        if fields is None:
            if wait is not None:
                raise BadParameter(WAIT, "has no meaning without a session", "with a Dynkv-Session")
            return None
        return self._tokens.parse(", ".join(fields))

    def field(self, session: Session) -> str:
        """The header line that carries it."""
        return f"{SESSION}: {self._tokens.make(session)}\r\n"

    def told(self, reply: Reply, session: Session) -> Reply:
        """`reply` with the session in its header."""
        return Reply(reply.status, reply.head + self.field(session), reply.body, reply.close, reply.source)


def refuse_session(request: Request) -> None:
    """For routes that keep no session's promises: better said than not kept. BadParameter."""
    if SESSION in request.headers:
        raise BadParameter(str(SESSION), "does not apply to this route", "GET, HEAD, PUT and DELETE of one key")


def wait_ms(wait: str | None, levels: Levels) -> int:
    """The parameter as a number. BadParameter."""
    if wait is None:
        return 0
    limit = f"0..{levels.timeout_ms} ms, the timeout"
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 9):
        raise BadParameter(WAIT, f"{wait[:40]!r} is not a whole number of milliseconds", limit)
    if int(wait) > levels.timeout_ms:
        raise BadParameter(WAIT, f"is {wait} ms", limit)
    return int(wait)
