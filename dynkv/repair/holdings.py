"""What this node says to a peer, and to itself, when tombstones are to be reaped: what it holds, and that it let go.

Both answers wait until what they say is on disk. `Held.mark` names this node's memory and counts the copies that it has
removed from the partition: as long as it is equal, what was not here at one answer and is not at the next was not here
in between. A restart, a store that was reopened after a failure, and every removal make another mark.
"""

from collections.abc import Callable, Sequence
from struct import Struct

from dynkv.core.bucket import BUCKET_NAME
from dynkv.core.errors import DamagedRecord, StoreReadFailed
from dynkv.core.reaping import state_of
from dynkv.hints import HintBook
from dynkv.membership import Membership
from dynkv.peer.messages import Answer, Failed, Request
from dynkv.peer.reaping_messages import Held, Holding, Reap, Reaped, Stand, Tombstone
from dynkv.replica import Replica
from dynkv.storage.base import Store
from dynkv.storage.keys import hint_range

Reply = Callable[[Answer], None]

NOT_OURS = Failed("bad request", "no such keys in this partition", False)
NOT_YOURS = Failed("bad request", "another node looks after this partition's tombstones", False)

_mark = Struct(">QQQQ")


class Holdings:
    """One node's."""

    def __init__(self, store: Store, replica: Replica, hints: HintBook, membership: Membership) -> None:
        self._store = store
        self._replica = replica
        self._hints = hints
        self._membership = membership
        # As of now: that this life counts on (see marks) is no reason to ask again.
        self._life = (replica.identity.lives[-1], replica.identity.start_count)

    # --- answers ------------------------------------------------------------------------------------------------------

    def serve_holding(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """Answer a peer's Holding; as `peer.transport.Handler`."""
        assert isinstance(request, Holding)
        if not self._fits(request.partition, request.tombstones):
            reply(NOT_OURS)
            return
        held = self.held(request.partition, request.tombstones)
        if request.claims:
            self._owe_strays(node, request.tombstones, held)
        self._when_durable(held, reply)

    def serve_reap(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """Answer a peer's Reap."""
        assert isinstance(request, Reap)
        if not self._fits(request.partition, request.tombstones):
            reply(NOT_OURS)
        elif node != self.first_primary(request.partition):
            reply(NOT_YOURS)
        else:
            self._when_durable(Reaped(len(self.reap(request.tombstones))), reply)

    def ask_own(self, request: Holding, reply: Reply) -> None:
        """The same question of this node itself. StoreError."""
        self._when_durable(self.held(request.partition, request.tombstones), reply)

    # --- what is held -------------------------------------------------------------------------------------------------

    def held(self, partition: int, tombstones: Sequence[Tombstone]) -> Held:
        """What is held as of now, durable or not. StoreError."""
        identity = self._replica.identity
        targets = self._owed_in(partition)
        stands = tuple(self._stand(partition, one, targets) for one in tombstones)
        drops = self._replica.drops[partition]
        mark = _mark.pack(*self._life, identity.incarnation, drops)
        return Held(stands, identity.confirmed and identity.complete_in(partition), mark)

    def reap(self, tombstones: Sequence[Tombstone]) -> set[tuple[str, bytes]]:
        """Drop what is still as it is said to be; which were. StoreError."""
        return self._replica.reap((one.bucket, one.key, one.digest) for one in tombstones)

    def first_primary(self, partition: int) -> str:
        """Who looks after the partition's tombstones, whatever the bucket's n; "" while the cluster is not formed."""
        placement = self._membership.placement
        return "" if placement is None else placement.preference(partition)[0]

    def _stand(self, partition: int, asked: Tombstone, targets: Sequence[str]) -> Stand:
        bucket, key = asked.bucket, asked.key
        owed_to = [target for target in targets if self._hints.get(target, partition, bucket, key) is not None]
        try:
            copy = self._replica.read(partition, bucket, key)
        except (DamagedRecord, StoreReadFailed):
            return Stand("unreadable", "")
        return Stand(*state_of(None if copy is None else copy.digest, asked.digest, owed_to))

    def _owe_strays(self, node: str, tombstones: Sequence[Tombstone], held: Held) -> None:
        """A copy at no primary is kept for somebody. One that lost its hint would stay for good, and keep the tombstone
        too; with a hint for a primary it is handed off and dropped."""
        own = self._replica.identity.node
        for one, stand in zip(tombstones, held.stands, strict=True):
            if stand.state in ("same", "differs") and not self._membership.is_primary(own, one.bucket, one.key):
                self._replica.owe(node, one.bucket, one.key)

    def _owed_in(self, partition: int) -> list[str]:
        """Nodes that are owed any record of the partition: nearly always none, which saves a look for each key."""
        return [
            target
            for target in sorted(self._membership.members)
            if self._store.scan(*hint_range(target, partition), limit=1)
        ]

    def _fits(self, partition: int, tombstones: Sequence[Tombstone]) -> bool:
        replica = self._replica
        return partition < replica.partitions and all(
            BUCKET_NAME.match(one.bucket) and replica.partition(one.bucket, one.key) == partition for one in tombstones
        )

    def _when_durable(self, answer: Answer, reply: Reply) -> None:
        def durable(error: Exception | None) -> None:
            reply(answer if error is None else Failed("sync failed", str(error), True))

        self._replica.durable(durable)
