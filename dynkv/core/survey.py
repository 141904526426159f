"""What one node says of itself when somebody looks at the cluster: a survey.

A survey is made by its node alone, from what it has seen itself; `dynkv.core.overview` puts those of all nodes
together. It says nothing that was not looked at: what is not known is None or has a reason (`why`), and is never left
out.

It must stay small, because everybody's is fetched whenever somebody looks: with 256 partitions on ten nodes it takes
about 10 KB. So structs are arrays, the state of a pair is a number, and reasons, of which there are few, stand once in
a table (`whys`).

Times are the wall clock of the node that made the survey, in milliseconds; 0 means never. Who receives one turns them
into its own clock by `rebased`. Bounds are on what a peer may send; the node itself stays far below them.
"""

from enum import IntEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

# Of one survey on the wire. One within all bounds and of realistic content is a tenth of it.
SURVEY_BYTES_MAX = 1024 * 1024

LOG_ENTRIES = 100
"""Entries of the log that a node keeps and tells."""

LEAVES_PER_PAIR = 64
"""Differing leaves that are told of a pair last found apart; `Differing.total` says how many there were."""

CONVERGENCE_BOUNDS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)
"""Upper bounds of the buckets of `Convergence`; one more bucket stands for everything longer."""

MECHANISMS = ("replication", "hint", "read repair", "exchange")

Node = Annotated[str, Meta(max_length=63)]
Text = Annotated[str, Meta(max_length=512)]
Count = Annotated[int, Meta(ge=0)]
Partition = Annotated[int, Meta(ge=0, lt=65_536)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class PairState(IntEnum):
    """Of two replicas of a partition, by their last comparison."""

    IN_STEP = 0  # equal when they were compared; or every difference then found has since been repaired
    APART = 1  # `apart` keys were found to differ and are not repaired yet
    UNKNOWN = 2  # the last try to compare them gave no answer; `why` says why
    NEVER = 3  # not tried since the node that compares them was started


class Refill(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node that lost data gets it back: partitions done, of how many, since when."""

    done: Count
    total: Count
    began_ms: Count


class Trees(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node's hash trees by what they are worth. `fraction`: of the work of building those that are not exact yet."""

    exact: Count
    building: Count
    unreadable: Count
    fraction: Fraction
    why: Text  # of the unreadable ones, "" if there are none


class Load(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Requests that a node coordinated over the last seconds. A latency is None if there were none to measure."""

    reads_per_s: Seconds
    writes_per_s: Seconds
    read_p99_ms: Seconds | None
    write_p99_ms: Seconds | None


class PeerView(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Another node as the survey's own sees it; as `PeerStatus`."""

    node: Node
    state: Literal["up", "suspected", "down"]
    latency_ms: Seconds | None
    last_heard_s: Seconds | None


class Owed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Hints for one target: what is owed, since when, and how many are being paid a second now."""

    target: Node
    count: Count
    bytes: Count
    oldest_ms: Count
    paid_per_s: Seconds


class Compared(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One pair that this node compares with a peer.

    `compared_ms`: when the last comparison that told anything began, so that whatever was written later is not vouched
    for. `tried_ms`: when the last try ended, whatever came of it; of two nodes that tell of one pair, the later is
    believed. `why`: an index into the survey's `whys`, -1 for none.
    """

    partition: Partition
    n: Annotated[int, Meta(ge=1, le=255)]
    peer: Node
    state: PairState
    apart: Count
    compared_ms: Count
    tried_ms: Count
    why: Annotated[int, Meta(ge=-1)]


class Differing(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The leaves that differed when a pair was last found apart: the first LEAVES_PER_PAIR of `total`."""

    partition: Partition
    n: Annotated[int, Meta(ge=1, le=255)]
    peer: Node
    found_ms: Count
    total: Count
    leaves: Annotated[tuple[int, ...], Meta(max_length=LEAVES_PER_PAIR)]


class Running(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An exchange under way, at `done` of `total` in its step: "roots", "leaves", "settle", "keys" or "repair"."""

    partition: Partition
    n: Annotated[int, Meta(ge=1, le=255)]
    peer: Node
    began_ms: Count
    step: Annotated[str, Meta(max_length=32)]
    done: Count
    total: Count


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One line of the log: an exchange that found something or failed, or another repair.

    `number` counts up from 1 at each start of the node; with the node's id and start it names the entry. `partition` -1
    and `peer` "": of no one partition, with nobody. `pulled`, `pushed`: keys taken from, given to the peer. `result`:
    words such as "repaired", "3 keys moved on", "unknown: trees are being rebuilt".
    """

    number: Count
    ended_ms: Count
    what: Literal["exchange", "read repair", "handoff", "refill", "scrub", "reaping"]
    partition: Annotated[int, Meta(ge=-1, lt=65_536)]
    peer: Node
    pulled: Count
    pushed: Count
    bytes: Count
    took_ms: Count
    result: Text


class Totals(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Since the start of the node: comparisons that ended, and what exchanges repaired. `repaired_per_s`: keys, now."""

    comparisons: Count
    keys_pulled: Count
    keys_pushed: Count
    bytes_pulled: Count
    bytes_pushed: Count
    repaired_per_s: Seconds


class Convergence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How long it took until a write was at a replica, counted by CONVERGENCE_BOUNDS_S, by one of MECHANISMS."""

    mechanism: Annotated[str, Meta(max_length=32)]
    counts: Annotated[tuple[Count, ...], Meta(max_length=len(CONVERGENCE_BOUNDS_S) + 1)]


class Tombstones(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Deleted keys whose tombstone is still kept, by reason, and those reaped since the start."""

    waiting: Annotated[tuple[tuple[Text, Count], ...], Meta(max_length=32)]
    reaped: Count


class Scrub(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The reading of every record: the cycle and records read in it; damage found and repaired since the start."""

    cycle: Count
    fraction: Fraction
    read: Count
    damaged: Count
    repaired: Count


class NodeSurvey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that a node says of itself. `start`: its start count. `cycle_s`: within which it compares every pair anew.

    `not_ready`: why it takes no client requests; empty if it does.
    """

    node: Node
    start: Count
    wall_ms: Count
    cycle_s: Seconds
    complete: bool
    not_ready: Annotated[tuple[Text, ...], Meta(max_length=16)]
    refill: Refill | None
    trees: Trees
    load: Load
    peers: Annotated[tuple[PeerView, ...], Meta(max_length=1024)]
    hints: Annotated[tuple[Owed, ...], Meta(max_length=1024)]
    whys: Annotated[tuple[Text, ...], Meta(max_length=256)]
    pairs: Annotated[tuple[Compared, ...], Meta(max_length=65_536)]
    differing: Annotated[tuple[Differing, ...], Meta(max_length=64)]
    running: Annotated[tuple[Running, ...], Meta(max_length=64)]
    log: Annotated[tuple[Entry, ...], Meta(max_length=LOG_ENTRIES)]  # oldest first
    totals: Totals
    convergence: Annotated[tuple[Convergence, ...], Meta(max_length=8)]
    tombstones: Tombstones
    scrub: Scrub

    def why(self, pair: Compared) -> str:
        """The reason that belongs to `pair`; "" for none."""
        return self.whys[pair.why] if 0 <= pair.why < len(self.whys) else ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(NodeSurvey)


def encode(survey: NodeSurvey) -> bytes:
    """As it goes to another node."""
    return _encoder.encode(survey)


def decode(data: bytes) -> NodeSurvey:
    """msgspec.DecodeError if `data` is no survey: damaged, or of a version that this one does not know."""
    return _decoder.decode(data)


def rebased(survey: NodeSurvey, by_ms: int) -> NodeSurvey:
    """The same survey told by a clock that is `by_ms` ahead of its node's. Never stays never; no time is negative."""
    if by_ms == 0:
        return survey

    def moved(time_ms: int) -> int:
        return max(1, time_ms + by_ms) if time_ms else 0

    refill = survey.refill
    return structs.replace(
        survey,
        wall_ms=moved(survey.wall_ms),
        refill=refill and structs.replace(refill, began_ms=moved(refill.began_ms)),
        hints=tuple(structs.replace(owed, oldest_ms=moved(owed.oldest_ms)) for owed in survey.hints),
        pairs=tuple(
            structs.replace(pair, compared_ms=moved(pair.compared_ms), tried_ms=moved(pair.tried_ms))
            for pair in survey.pairs
        ),
        differing=tuple(structs.replace(found, found_ms=moved(found.found_ms)) for found in survey.differing),
        running=tuple(structs.replace(one, began_ms=moved(one.began_ms)) for one in survey.running),
        log=tuple(structs.replace(entry, ended_ms=moved(entry.ended_ms)) for entry in survey.log),
    )
