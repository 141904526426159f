"""The client of a cluster: `AsyncClient`, and `Client` for programs that block.

    caller      one call: attempts at one node after another, under one deadline and one write id (`tries` decides)
    routing     whom to ask first: the ring as it was last told (`ring_view`), and who failed a moment ago (`health`)
    transport   one attempt; knows aiohttp
    requests    one key over HTTP; `operations` get, put, delete, exists and `update` made of them
    session     the same within a session; receipts: who has a write
    batch, listing      many keys
    types               counters, sets, flags, registers, maps
    codecs, resolvers   values from bytes, one value from siblings
    portal      the thread behind `Client`

Knows `dynkv.core`, the ring's tokens, and the runtime that hands out clock, chance and tasks; nothing of a node.
"""

from dynkv.client.async_client import AsyncClient
from dynkv.client.batch import Put
from dynkv.client.client import Client, Session
from dynkv.client.codecs import Codec
from dynkv.client.entry import Entry, Receipt, Replicated, Sibling
from dynkv.client.errors import (
    BadContext,
    BadRequest,
    BadSession,
    BatchError,
    ClientClosed,
    ClientError,
    CodecError,
    ConflictError,
    Contended,
    IncompleteListing,
    NotDynkv,
    NotReplicated,
    Overloaded,
    QuorumUnmet,
    Refused,
    SessionError,
    TooLarge,
    TooManySiblings,
    Unauthorized,
    Unavailable,
    Unreachable,
    WriteIdReused,
    WrongType,
)
from dynkv.client.resolvers import Unresolvable, keep, latest, maximum, merging, union, union_with
from dynkv.client.session import AsyncSession
from dynkv.client.update import Updated

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "BadContext",
    "BadRequest",
    "BadSession",
    "BatchError",
    "Client",
    "ClientClosed",
    "ClientError",
    "Codec",
    "CodecError",
    "ConflictError",
    "Contended",
    "Entry",
    "IncompleteListing",
    "NotDynkv",
    "NotReplicated",
    "Overloaded",
    "Put",
    "QuorumUnmet",
    "Receipt",
    "Refused",
    "Replicated",
    "Session",
    "SessionError",
    "Sibling",
    "TooLarge",
    "TooManySiblings",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Unresolvable",
    "Updated",
    "WriteIdReused",
    "WrongType",
    "keep",
    "latest",
    "maximum",
    "merging",
    "union",
    "union_with",
]
