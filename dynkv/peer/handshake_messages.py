"""How a connection between nodes begins: four frames of their own, before any call (see hello).

What `messages` says of frames holds here too, with one exception: Hello may grow at its end, so that a node of a later
version is told that its version is refused, not that its frame is malformed.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dynkv.peer.fields import Node
from dynkv.peer.messages import REASON_LENGTH_MAX

PROTOCOL_VERSION = 1

NONCE_BYTES = 16
PROOF_BYTES = 32

Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Proven = Annotated[bytes, Meta(min_length=PROOF_BYTES, max_length=PROOF_BYTES)]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=100):
    """First frame of the node that connects. `expects`: the id it means to reach. `nonce`: 16 fresh bytes.

    Later versions may add elements at the end, never change these.
    """

    version: int
    cluster: Annotated[str, Meta(max_length=512)]
    node: Node
    expects: Node
    nonce: Nonce
    start_count: int
    incarnation: int


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=101):
    """Answer to Hello. `proof`: keyed blake2b over role, cluster, both ids and both nonces."""

    node: Node
    nonce: Nonce
    proof: Proven
    start_count: int
    incarnation: int


class Refused(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=102):
    """Answer to Hello or Proof: why not. The connection closes after it."""

    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)]


class Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=103):
    """Third frame: the connecting side's own proof."""

    proof: Proven


class Accepted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=104):
    """The proof holds: calls may follow."""


Handshake = Hello | Welcome | Refused | Proof | Accepted
