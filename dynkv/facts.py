"""The node as HTTP sees it: what `dynkv.http.view.NodeView` asks for, gathered from the parts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dynkv.coordinator.bucket import SetBucket
from dynkv.coordinator.where import Where
from dynkv.core.context import Tokens
from dynkv.core.errors import NotFormed
from dynkv.hints import HintBook
from dynkv.http.view import HttpLimits
from dynkv.identity import Identity
from dynkv.membership import Membership
from dynkv.metrics import Exposition
from dynkv.peer.transport import Transport
from dynkv.runtime import Clock, Random
from dynkv.surveying import Surveying
from ring.tokens import partition_of, token

# (partition or all, node or all) -> how many each node has begun; `NodeView.run_antientropy`.
CompareNow = Callable[[int | None, str | None], Awaitable[Mapping[str, Any]]]


class Facts:
    """A `NodeView`. `troubles` says why the node should get no requests, beyond an unformed cluster."""

    def __init__(
        self,
        *,
        identity: Identity,
        clock: Clock,
        random: Random,
        tokens: Tokens,
        limits: HttpLimits,
        partitions: int,
        addresses: Mapping[str, str],
        membership: Membership,
        transport: Transport,
        hints: HintBook,
        buckets: SetBucket,
        where: Where,
        exposition: Exposition,
        troubles: Callable[[], Sequence[str]],
        surveying: Surveying,
        compare_now: CompareNow,
    ) -> None:
        self.node_id = identity.node
        self.clock = clock
        self.random = random
        self.tokens = tokens
        self.limits = limits
        self.bucket_settings = membership.bucket
        self.set_bucket = buckets.put
        self.where = where.look
        self.metrics = exposition.page
        self._identity = identity
        self._partitions = partitions
        self._addresses = addresses
        self._membership = membership
        self._transport = transport
        self._hints = hints
        self._troubles = troubles
        self.survey = surveying.own
        self.overview = surveying.overview
        self._compare_now = compare_now

    def nodes(self) -> Mapping[str, Any]:
        return {"node": self.node_id, "nodes": [self._node(name) for name in sorted(self._addresses)]}

    def _node(self, name: str) -> dict[str, Any]:
        entry = self._membership.members.get(name)
        said: dict[str, Any] = {"id": name, "peer": self._addresses[name], "hints_owed": self._owed(name)}
        if entry is None:
            said |= {"state": "unheard", "http": None}
        else:
            said |= {
                "http": entry.http,
                "region": entry.region,
                "zone": entry.zone,
                "host": entry.host,
                "weight": entry.weight,
                "incarnation": f"{entry.incarnation:016x}",
                "start_count": entry.start_count,
            }
        if name == self.node_id:
            return said | {"state": "self", "complete": self._identity.complete}
        peer = self._transport.peers()[name]
        return said | {
            "state": peer.state,
            "last_heard_s": peer.last_heard_s,
            "latency_ms": peer.latency_ms,
            "in_flight": peer.in_flight,
            "queue_bytes": peer.queue_bytes,
            "reconnects": peer.reconnects,
            "refusal": peer.refusal,
        }

    def _owed(self, name: str) -> int:
        backlog = self._hints.backlogs.get(name)
        return 0 if backlog is None else backlog.count

    def ring(self) -> Mapping[str, Any]:
        placement = self._membership.placement
        if placement is None:
            raise NotFormed(f"the cluster is not formed yet: never heard of {', '.join(self._membership.unheard())}")
        return {
            "partitions": self._partitions,
            "n": self._membership.defaults.n,
            "members": sorted(self._membership.members),
            "preference": [list(placement.preference(partition)) for partition in range(self._partitions)],
        }

    def locate(self, bucket: str, key: bytes) -> Mapping[str, Any]:
        n = self._membership.bucket(bucket).n
        plan = self._membership.plan(bucket, key, n)
        place = token(bucket, key)
        return {
            "bucket": bucket,
            "key": key.decode("utf-8", "backslashreplace"),
            "token": f"{place:016x}",
            "partition": partition_of(place, self._partitions),
            "primaries": list(plan.primaries),
            "preference": [*plan.primaries, *plan.fallbacks],
        }

    def hints(self) -> Mapping[str, Any]:
        now_ms = self.clock.wall_ms()
        targets = {
            name: {
                "count": backlog.count,
                "bytes": backlog.bytes,
                "oldest_age_s": round(max(0, now_ms - backlog.oldest_ms) / 1000, 3) if backlog.oldest_ms else None,
            }
            for name, backlog in sorted(self._hints.backlogs.items())
        }
        return {"node": self.node_id, "targets": targets, "paid": self._hints.paid}

    async def run_antientropy(self, partition: int | None, node: str | None) -> Mapping[str, Any]:
        return await self._compare_now(partition, node)

    def ready(self) -> Sequence[str]:
        unheard = self._membership.unheard()
        unformed = [f"the cluster is not formed yet: never heard of {', '.join(unheard)}"] if unheard else []
        return [*unformed, *self._troubles()]
