"""What the fields of messages between nodes may hold: types with the bounds that are checked while decoding."""

from typing import Annotated

from msgspec import Meta

from dynkv.core.bucket import KEY_BYTES_MAX
from dynkv.core.record import Vector

Node = Annotated[str, Meta(max_length=63)]
Bucket = Annotated[str, Meta(min_length=1, max_length=128)]
Key = Annotated[bytes, Meta(min_length=1, max_length=KEY_BYTES_MAX)]
KeyPart = Annotated[bytes, Meta(max_length=KEY_BYTES_MAX)]
Digest = Annotated[bytes, Meta(max_length=64)]
BoundedVector = Annotated[Vector, Meta(max_length=65_536)]
Told = Annotated[tuple[tuple[str, str], ...], Meta(max_length=1024)]
Partition = Annotated[int, Meta(ge=0, lt=65_536)]
Replicas = Annotated[int, Meta(ge=1, le=255)]
# A key within its partition: its bucket's length and name, then the key.
Place = Annotated[bytes, Meta(max_length=129 + KEY_BYTES_MAX)]
Counts = Annotated[tuple[tuple[str, int], ...], Meta(max_length=16)]
