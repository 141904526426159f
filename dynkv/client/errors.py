"""What can go wrong for a client, as one tree below `dynkv.core.errors.DynkvError`.

    ClientError
      Refused             the request is at fault; nothing was done, and asking again will not help
        BadRequest          a parameter, a key, a form
        BadContext          a context of another key or cluster, or a damaged one
        BadSession          a session token of another cluster, or a damaged one
        TooManySiblings     the key is full of concurrent values: read it, resolve, write with the read's context
        WrongType           an operation on a typed value, and the key holds something else
        WriteIdReused       the write id belongs to another write
        TooLarge            value, context or record
        Unauthorized        no client token, or a wrong one
      Unavailable         the cluster could not do it in time; asking again later helps
        QuorumUnmet         too few replicas answered: `needed`, `got`, `replicas`
        Overloaded          the nodes have as much work as they take
        Unreachable         no node answered at all
      ConflictError       the key has several values and nobody said how to make one of them
      Contended           others wrote a key too often while it was being updated
      SessionError        no replica that could be asked has all that the session has seen: `guarantee`, `replicas`
      NotReplicated       not as many replicas have a write as were waited for: `have`, `lack`, `unknown`
      IncompleteListing   a listing cannot tell of some partitions now
      BatchError          some operations of a batch failed; each one's result is in it
      CodecError          a value cannot be made bytes, or bytes no value
      NotDynkv            whatever answered is no dynkv
      ClientClosed        the client is closed, or used where it cannot be

`outcome` of a failed write is "not_applied" (no replica has it, safe to forget) or "ambiguous" (some replica may have
it and will spread it; repeat it with the same `write_id` and it is still one write). It sums up all attempts of a call:
one of them that may have arrived makes the whole ambiguous. None: it was no write.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from dynkv.core.errors import DynkvError

if TYPE_CHECKING:
    from dynkv.client.entry import Sibling


class Attempt(NamedTuple):
    """One attempt of a call: which node, what came of it, how many milliseconds it took."""

    node: str
    said: str
    took_ms: int


class Problem(NamedTuple):
    """What a node's `application/problem+json` says; an empty one where no node said anything."""

    status: int = 0
    kind: str = ""
    title: str = ""
    detail: str = ""
    help: str = ""
    field: str = ""
    limit: str = ""
    outcome: str | None = None
    needed: Mapping[str, int] = {}
    got: Mapping[str, int] = {}
    replicas: Mapping[str, str] = {}
    guarantee: str = ""
    retry_after_s: float = 0.0


NO_PROBLEM = Problem()


class ClientError(DynkvError):
    """Root of what a client raises. `str(error)` is one line; `help` says what to do.

    problem: what the node said, in full. write_id: to repeat a write under. attempts: the last ones of the call.
    """

    retry_helps: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        problem: Problem = NO_PROBLEM,
        outcome: str | None = None,
        write_id: str = "",
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem = problem
        self.outcome = outcome
        self.write_id = write_id
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        told = [self.detail]
        if self.outcome is not None:
            told.append(f"outcome: {self.outcome}")
        if len(self.attempts) > 1:
            told.append(f"{len(self.attempts)} attempts, at last {self.attempts[-1].node}: {self.attempts[-1].said}")
        return "; ".join(told)

    @property
    def kind(self) -> str:
        """The problem's stable name, such as "quorum-unmet"; empty if no node said anything."""
        return self.problem.kind

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def help(self) -> str:
        return self.problem.help

    @property
    def needed(self) -> Mapping[str, int]:
        """How many answers each quorum parameter needed."""
        return self.problem.needed

    @property
    def got(self) -> Mapping[str, int]:
        """How many came."""
        return self.problem.got

    @property
    def replicas(self) -> Mapping[str, str]:
        """What each node that was asked said: "ok", "timed out", "unreachable", ..."""
        return self.problem.replicas


# --- the request is at fault ------------------------------------------------------------------------------------------


class Refused(ClientError):
    """The request cannot be served as it is. `problem.field` names the part, `problem.limit` what would be accepted."""


class BadRequest(Refused):
    """A parameter, a key or a form that is not acceptable."""


class BadContext(Refused):
    """The context is damaged, or of another key or cluster."""


class BadSession(Refused):
    """The session token is damaged, or of another cluster."""


class TooManySiblings(Refused):
    """The key is full of concurrent values; a write with the context of a read is the way out."""


class WrongType(Refused):
    """The key, or a field of a map, holds something else than what the operation is for."""


class WriteIdReused(Refused):
    """The write id was used for another write of this key."""


class TooLarge(Refused):
    """Something is over its limit."""


class Unauthorized(Refused):
    """The nodes want a client token, or another one."""


# --- the cluster could not do it --------------------------------------------------------------------------------------


class Unavailable(ClientError):
    """Not done in time. A write is repeated with the same `write_id`."""

    retry_helps = True


class QuorumUnmet(Unavailable):
    """Too few replicas answered in time."""


class Overloaded(Unavailable):
    """Refused at once, because there is as much work in progress as is taken."""


class Unreachable(Unavailable):
    """No node answered: connections refused or broken, or nothing came in time."""


# --- what was found ---------------------------------------------------------------------------------------------------


class ConflictError(ClientError):
    """A key has several values, and no resolver made one of them; `why` says which and why not.

    siblings: all of them. context: a write with it replaces exactly these. outcome: "applied" if it was met after a
    write of this call, which is one of the siblings.
    """

    def __init__(
        self,
        bucket: str,
        key: str,
        siblings: "Sequence[Sibling]",
        context: str,
        etag: str = "",
        why: str = "no resolver was given",
        outcome: str | None = None,
    ) -> None:
        super().__init__(f"{bucket}/{key} has {len(siblings)} concurrent values: {why}", outcome=outcome)
        self.bucket = bucket
        self.key = key
        self.siblings = tuple(siblings)
        self.context = context
        self.etag = etag
        self.why = why

    @property
    def help(self) -> str:
        return "Give a resolver (resolve=...), or write what they should become with context=error.context."

    @property
    def values(self) -> list[Any]:
        return [sibling.value for sibling in self.siblings]


class Contended(ClientError):
    """An update met other writers again and again until its time was up.

    outcome: "applied" if its last write stands as one of several siblings, for the next reader to resolve; None if it
    has written nothing.
    """

    retry_helps = True


class SessionError(ClientError):
    """The session has seen more of this key than any replica that could be asked has. Nothing was read or written;
    waiting may help."""

    retry_helps = True

    @property
    def guarantee(self) -> str:
        """Which one would be broken: "read-your-writes", "monotonic-reads", ..."""
        return self.problem.guarantee


class NotReplicated(ClientError):
    """Fewer replicas have the write than were waited for; the store goes on spreading it.

    have, lack: primaries that know the write, and that do not. unknown: of whom it is not known, and why.
    """

    retry_helps = True

    def __init__(
        self, detail: str, have: Sequence[str] = (), lack: Sequence[str] = (), unknown: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.have = list(have)
        self.lack = list(lack)
        self.unknown = dict(unknown or {})


class IncompleteListing(ClientError):
    """Some partitions could not be listed in time. `missing` says which and why; `cursor` goes on with just them."""

    retry_helps = True

    def __init__(self, missing: Mapping[int, str], cursor: str, attempts: Sequence[Attempt] = ()) -> None:
        some = ", ".join(f"{partition}: {why}" for partition, why in list(missing.items())[:3])
        super().__init__(f"{len(missing)} partitions cannot be listed now ({some})", attempts=attempts)
        self.missing = dict(missing)
        self.cursor = cursor


class BatchError(ClientError):
    """Some operations failed. `results`: of all, in order, what they returned or the error."""

    def __init__(self, results: Sequence[Any]) -> None:
        failed = [(place, result) for place, result in enumerate(results) if isinstance(result, ClientError)]
        place, first = failed[0]
        super().__init__(f"{len(failed)} of {len(results)} operations failed; operation {place}: {first}")
        self.results = list(results)
        self.failed = dict(failed)


# --- this side --------------------------------------------------------------------------------------------------------


class CodecError(ClientError):
    """A value cannot be made bytes of its content type, or the bytes are not of it. `data`: the bytes, if any."""

    def __init__(self, detail: str, data: bytes | None = None) -> None:
        super().__init__(detail)
        self.data = data


class NotDynkv(ClientError):
    """Something answered that does not speak as a dynkv node does."""


class ClientClosed(ClientError):
    """The client is closed, or used where it cannot be: in another process, or from its own thread."""
