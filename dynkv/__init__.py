"""dynkv: a leaderless, eventually consistent key-value store that does not lose writes.

    from dynkv import AsyncClient, Client

The client and what belongs to it are loaded when they are first named; importing the package loads nothing else, so a
program that only wants the version pays for nothing, and one that is a client loads no part of a server.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynkv.client import *  # noqa: F403 - type checkers see the names; at run time __getattr__ finds them

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dynkv import client

    try:
        return getattr(client, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
