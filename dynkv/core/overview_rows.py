"""What is shown of a cluster, row by row: the forms of `GET /antientropy`, of the page and of `dynkv antientropy`.

Sent as JSON as they stand, so the names here are the public ones. Times are wall milliseconds of the node that was
asked; None where something never happened or is not known. All are plain data: nothing here decides anything.
"""

from typing import Any, Literal

import msgspec

NodeState = Literal["up", "silent", "suspected", "down", "unheard"]
PairState = Literal["in_step", "apart", "unknown", "never"]
State = Literal["agree", "apart", "unknown", "down", "nothing"]


class KnownMember(msgspec.Struct, frozen=True, kw_only=True):
    """A configured member as the asked node knows it; `http` None if it was never heard of."""

    id: str
    http: str | None
    region: str = ""
    zone: str = ""
    host: str = ""


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of its cluster without asking anybody.

    `preference`: the preference list of every partition; empty while the cluster is not formed. `n`: the default.
    """

    node: str
    partitions: int
    n: int
    members: tuple[KnownMember, ...]
    preference: tuple[tuple[str, ...], ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How the cluster is, in words.

    `state`: "agree" only if everything was checked and is equal; "apart": differences are known; "unknown": something
    could not be checked; "down": a node is away or takes no requests; "nothing": there is one replica of each key.
    `also`: what else is to be said, the worst first. `as_of_ms`: of "agree", when the oldest comparison began.
    """

    state: State
    text: str
    also: tuple[str, ...] = ()
    as_of_ms: int | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until all replicas agree if nothing else happens: 0 if they do; None and `why` if it cannot be said."""

    seconds: float | None
    why: str = ""


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A member. `state`: "up" answered; "silent": its link is up and no survey came in time (`why`); else as its link.

    `latency_ms`, `last_heard_s`: of the asked node's link to it, None for itself. `unreached_by`: nodes that answered
    and cannot reach it. `replicas`: partitions of which it is a primary. `owed`: hints that others keep for it. From
    `complete` on it is what the node says of itself, None if it did not answer.
    """

    id: str
    http: str | None
    region: str
    zone: str
    host: str
    state: NodeState
    why: str
    latency_ms: float | None
    last_heard_s: float | None
    unreached_by: tuple[str, ...]
    replicas: int
    owed: int
    complete: bool | None = None
    not_ready: tuple[str, ...] = ()
    refill: dict[str, Any] | None = None
    trees: dict[str, Any] | None = None
    load: dict[str, Any] | None = None
    totals: dict[str, Any] | None = None
    scrub: dict[str, Any] | None = None
    tombstones: dict[str, Any] | None = None


class PairRow(msgspec.Struct, frozen=True, kw_only=True):
    """Two replicas of a partition, `a` < `b`, as the node `by` compared them last ("" if nobody told).

    `apart`: keys found to differ and not repaired yet. `compared_ms`: when the last comparison that told anything
    began.
    """

    partition: int
    n: int
    a: str
    b: str
    by: str
    state: PairState
    apart: int
    compared_ms: int | None
    why: str


class PairCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs there are, by state; `keys_apart`: at least so many different keys."""

    total: int
    in_step: int
    apart: int
    unknown: int
    never: int
    keys_apart: int
    oldest_ms: int | None  # of all last comparisons; None unless every pair has one


class PairSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs that two nodes share, counted."""

    a: str
    b: str
    counts: PairCounts


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What one node owes a target."""

    node: str
    count: int
    bytes: int
    paid_per_s: float


class HintRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that is owed to a target, by the nodes that answered."""

    target: str
    count: int
    bytes: int
    oldest_ms: int | None
    paid_per_s: float
    holders: tuple[Holder, ...]


class RunningRow(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange under way."""

    by: str
    peer: str
    partition: int
    n: int
    began_ms: int
    step: str
    done: int
    total: int


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the cluster's log; `id` names it for good. `pulled` and `pushed` are as `node` sees it."""

    id: str
    node: str
    ended_ms: int
    what: str
    partition: int | None
    peer: str | None
    pulled: int
    pushed: int
    bytes: int
    took_ms: int
    result: str


class LeavesRow(msgspec.Struct, frozen=True, kw_only=True):
    """Leaves of the hash tree that differed when the pair was last found apart: the first of `total`."""

    partition: int
    n: int
    a: str
    b: str
    found_ms: int
    total: int
    leaves: tuple[int, ...]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the judgement."""

    node: str
    at_ms: int
    partitions: int
    n: int
    cycle_s: float
    nodes: tuple[NodeRow, ...]
    counts: PairCounts
    pairs: tuple[PairRow, ...]
    hints: tuple[HintRow, ...]
    running: tuple[RunningRow, ...]
    log: tuple[LogRow, ...]  # newest first
    leaves: tuple[LeavesRow, ...]
    totals: dict[str, float]
    convergence: dict[str, Any]
    tombstones: dict[str, Any]


class Overview(Rows, frozen=True, kw_only=True):
    """The cluster as all of its nodes tell it together."""

    verdict: Verdict
    estimate: Estimate
