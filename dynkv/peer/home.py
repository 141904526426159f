"""What all links of one node share: who the node is, how it keeps time with its peers, and whom it tells."""

from collections.abc import Callable

import msgspec

from dynkv.peer.connection import Bounds
from dynkv.peer.counters import PeerCounters
from dynkv.peer.gossip_messages import Greeting
from dynkv.peer.hello import Us
from dynkv.peer.refusals import Refusals
from dynkv.peer.sockets import Sockets
from dynkv.runtime import Clock, Random


class Timing(msgspec.Struct, frozen=True):
    """All in seconds.

    heartbeat_s: between two heartbeats. silence_s_min, silence_s_max: the silence of a connected peer that is never,
    that is always suspicious. hello_s: a stranger must have proved itself so soon. connect_s: our own attempt to
    connect, hello included, may take so long. backoff_s_min, backoff_s_max: between two attempts, doubling.
    renew_s: a connection that stays suspected so long is given up for a new one, because TCP itself would come back to
    a healed link only after as long again as it was cut.
    """

    heartbeat_s: float = 0.25
    silence_s_min: float = 1.0
    silence_s_max: float = 2.0
    hello_s: float = 5.0
    connect_s: float = 2.0
    backoff_s_min: float = 0.05
    backoff_s_max: float = 2.0
    renew_s: float = 3.0


class Home(msgspec.Struct, frozen=True):
    """One node, as its links see it. `key` is of `hello.proof_key`.

    identity: start count and incarnation as of now. greeting: ours for heartbeats. on_greeting(node, greeting): a
    peer's. on_hello(node, start_count, incarnation): a peer proved itself. changed(node, available): at each change.
    """

    node: str
    cluster: str
    key: bytes
    clock: Clock
    random: Random
    sockets: Sockets
    counters: PeerCounters
    refusals: Refusals
    bounds: Bounds
    timing: Timing
    identity: Callable[[], tuple[int, int]]
    greeting: Callable[[], Greeting]
    on_greeting: Callable[[str, Greeting], None]
    on_hello: Callable[[str, int, int], None]
    changed: Callable[[str, bool], None]

    def us(self) -> Us:
        """This node, for a hello."""
        start_count, incarnation = self.identity()
        return Us(self.node, self.cluster, self.key, start_count, incarnation)

    def __repr__(self) -> str:
        return f"Home({self.node!r}, {self.cluster!r})"  # the key must not reach a log or a traceback
