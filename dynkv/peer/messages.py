"""The protocol between nodes, on one page. On others: how a connection begins, `handshake_messages`; heartbeats and
gossip, `gossip_messages`; how tombstones are reaped, `reaping_messages`; what is asked of many keys at once,
`many_messages`.

A frame is a 4-byte big-endian length and that many bytes of MessagePack. A connection has one direction: the node that
opened it sends `CallFrame`s, the other answers with `ReplyFrame`s, in any order, matched by call id. One frame holds
all that a node had to say to a peer in one turn of its event loop.

Every struct is an array on the wire (`array_like`) whose first element is its tag, and msgspec checks each element
against the type and bounds declared here while it decodes. There are no maps, no extension types and no nesting beyond
these declarations, so duplicate keys, tags and bombs of depth cannot be said at all. For that an element too many must
be an error (`forbid_unknown_fields`; msgspec would skip it unread, whatever it is), and every sequence needs its
longest length: an entry of a few bytes on the wire is an object of hundreds in memory. MessagePack through msgspec
replaces CBOR between nodes because it decodes *and* validates a message in a fifth of the time cbor2 takes to decode it
alone.

Time: `sent_ms` is the sender's monotonic clock when the frame left; a receiver compares it with the smallest delay seen
on this connection, so a frame that lay in a buffer (a paused process, a clogged link) is known to be late.
`budget_ms` is what was left of the request's deadline at that moment; a call past its deadline is dropped.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antientropy import FANOUT, LEAVES, NODE_BYTES
from dynkv.core.session import Demand
from dynkv.core.survey import SURVEY_BYTES_MAX
from dynkv.peer.fields import (
    BoundedVector,
    Bucket,
    Counts,
    Digest,
    Key,
    Node,
    Partition,
    Place,
    Replicas,
    Told,
)
from dynkv.peer.gossip_messages import Gossip, GossipReply, Ping, Pong
from dynkv.peer.many_messages import AppliedMany, ApplyMany, Copies, ListRecords, ReadMany, Records
from dynkv.peer.reaping_messages import Held, Holding, Reap, Reaped

# A frame may hold one record of the largest size a merge can produce, and no more.
FRAME_BYTES_MAX = 64 * 1024 * 1024

# Calls or answers in one frame. The sender splits what is more.
FRAME_MESSAGES_MAX = 4096

# What one message of an exchange may hold.
ROOTS_MAX = 256
KEYS_MAX = 1024
REASON_LENGTH_MAX = 512


# --- calls ------------------------------------------------------------------------------------------------------------


class Read(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """What do you hold under this key? `full`: the record itself, not only its digest. `durable`: answer once it is
    durable."""

    bucket: Bucket
    key: Key
    full: bool
    durable: bool = False


class Apply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Merge this whole record into yours; answer once it is durable.

    `hint_for`: a node id if you stand in for that primary and owe it the record, else "".
    """

    bucket: Bucket
    key: Key
    record: bytes
    hint_for: Node


class Forward(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Coordinate this client's write: you store the key and I do not. `value` None deletes. `demand`: its session's.
    `update`, `repeated`, `returns`: see `core.write`."""

    bucket: Bucket
    key: Key
    context: BoundedVector
    value: bytes | None
    content_type: str
    write_id: bytes
    n: int
    w: int
    pw: int
    sloppy: bool
    conflict: Literal["siblings", "lww"]
    demand: Demand | None = None
    update: Annotated[str, Meta(max_length=16)] = ""
    repeated: bool = False
    returns: bool = False


class HoldsAny(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """Do you hold any record of this bucket? Answered by Found (without digest or record) or Absent."""

    bucket: Bucket


# --- an exchange: where do our copies of a partition differ? (see antientropy) ----------------------------------------


class Root(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The root of my tree of (partition, n)."""

    partition: Partition
    n: Replicas
    root: int


class Compare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """Are your trees the same? Answered by Compared. `refilling`: I lost data and ask for what you have, so answer even
    if you are not whole yourself."""

    roots: Annotated[tuple[Root, ...], Meta(max_length=ROOTS_MAX)]
    refilling: bool


class TreeLeaves(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """Your leaves under these inner nodes, ascending? Answered by Leaves, or Failed "unknown"."""

    partition: Partition
    n: Replicas
    inner: Annotated[tuple[int, ...], Meta(min_length=1, max_length=FANOUT)]


class ListKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """Your keys of these leaves, ascending, beyond `after`? Answered by Keys, or Failed "unknown"."""

    partition: Partition
    n: Replicas
    leaves: Annotated[tuple[int, ...], Meta(min_length=1, max_length=LEAVES)]
    after: Place


class Survey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=10):
    """How are you? Answered by Surveyed; asked only while somebody looks at the cluster."""


class Hurry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=13):
    """Compare now what you compare: of this partition (-1 for all), with this node or as this node ("" for any).
    Answered by Hurried."""

    partition: Annotated[int, Meta(ge=-1, lt=65_536)]
    node: Node


Request = (
    Read
    | Apply
    | Forward
    | Ping
    | Gossip
    | HoldsAny
    | Compare
    | TreeLeaves
    | ListKeys
    | Holding
    | Reap
    | Hurry
    | Survey
    | ListRecords
    | ApplyMany
    | ReadMany
)


# --- answers ----------------------------------------------------------------------------------------------------------


class Found(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=16):
    """I hold this record. `record` is empty if only the digest was asked. `complete`: see Absent."""

    digest: Digest
    record: bytes
    complete: bool


class Absent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=17):
    """I hold nothing under this key. `complete` is false while this node has lost data that it once acknowledged and
    is not refilled yet: such an answer is merged but counts to no quorum."""

    complete: bool


class Applied(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=18):
    """Merged and durable; `digest` is of the record I hold now."""

    digest: Digest


class Forwarded(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=19):
    """The write was coordinated here, its quorum met: its dot, context, the record's digest, who has it, what a record
    must cover to have it, and the state of the typed value, if you asked for it."""

    actor: int
    counter: int
    context: BoundedVector
    digest: Digest
    siblings: int
    replicas: Told
    covering: BoundedVector
    state: bytes = b""


class Unmet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=20):
    """The write was coordinated here and its quorum not met."""

    outcome: str
    detail: str
    needed: Counts
    got: Counts
    replicas: Told


class Failed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=23):
    """It could not be done. `code` is stable ("read failed", "damaged", "read only", "overloaded",
    "bad request: <kind>"); `done` is false if certainly nothing was changed."""

    code: str
    detail: str
    done: bool


class Comparison(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of one root: `why` not empty if I cannot tell; else `inner` is empty if mine is the same, or the 32 nodes under
    mine, 8 bytes each, little-endian."""

    partition: Partition
    n: Replicas
    inner: Annotated[bytes, Meta(max_length=FANOUT * NODE_BYTES)]
    why: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)]


class Compared(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=24):
    """One for each root asked, in the order asked."""

    comparisons: Annotated[tuple[Comparison, ...], Meta(max_length=ROOTS_MAX)]


class Leaves(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=25):
    """32 leaves for each inner node asked, 8 bytes each, little-endian."""

    nodes: Annotated[bytes, Meta(max_length=LEAVES * NODE_BYTES)]


class Keys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=26):
    """(key, digest of its record) of all keys asked for up to `until`, b"" for the end of the partition."""

    entries: Annotated[tuple[tuple[Place, Digest], ...], Meta(max_length=KEYS_MAX)]
    until: Place


class Hurried(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=30):
    """So many comparisons are due now."""

    pairs: int


class Surveyed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=27):
    """All that I say of myself (`core.survey`). Bytes, because it is for people only: one that the other side cannot
    read must not cost the connection that requests go over."""

    survey: Annotated[bytes, Meta(max_length=SURVEY_BYTES_MAX)]


Answer = (
    Found
    | Absent
    | Applied
    | Forwarded
    | Unmet
    | Pong
    | GossipReply
    | Failed
    | Compared
    | Leaves
    | Keys
    | Held
    | Reaped
    | Hurried
    | Surveyed
    | Records
    | AppliedMany
    | Copies
)


# --- frames -----------------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One request. `id` is unique on its connection."""

    id: int
    budget_ms: int
    body: Request


class Reply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One answer, to the call with this id."""

    id: int
    body: Answer


class CallFrame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From the side that opened the connection."""

    sent_ms: int
    calls: Annotated[list[Call], Meta(max_length=FRAME_MESSAGES_MAX)]


class ReplyFrame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From the side that accepted it."""

    sent_ms: int
    replies: Annotated[list[Reply], Meta(max_length=FRAME_MESSAGES_MAX)]
