"""What is asked of many keys at once: to list them, to give their records, to take records in. What `messages` says
holds here too."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dynkv.peer.fields import Bucket, Digest, Key, KeyPart, Partition

# In one message: it is answered in one turn of the loop, with a look at the disk and a write for each.
APPLIED_MAX = 128
READ_MAX = 128
LISTED_MAX = 1024
# Of records in one answer: no more are put into it once it has so many bytes of them.
COPIES_BYTES = 128 * 1024


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


class ReadMany(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=33):
    """What do you hold under these keys? Answered by Copies, or Failed."""

    keys: Annotated[tuple[tuple[Bucket, Key], ...], Meta(min_length=1, max_length=READ_MAX)]


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


class Copy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A whole record with its digest, or both empty if I hold nothing."""

    digest: Digest
    record: bytes


class Copies(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=34):
    """Of the first of the keys asked, in the order asked: of one at least, and of as many as fit into an answer; None
    for what I cannot read. It says nothing about what I may have lost, so it counts to no quorum."""

    copies: Annotated[tuple[Copy | None, ...], Meta(min_length=1, max_length=READ_MAX)]
