"""Setting a bucket: stored at this node, then told to every member; done when most of them have it durably.

r, w and the conflict policy may change at any time. n decides where the bucket's keys live, and nothing moves them yet:
a new primary would answer "not found" for keys it was never given. So n changes only while the bucket is empty, and
every member has to say so.
"""

import asyncio
from collections.abc import Callable

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter, QuorumUnmet, StoreError
from dynkv.membership import Membership
from dynkv.peer.gossip_messages import GossipReply
from dynkv.peer.messages import Absent, Answer, Found, HoldsAny, Request
from dynkv.peer.transport import Failure, Outcome, Transport
from dynkv.replica import Replica

TIMEOUT_S = 5.0


class SetBucket:
    """Sets buckets on behalf of clients."""

    def __init__(self, node: str, membership: Membership, replica: Replica, transport: Transport) -> None:
        self._node = node
        self._membership = membership
        self._replica = replica
        self._transport = transport

    async def put(self, name: str, settings: BucketSettings) -> None:
        """BadParameter if the settings are impossible; QuorumUnmet if too few members have them at the deadline."""
        members = self._membership.members
        settings.validate(len(members))
        if settings.n != self._membership.bucket(name).n:
            await self._check_empty(name)
        self._membership.set_bucket(name, settings)
        needed = len(members) // 2 + 1
        own: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._replica.durable(own.set_result)
        said = await self._ask_all(self._membership.gossip)
        replicas = {node: "ok" if isinstance(answer, GossipReply) else _why(answer) for node, answer in said.items()}
        error = await own
        replicas[self._node] = "ok" if error is None else str(error)
        got = sum(1 for word in replicas.values() if word == "ok")
        if got < needed:
            raise QuorumUnmet(
                f"the settings reached {got} of {needed} members needed; they go on spreading",
                outcome="ambiguous",
                needed={"members": needed},
                got={"members": got},
                replicas=replicas,
            )

    async def _check_empty(self, name: str) -> None:
        try:
            own = self._replica.holds_any(name)
        except StoreError as error:
            raise self._unknown({self._node: str(error)}) from error
        said = await self._ask_all(lambda node: HoldsAny(name))
        holders = [node for node, answer in said.items() if isinstance(answer, Found)]
        if own or holders:
            where = ", ".join(sorted([*holders, *([self._node] if own else [])]))
            raise BadParameter("n", f"cannot change: the bucket holds keys (on {where})", "n of an empty bucket")
        silent = {node: _why(answer) for node, answer in said.items() if not isinstance(answer, Absent)}
        if silent:
            raise self._unknown(silent)

    @staticmethod
    def _unknown(silent: dict[str, str]) -> QuorumUnmet:
        return QuorumUnmet(
            "n changes only while the bucket is empty, and not every member could say so; nothing was changed",
            outcome="not_applied",
            needed={"members": len(silent)},
            got={"members": 0},
            replicas=silent,
        )

    async def _ask_all(self, question: Callable[[str], Request]) -> dict[str, Outcome]:
        """The answer, or the failure, of every other member to its own question."""
        loop = asyncio.get_running_loop()
        others = [node for node in self._membership.members if node != self._node]
        answers: dict[str, asyncio.Future[Outcome]] = {node: loop.create_future() for node in others}
        for node, answer in answers.items():
            self._transport.request(node, question(node), TIMEOUT_S, answer.set_result)
        return {node: await answer for node, answer in answers.items()}


def _why(answer: Answer | Failure) -> str:
    return answer.kind if isinstance(answer, Failure) else str(getattr(answer, "detail", "no answer"))
