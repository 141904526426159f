"""The seam between a node and the other nodes.

`Network` is the one form of it, over TCP, or over `Loopback` in memory; both pass one contract suite.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from dynkv.peer.messages import Answer, Request


class Failure(msgspec.Struct, frozen=True):
    """No answer came. `reached`: whether the peer may have got the request (false: it certainly did not)."""

    kind: Literal["unreachable", "timed out", "connection lost", "overloaded"]
    reached: bool


Outcome = Answer | Failure
Done = Callable[[Outcome], None]

# Handler(from_node, request, deadline, reply): `deadline` on this node's Clock. Runs on the loop, must not block; calls
# `reply` exactly once, now or later. It must not raise: what a peer sends is data.
Handler = Callable[[str, Request, float, Callable[[Answer], None]], None]


class PeerStatus(msgspec.Struct, frozen=True):
    """What this node knows of its link to a peer. Times in seconds; latency_ms is the running median of calls."""

    state: Literal["up", "suspected", "down"]
    last_heard_s: float | None
    latency_ms: float | None
    in_flight: int
    queue_bytes: int
    reconnects: int
    refusal: str | None


class Transport(Protocol):
    """Calls to peers. All methods run on the loop, none blocks, all return at once."""

    def request(self, node: str, message: Request, timeout_s: float, done: Done) -> None:
        """Send `message` to `node`; `done` is called exactly once, never before `request` returns.

        Calls to a node that is not available fail at once (reached=False), but for Ping and Gossip. Those in flight
        when it becomes unavailable fail then, as "connection lost" or, if it fell silent, "timed out"; what was not
        sent yet has reached=False. The message is not copied and must not be changed.
        """
        ...

    def available(self, node: str) -> bool:
        """Connected and not suspected."""
        ...

    def sluggish(self, node: str) -> bool:
        """Available, but its oldest call in flight has waited longer than twice the hedge delay: ask others first."""
        ...

    def hedge_delay_s(self) -> float:
        """How long to wait for a peer's answer before asking another too: the running 95th percentile of answers,
        within bounds."""
        ...

    def peers(self) -> dict[str, PeerStatus]:
        """All configured peers by id."""
        ...

    def on_change(self, listener: Callable[[str, bool], None]) -> None:
        """`listener(node, available)` is called on the loop at each change."""
        ...

    async def close(self) -> None:
        """Stop listening and connecting; fail what is in flight."""
        ...
