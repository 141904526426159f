"""What is asked of many keys at once: to list them, and to take in records. What `messages` says holds here too."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dynkv.peer.fields import Bucket, Digest, Key, KeyPart, Partition

# In one message: it is answered in one turn of the loop, with a look at the disk and a write for each.
APPLIED_MAX = 128
LISTED_MAX = 1024


class ListRecords(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=14):
    """Your keys of this bucket in this partition that begin with `prefix`, ascending, beyond `after` (b"": from the
    first), and which of them show nothing to a client? Answered by Records, or Failed."""

    partition: Partition
    bucket: Bucket
    prefix: KeyPart
    after: KeyPart
    limit: Annotated[int, Meta(ge=1, le=LISTED_MAX)]
    conflict: Literal["siblings", "lww"]


class KeyRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key and its whole record."""

    bucket: Bucket
    key: Key
    record: bytes


class ApplyMany(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=15):
    """Merge these whole records into yours, as with Apply, you being a primary of all of them. Answered by AppliedMany
    once all are durable, or by Failed."""

    records: Annotated[tuple[KeyRecord, ...], Meta(min_length=1, max_length=APPLIED_MAX)]


class Records(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=31):
    """All keys asked for up to `until`, b"" for the end; `deleted`: places, from 0, of those that show nothing.
    `complete`: see Absent."""

    keys: Annotated[tuple[Key, ...], Meta(max_length=LISTED_MAX)]
    deleted: Annotated[tuple[int, ...], Meta(max_length=LISTED_MAX)]
    until: KeyPart
    complete: bool


class AppliedMany(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=32):
    """Merged and durable: digests of the records I hold now, in the order asked; b"" for one that could not be merged,
    where nothing was changed."""

    digests: Annotated[tuple[Digest, ...], Meta(max_length=APPLIED_MAX)]
