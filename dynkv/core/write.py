"""A client's write, as it travels from the edge to the copy that coordinates it."""

import msgspec

from dynkv.core.record import Vector
from dynkv.core.session import Demand


class Write(msgspec.Struct, frozen=True):
    """A write, checked. `context` ascends by actor; `value` None deletes; `write_id` has 1 to 64 bytes. `demand`: its
    session's, if it is in one."""

    bucket: str
    key: bytes
    context: Vector
    value: bytes | None
    content_type: str
    write_id: bytes
    demand: Demand | None = None
