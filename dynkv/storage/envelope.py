"""The stored value of a record: the record's canonical bytes, wrapped in what only this node needs.

    version(1) crc32(4) digest(16) actor(8) incarnation(8) record(…)          big-endian

The checksum covers all that follows it. RocksDB has checksums of its own; this one also catches what went wrong before
RocksDB got the bytes or after it gave them out, and it goes with the value wherever that is read. The actor under which
this node counts its writes of this copy is good only as long as `incarnation` is the node's own; 0 is none. Neither is
part of the digest: replicas that agree differ here.
"""

from struct import Struct
from zlib import crc32

import msgspec

from dynkv.core.errors import DamagedRecord

VERSION = 1
DIGEST_BYTES = 16

_front = Struct(">BI")
_local = Struct(">16sQQ")
_RECORD_START = _front.size + _local.size


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A stored copy, checksum verified; `record` is the canonical bytes that `digest` names."""

    record: bytes
    digest: bytes
    actor: int
    incarnation: int


def pack(record: bytes, digest: bytes, actor: int, incarnation: int) -> bytes:
    """The value to store. `digest` has 16 bytes; actor and incarnation are 64-bit, 0 for none."""
    local = _local.pack(digest, actor, incarnation)
    return _front.pack(VERSION, crc32(record, crc32(local))) + local + record


def unpack(value: bytes) -> Envelope:
    """What `pack` wrapped; DamagedRecord if any bit of it changed."""
    _verify(value)
    digest, actor, incarnation = _local.unpack_from(value, _front.size)
    return Envelope(value[_RECORD_START:], digest, actor, incarnation)


def digest_of(value: bytes) -> bytes:
    """The digest alone; DamagedRecord as with `unpack`: a damaged record has no digest."""
    _verify(value)
    return value[_front.size : _front.size + DIGEST_BYTES]


def _verify(value: bytes) -> None:
    if len(value) < _RECORD_START:
        raise DamagedRecord(f"a stored record has {len(value)} bytes, fewer than its frame")
    version, checksum = _front.unpack_from(value)
    # The checksum does not cover the version byte, so the byte is compared with the only one there is.
    if version != VERSION:
        raise DamagedRecord(f"a stored record is of version {version}, not {VERSION}")
    if crc32(memoryview(value)[_front.size :]) != checksum:
        raise DamagedRecord("a stored record does not match its checksum")
