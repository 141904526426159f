"""A client's write, as it travels from the edge to the copy that coordinates it."""

import msgspec

from dynkv.core.record import Vector
from dynkv.core.session import Demand


class Write(msgspec.Struct, frozen=True):
    """A write, checked. `context` ascends by actor; `value` None deletes; `write_id` has 1 to 64 bytes. `demand`: its
    session's, if it is in one.

    `update`: the name of a type, for an update of a typed value (`core.types`); `value` is then an encoded operation,
    `content_type` the type's, and `context` what the author of a removal has seen. `repeated`: its sender has sent it
    before. `returns`: what is made of it is wanted back.
    """

    bucket: str
    key: bytes
    context: Vector
    value: bytes | None
    content_type: str
    write_id: bytes
    demand: Demand | None = None
    update: str = ""
    repeated: bool = False
    returns: bool = False
