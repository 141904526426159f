"""Who holds a key, and whom to ask first: what both kinds of request know before they begin."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dynkv.core.plan import Plan
from dynkv.peer.transport import Transport
from dynkv.replica import Replica
from dynkv.runtime import Clock

# Told of replicas that differ, after the answer is sent:
# (bucket, key, merged record, its digest, nodes whose copy is behind it).
Disagreement = Callable[[str, bytes, bytes, bytes, Sequence[str]], None]


class Placing(Protocol):
    """Where keys live. NotFormed while the member map is not whole."""

    def plan(self, bucket: str, key: bytes, n: int) -> Plan:
        """The plan of one key; no I/O."""
        ...


class Counters:
    """What the coordinator did, for metrics; plain integers."""

    __slots__ = (
        "forwarded",
        "hedged_reads",
        "hedged_writes",
        "hints_not_kept",
        "lent",
        "reads",
        "reads_unmet",
        "retries_known",
        "writes",
        "writes_ambiguous",
        "writes_not_applied",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class Surroundings(NamedTuple):
    """What a request works with: this node's id and copies, the other nodes, the clock, and who repairs."""

    node: str
    replica: Replica
    placing: Placing
    transport: Transport
    clock: Clock
    loop: asyncio.AbstractEventLoop
    disagreement: Disagreement
    counters: Counters


def nearest_first(transport: Transport, nodes: Sequence[str]) -> list[str]:
    """The available ones of `nodes`, those that answer promptly before those that lag, else in the order given."""
    prompt = []
    lagging = []
    for node in nodes:
        if transport.available(node):
            (lagging if transport.sluggish(node) else prompt).append(node)
    return prompt + lagging


def words(outcome: object) -> str:
    """What became of a call, as an error or an explanation says it: a Failure's kind or a Failed's detail."""
    kind = getattr(outcome, "kind", None)
    return str(kind) if kind is not None else f"{getattr(outcome, 'code', 'failed')}: {getattr(outcome, 'detail', '')}"
