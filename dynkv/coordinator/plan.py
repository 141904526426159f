"""Who holds a key, and whom to ask first: what both kinds of request know before they begin."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dynkv.convergence import Convergence
from dynkv.core.plan import Plan
from dynkv.core.refilling import Refilling
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

    def plan_of(self, partition: int, n: int) -> Plan:
        """The plan of all keys of a partition."""
        ...


@dataclass(slots=True)
class Counters:
    """What the coordinator did, for metrics; plain integers."""

    reads: int = 0
    reads_unmet: int = 0
    hedged_reads: int = 0
    lent: int = 0
    written_back: int = 0
    session_searches: int = 0
    session_behind: int = 0
    writes: int = 0
    writes_ambiguous: int = 0
    writes_not_applied: int = 0
    hedged_writes: int = 0
    forwarded: int = 0
    retries_known: int = 0
    hints_not_kept: int = 0


class Surroundings(NamedTuple):
    """What a request works with: this node's id and copies, the other nodes, who of them is being refilled, the clock,
    and who repairs."""

    node: str
    replica: Replica
    placing: Placing
    transport: Transport
    refilling: Refilling
    clock: Clock
    loop: asyncio.AbstractEventLoop
    disagreement: Disagreement
    counters: Counters
    convergence: Convergence


def nearest_first(transport: Transport, nodes: Sequence[str]) -> list[str]:
    """The available ones of `nodes`, those that answer promptly before those that lag, else in the order given."""
    prompt: list[str] = []
    lagging: list[str] = []
    for node in nodes:
        if transport.available(node):
            (lagging if transport.sluggish(node) else prompt).append(node)
    return prompt + lagging


def words(outcome: object) -> str:
    """What became of a call, as an error or an explanation says it: a Failure's kind or a Failed's detail."""
    kind = getattr(outcome, "kind", None)
    return str(kind) if kind is not None else f"{getattr(outcome, 'code', 'failed')}: {getattr(outcome, 'detail', '')}"
