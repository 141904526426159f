"""Everything that can go wrong, as one tree, split by whose fault it is.

    DynkvError
      RequestError        the request is at fault: nothing was done, repeating it as it is will not help   (4xx)
      ServiceError        the cluster could not do it now; `outcome` says what became of a write           (5xx)
      StoreError          this node's disk
      PeerError           what another node sent or did
      StartError          this node cannot start; each has an exit code of its own (dynkv/cli/exit_codes.py)

`dynkv/http/problems.py` is the one place that turns them into HTTP. A broken invariant is no member of this
tree: it asserts.
"""

from collections.abc import Mapping


class DynkvError(Exception):
    """Root of every error that dynkv raises on purpose. `str(error)` is one line, fit for a user."""


# --- the request is at fault ------------------------------------------------------------------------------------------


class RequestError(DynkvError):
    """The request cannot be served as it is. `field` names the part at fault, `limit` what would be accepted."""

    kind = "bad-request"
    status = 400

    def __init__(self, field: str, detail: str, limit: str = "") -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
        self.limit = limit


class BadParameter(RequestError):
    """A query parameter or header out of range, not a number, unknown, or impossible beside another."""

    kind = "bad-parameter"


class BadKey(RequestError):
    """The key or bucket name breaks its rules."""

    kind = "bad-key"


class BadContext(RequestError):
    """The context token is damaged, forged, or belongs to another key or cluster."""

    kind = "bad-context"

    def __init__(self, detail: str) -> None:
        super().__init__("Dynkv-Context", detail, "a token got with a read or write of this very key")


class BadSession(RequestError):
    """The session token is damaged, forged, or belongs to another cluster."""

    kind = "bad-session"

    def __init__(self, detail: str) -> None:
        super().__init__("Dynkv-Session", detail, "new, or the Dynkv-Session of earlier answers, unchanged")


class TooManySiblings(RequestError):
    """The key has reached the ceiling of siblings, or of bytes; a write with the context of a read is the way out."""

    kind = "too-many-siblings"
    status = 409


class WrongType(RequestError):
    """An operation on a typed value, and the key, or a field of a map, holds something else."""

    kind = "wrong-type"
    status = 409


class WriteIdReused(RequestError):
    """An Idempotency-Key that was used for another write of this key."""

    kind = "write-id-reused"
    status = 422


class TooLarge(RequestError):
    """Body, header or record over its limit."""

    kind = "too-large"
    status = 413


# --- the cluster could not do it --------------------------------------------------------------------------------------


class ServiceError(DynkvError):
    """The cluster could not do it now. `outcome` of a write: "not_applied" or "ambiguous"; None for a read."""

    kind = "unavailable"
    status = 503

    def __init__(self, detail: str, *, outcome: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.outcome = outcome
        self.retry_after_s = retry_after_s


class QuorumUnmet(ServiceError):
    """Too few replicas answered in time.

    `needed` and `got` count answers per quorum parameter (r, pr or w, pw); `replicas` maps each node that was
    asked to what came of it ("ok", "timed out", "unreachable", ...).
    """

    kind = "quorum-unmet"

    def __init__(
        self,
        detail: str,
        *,
        outcome: str | None,
        needed: Mapping[str, int],
        got: Mapping[str, int],
        replicas: Mapping[str, str],
    ) -> None:
        super().__init__(detail, outcome=outcome)
        self.needed = dict(needed)
        self.got = dict(got)
        self.replicas = dict(replicas)


class SessionBehind(ServiceError):
    """No replica that could be asked has all that the session has seen of the key; nothing was read or written.

    `guarantee`: the one that would be broken ("read-your-writes", "monotonic-reads", "monotonic-writes",
    "writes-follow-reads"). `replicas` maps each member to what it had to say.
    """

    kind = "session-behind"

    def __init__(self, guarantee: str, detail: str, *, outcome: str | None, replicas: Mapping[str, str]) -> None:
        super().__init__(detail, outcome=outcome)
        self.guarantee = guarantee
        self.replicas = dict(replicas)


class Overloaded(ServiceError):
    """Work in progress is at its bound: refused at once, nothing was done."""

    kind = "overloaded"


class NotFormed(ServiceError):
    """This node does not know the whole member map yet, so it cannot say who holds what."""

    kind = "not-formed"


# --- this node's disk -------------------------------------------------------------------------------------------------


class StoreError(DynkvError):
    """This node's disk failed; the answer of this replica fails with it."""


class StoreReadFailed(StoreError):
    """A read failed: the data is unknown, which is not the same as absent."""


class StoreWriteFailed(StoreError):
    """A write or its sync failed: it may or may not be on disk, and is acknowledged to nobody."""


class StoreReadOnly(StoreError):
    """Refused before anything was written: an earlier write or sync failed, or the store is closing."""


class StoreBusy(StoreError):
    """Refused before anything was written: the disk is behind with earlier writes. Waiting would hold every request."""


class Unconfirmed(StoreError):
    """Refused before anything was written: no other member has said yet that this directory is the newest there was of
    this node's. It may be an old copy, and what is written to it set aside."""


class DamagedRecord(StoreError):
    """Bytes that should be a record are not: a checksum, the form, or a rule of records does not hold."""


# --- another node -----------------------------------------------------------------------------------------------------


class PeerError(DynkvError):
    """Something a peer sent or did; it closes that connection and nothing else."""


class BadFrame(PeerError):
    """A frame that is too long, cut, or not of the declared shape."""


# --- this node cannot start -------------------------------------------------------------------------------------------


class StartError(DynkvError):
    """The node cannot start. The message says what to do."""


class BadConfig(StartError):
    """A setting is missing, out of range or contradicts another."""


class DirectoryInUse(StartError):
    """Another process holds the data directory."""


class DamagedDirectory(StartError):
    """The data directory cannot be used without losing acknowledged writes. `why`: what is wrong, less the advice."""

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class WrongDirectory(StartError):
    """The data directory belongs to another node, cluster or partition count."""


class AddressInUse(StartError):
    """An address to listen on is taken or not ours."""
