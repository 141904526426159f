"""What members say of themselves and of each other: heartbeats, and the maps that gossip keeps equal. The rules of the
wire stand in `messages`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.core.bucket import Setting
from dynkv.peer.fields import Digest

# Starts that a member remembers the ids of.
LIVES_MAX = 64

# Extents that a member remembers of each other, and what a database is called at most.
EXTENTS_MAX = 2
DATABASE_LENGTH_MAX = 64


class Extent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a member's database went, durably, when it had been started so often (see extents)."""

    start_count: int
    database: Annotated[str, Meta(max_length=DATABASE_LENGTH_MAX)]
    sequence: int


class Greeting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What goes with each heartbeat, both ways. `summary`: digest of the sender's member map and bucket settings."""

    summary: Digest
    extent: Extent


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Heartbeat."""

    greeting: Greeting


class MemberEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a member says of itself. The entry with the larger start count wins.

    `start_count`: starts, and marks in between (see marks).
    `lives`: random ids of the newest of these, oldest first; the last belongs to `start_count`, the one before to the
    start before it, and so on. They tell a start from another one with the same count, in a copy of the directory.
    """

    node: str
    start_count: int
    incarnation: int
    lives: Annotated[tuple[int, ...], Meta(min_length=1, max_length=LIVES_MAX)]
    http: str
    weight: float
    region: str
    zone: str
    host: str


Members = Annotated[tuple[MemberEntry, ...], Meta(max_length=1024)]
Settings = Annotated[tuple[Setting, ...], Meta(max_length=65_536)]
Heard = Annotated[tuple[Extent, ...], Meta(max_length=EXTENTS_MAX)]


class Gossip(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """All that I know of members and bucket settings; answer with all that you know.

    `whole`, `confirmed`: what my map is worth, and I (see `membership`). `heard`: your newest extents that I know.
    """

    members: Members
    settings: Settings
    whole: bool = False
    confirmed: bool = False
    heard: Heard = ()


class Pong(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=21):
    """Heartbeat's answer."""

    greeting: Greeting


class GossipReply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=22):
    """All that I know, after taking in what you know. The rest as in Gossip."""

    members: Members
    settings: Settings
    whole: bool = False
    confirmed: bool = False
    heard: Heard = ()
