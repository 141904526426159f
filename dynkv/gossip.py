"""Keeping member maps and bucket settings equal: whoever sees that a peer's summary differs exchanges them whole. So
does, at every heartbeat, who has not heard yet whether it is what it takes itself for."""

import structlog

from dynkv.core.errors import StoreError
from dynkv.membership import Membership
from dynkv.peer.gossip_messages import GossipReply, Greeting
from dynkv.peer.transport import Outcome, Transport

TIMEOUT_S = 2.0

log = structlog.get_logger("dynkv.gossip")


class Gossiper:
    """Talks to peers whose summary differs from ours, one exchange a peer at a time."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._transport: Transport | None = None
        self._talking: set[str] = set()

    def begin(self, transport: Transport) -> None:
        """From now on exchange with each peer that comes up."""
        self._transport = transport
        transport.on_change(self._changed)

    def greeted(self, node: str, greeting: Greeting) -> None:
        """A heartbeat of `node` carried this."""
        self._membership.extents.hear(node, greeting.extent)
        if greeting.summary != self._membership.summary or not self._membership.settled:
            self._exchange(node)

    def _changed(self, node: str, available: bool) -> None:
        if available:
            self._exchange(node)

    def _exchange(self, node: str) -> None:
        if self._transport is None or node in self._talking:
            return
        self._talking.add(node)

        def heard(outcome: Outcome) -> None:
            self._talking.discard(node)
            if isinstance(outcome, GossipReply):
                try:
                    self._membership.take(outcome, node)
                except StoreError as error:
                    log.warning("what gossip said could not be saved yet", peer=node, error=str(error))

        self._transport.request(node, self._membership.gossip(node), TIMEOUT_S, heard)
