"""How tombstones are reaped: two calls and their answers (see `core.reaping`). What `messages` says holds here too."""

from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.core.reaping import State
from dynkv.peer.fields import Bucket, Digest, Key, Node, Partition

# In one message: it is answered in one turn of the loop, with a look at the disk for each.
TOMBSTONES_MAX = 128


class Tombstone(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The digest of a record that holds nothing but deletions of its key."""

    bucket: Bucket
    key: Key
    digest: Digest


Tombstones = Annotated[tuple[Tombstone, ...], Meta(min_length=1, max_length=TOMBSTONES_MAX)]


class Holding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=11):
    """What do you hold of these keys, all of one partition, durably? Answered by Held. `claims`: a copy that you hold
    as no primary, and owe to nobody, you owe to me."""

    partition: Partition
    tombstones: Tombstones
    claims: bool


class Reap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=12):
    """Drop those of these that you still hold as they are here: nothing older is left anywhere. Answered by Reaped."""

    partition: Partition
    tombstones: Tombstones


class Stand(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of one key. `hint_for`: whom I owe it, if hinted."""

    state: State
    hint_for: Node


class Held(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=28):
    """One for each tombstone asked about, in the order asked. `sound`, `mark`: see core.reaping.Said."""

    stands: Annotated[tuple[Stand, ...], Meta(max_length=TOMBSTONES_MAX)]
    sound: bool
    mark: Annotated[bytes, Meta(max_length=64)]


class Reaped(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=29):
    """So many are gone here, durably."""

    count: Annotated[int, Meta(ge=0, le=TOMBSTONES_MAX)]
