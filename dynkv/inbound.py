"""What this node answers to its peers: one clause per message.

Runs on the event loop inside the transport's read, so reads and applies answer by callback without a task of their own.
What a peer sends is data: whatever is wrong with it becomes a `Failed`, never an exception into the transport.
"""

from collections.abc import Callable
from typing import Any

from dynkv.coordinator.coordinator import NodeCoordinator
from dynkv.core.bucket import BUCKET_NAME, KEY_BYTES_MAX
from dynkv.core.errors import DamagedRecord, StoreError, StoreReadFailed, StoreWriteFailed
from dynkv.listing import answer_peer
from dynkv.membership import Membership
from dynkv.new_keys import apply_many
from dynkv.peer.gossip_messages import Gossip
from dynkv.peer.many_messages import COPIES_BYTES, AppliedMany, ApplyMany, Copies, Copy, ListRecords, ReadMany
from dynkv.peer.messages import (
    Absent,
    Answer,
    Applied,
    Apply,
    Failed,
    Forward,
    Found,
    HoldsAny,
    Hurry,
    Read,
    Request,
    Survey,
)
from dynkv.replica import Replica
from dynkv.runtime import Clock, Tasks

Reply = Callable[[Answer], None]
# (from_node, request, deadline, reply): as `peer.transport.Handler`, for one kind of request; may raise StoreError.
Serve = Callable[[str, Any, float, Reply], None]

UNCONFIRMED = Failed("unconfirmed", "it has not heard yet whether its data is the newest there was of it", False)
# What a node answers whose directory may be an old copy. All else would give old things away, deleted ones among them,
# or acknowledge what is about to be set aside.
BEFORE_CONFIRMED = (Gossip, Hurry, Survey)
BAD_NAME = Failed("bad request", "no such key or bucket name", False)


class Inbound:
    """The transport's handler."""

    def __init__(
        self,
        replica: Replica,
        coordinator: NodeCoordinator,
        membership: Membership,
        *,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._replica = replica
        self._coordinator = coordinator
        self._membership = membership
        self._clock = clock
        self._tasks = tasks
        self._services: dict[type, Serve] = {}
        self.asked = 0
        """Reads and writes that peers asked for, nearly all for clients of theirs."""

    def serve(self, kind: type, serve: Serve) -> None:
        """Have requests of `kind` answered by `serve`: the ways of repair, which this module need not know."""
        self._services[kind] = serve

    def handle(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """Answer `request` of `node`; see `peer.transport.Handler`."""
        kind = type(request)
        if not self._replica.identity.confirmed and kind not in BEFORE_CONFIRMED:
            reply(UNCONFIRMED)
            return
        try:
            if kind is Read:
                self.asked += 1
                self._read(request, reply)  # type: ignore[arg-type]  # dispatched by exact type, for speed
            elif kind is Apply:
                self.asked += 1
                self._apply(request, reply)  # type: ignore[arg-type]  # as above
            elif isinstance(request, Forward):
                self._forward(request, deadline, reply)
            elif isinstance(request, HoldsAny):
                self._answer_holds_any(request, reply)
            elif isinstance(request, ApplyMany):
                self._apply_many(request, reply)
            elif isinstance(request, ReadMany):
                self._read_many(request, reply)
            elif isinstance(request, ListRecords):
                self._list(request, reply)
            elif isinstance(request, Gossip):
                self._membership.take(request, node)
                self._reply_when_durable(self._membership.gossip_reply(node), reply)
            else:
                self._services[kind](node, request, deadline, reply)
        except StoreError as error:
            # Other errors than a failed write say that nothing was taken in.
            reply(Failed("store failed", str(error), isinstance(error, StoreWriteFailed)))

    def _read(self, request: Read, reply: Reply) -> None:
        replica = self._replica
        bucket, key = request.bucket, request.key
        if not bucket.isascii():  # all that a stored key cannot carry; of other names there is no record
            reply(BAD_NAME)
            return
        partition = replica.partition(bucket, key)
        try:
            copy = replica.read(partition, bucket, key)
        except DamagedRecord as error:
            reply(Failed("damaged", str(error), False))
            return
        complete = replica.identity.complete_in(partition)
        if copy is None:
            reply(Absent(complete))
            return
        answer = Found(copy.digest, copy.record if request.full else b"", complete)
        if request.durable:
            self._reply_when_durable(answer, reply)
        else:
            reply(answer)

    def _read_many(self, request: ReadMany, reply: Reply) -> None:
        replica = self._replica
        if not all(bucket.isascii() for bucket, _ in request.keys):
            reply(BAD_NAME)
            return
        copies: list[Copy | None] = []
        held = 0
        for bucket, key in request.keys:
            try:
                # Asked once for each of many keys, which would drive those that clients ask for out of the memory.
                found = replica.read(replica.partition(bucket, key), bucket, key, keep=False)
            except (DamagedRecord, StoreReadFailed):
                copies.append(None)
                continue
            size = 0 if found is None else len(found.record)
            if copies and held + size > COPIES_BYTES:
                break
            held += size
            copies.append(Copy(b"", b"") if found is None else Copy(found.digest, found.record))
        reply(Copies(tuple(copies)))

    def _apply(self, request: Apply, reply: Reply) -> None:
        bucket, key = request.bucket, request.key
        if not (0 < len(key) <= KEY_BYTES_MAX and BUCKET_NAME.match(bucket)):
            reply(BAD_NAME)
            return
        if request.hint_for and request.hint_for not in self._membership.members:
            reply(Failed("bad request", "hint for a node that is no member", False))
            return
        digest = self._replica.apply(bucket, key, request.record, request.hint_for)
        self._reply_when_durable(Applied(digest), reply)

    def _apply_many(self, request: ApplyMany, reply: Reply) -> None:
        keys_fit = all(0 < len(one.key) <= KEY_BYTES_MAX for one in request.records)
        if not (keys_fit and all(BUCKET_NAME.match(bucket) for bucket in {one.bucket for one in request.records})):
            reply(BAD_NAME)
            return
        digests: list[bytes] = []
        try:
            apply_many(self._replica, [(one.bucket, one.key, one.record) for one in request.records], digests)
        except StoreError as error:
            reply(Failed("store failed", str(error), any(digests) or isinstance(error, StoreWriteFailed)))
            return
        self._reply_when_durable(AppliedMany(tuple(digests)), reply)

    def _reply_when_durable(self, answer: Answer, reply: Reply) -> None:
        def durable(error: Exception | None) -> None:
            reply(answer if error is None else Failed("sync failed", str(error), True))

        self._replica.durable(durable)

    def _forward(self, request: Forward, deadline: float, reply: Reply) -> None:
        async def serve() -> None:
            reply(await self._coordinator.serve_forward(request, deadline - self._clock.now()))

        self._tasks.start("forwarded write", serve())

    def _list(self, request: ListRecords, reply: Reply) -> None:
        async def serve() -> None:
            reply(await answer_peer(self._replica, request))

        self._tasks.start("list keys for a peer", serve())

    def _answer_holds_any(self, request: HoldsAny, reply: Reply) -> None:
        if not BUCKET_NAME.match(request.bucket):
            reply(BAD_NAME)
        elif self._replica.holds_any(request.bucket):
            reply(Found(b"", b"", self._replica.identity.complete))
        else:
            reply(Absent(self._replica.identity.complete))
