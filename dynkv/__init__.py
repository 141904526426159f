"""dynkv: a leaderless, eventually consistent key-value store that does not lose writes.

    from dynkv import AsyncClient, Client

The client and what belongs to it are loaded when they are first named; importing the package loads nothing else, so a
program that only wants the version pays for nothing, and one that is a client loads no part of a server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynkv.client import (
        AsyncClient,
        AsyncSession,
        BadContext,
        BadRequest,
        BadSession,
        BatchError,
        Client,
        ClientClosed,
        ClientError,
        Codec,
        CodecError,
        ConflictError,
        Contended,
        Entry,
        IncompleteListing,
        NotDynkv,
        NotReplicated,
        Overloaded,
        Put,
        QuorumUnmet,
        Receipt,
        Refused,
        Replicated,
        Session,
        SessionError,
        Sibling,
        TooLarge,
        TooManySiblings,
        Unauthorized,
        Unavailable,
        Unreachable,
        Unresolvable,
        Updated,
        WriteIdReused,
        WrongType,
        keep,
        latest,
        maximum,
        merging,
        union,
        union_with,
    )

__version__ = "0.1.0"

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


def __getattr__(name: str) -> Any:
    """Only for the names above: asked for a module of the package, it must not load the client on the way."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("dynkv.client"), name)
