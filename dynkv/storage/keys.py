"""Names of everything on a node's disk: one ordered key space, parted by its first byte.

    r  partition(2) bucket(1+n) key                     a record; sorted by partition, then bucket, then key
    h  target(1+n) partition(2) bucket(1+n) key         a hint: this record is owed to `target`
    t  partition(2)                                     the partition's hash trees as of the last clean stop
    m  name                                             node-local facts

Numbers are big-endian and names carry their length in front, so a key has one reading and no name runs into the next.
All records of a partition, all of a bucket in it, and all hints of a target lie in one stretch, `[start, end)`.
"""

from struct import Struct

RECORD = b"r"
HINT = b"h"
TREE = b"t"
META = b"m"

_head = Struct(">cHB")
_place = Struct(">HB")
_PLACE_START = 3


def record_key(partition: int, bucket: str, key: bytes) -> bytes:
    """Where the record of (bucket, key) lies. `partition` < 65536; `bucket` is at most 255 bytes in UTF-8."""
    name = bucket.encode()
    return _head.pack(RECORD, partition, len(name)) + name + key


def parse_record_key(stored_key: bytes) -> tuple[int, str, bytes]:
    """(partition, bucket, key) of what `record_key` made; ValueError if it is no record key."""
    # By hand: a scan asks it of every record.
    if stored_key[:1] != RECORD or len(stored_key) < 4 or (end := 4 + stored_key[3]) > len(stored_key):
        raise ValueError(f"{stored_key[:32]!r} is no record key")
    return stored_key[1] << 8 | stored_key[2], stored_key[4:end].decode(), stored_key[end:]


def partition_in(stored_key: bytes) -> int:
    """The partition of a record's stored key."""
    return int.from_bytes(stored_key[1:_PLACE_START], "big")


def place_of(stored_key: bytes) -> bytes:
    """What is left of a record's stored key without its partition: how replicas name the key to each other, in the same
    order."""
    return stored_key[_PLACE_START:]


def record_key_at(partition: int, place: bytes) -> bytes:
    """The stored key with this place: the way back from `place_of`."""
    return RECORD + partition.to_bytes(2, "big") + place


def hint_key(target: str, partition: int, bucket: str, key: bytes) -> bytes:
    """Where the hint lies that the record of (bucket, key) is owed to node `target`."""
    name = bucket.encode()
    return _hint_head(target) + _place.pack(partition, len(name)) + name + key


def parse_hint_key(stored_key: bytes) -> tuple[str, int, str, bytes]:
    """(target, partition, bucket, key) of what `hint_key` made; ValueError if it is no hint key."""
    if stored_key[:1] != HINT or len(stored_key) < 2:
        raise ValueError(f"{stored_key[:32]!r} is no hint key")
    end = 2 + stored_key[1]
    if end > len(stored_key):
        raise ValueError(f"{stored_key[:32]!r} is cut")
    return stored_key[2:end].decode(), *_parse_place(stored_key, end)


def tree_key(partition: int) -> bytes:
    """Where the partition's hash trees lie between a clean stop and the next start."""
    return TREE + partition.to_bytes(2, "big")


def meta_key(name: str) -> bytes:
    """Where the node-local fact `name` lies."""
    return META + name.encode()


def record_range(partition: int, bucket: str | None = None, prefix: bytes = b"") -> tuple[bytes, bytes]:
    """[start, end) of a partition's records, or of those of one bucket in it whose key starts with `prefix`."""
    if bucket is None:
        return _stretch(RECORD + partition.to_bytes(2, "big"))
    return _stretch(record_key(partition, bucket, prefix))


def hint_range(target: str | None = None, partition: int | None = None) -> tuple[bytes, bytes]:
    """[start, end) of the hints for `target`, or of those in one partition, or of all hints."""
    if target is None:
        return _stretch(HINT)
    return _stretch(_hint_head(target) + (b"" if partition is None else partition.to_bytes(2, "big")))


def after(stored_key: bytes) -> bytes:
    """The first key that sorts after `stored_key`: where a scan goes on."""
    return stored_key + b"\x00"


def _hint_head(target: str) -> bytes:
    name = target.encode()
    return HINT + bytes((len(name),)) + name


def _parse_place(stored_key: bytes, start: int) -> tuple[int, str, bytes]:
    if len(stored_key) < start + 3:
        raise ValueError(f"{stored_key[:32]!r} is cut")
    partition, length = _place.unpack_from(stored_key, start)
    end = start + 3 + length
    if end > len(stored_key):
        raise ValueError(f"{stored_key[:32]!r} is cut")
    return partition, stored_key[start + 3 : end].decode(), stored_key[end:]


def _stretch(prefix: bytes) -> tuple[bytes, bytes]:
    """[start, end) of all keys with this prefix. The first byte is below 0xff, so there always is an end."""
    kept = prefix.rstrip(b"\xff")
    return prefix, kept[:-1] + bytes((kept[-1] + 1,))
