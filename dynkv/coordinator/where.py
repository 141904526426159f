"""Looking where a key is: every member is asked what it holds, and nothing is repaired.

If the key turns out deleted, it is also said why its tombstone is still there: as the node knows that looks after it,
if that is this one; else by asking all members what that node would ask them (`core.reaping`).
"""

import asyncio
from collections.abc import Callable, Sequence

from dynkv.coordinator.plan import words
from dynkv.core import record as records
from dynkv.core.errors import StoreError
from dynkv.core.plan import Plan
from dynkv.core.reaping import Case, Obstacle, Said, away, grace_left_s, in_grace, state_of
from dynkv.core.record import Record
from dynkv.core.whereabouts import Told, Whereabouts, compare
from dynkv.membership import Membership
from dynkv.peer.asking import ask
from dynkv.peer.messages import Absent, Failed, Found, Read
from dynkv.peer.reaping_messages import Held, Holding, Tombstone
from dynkv.peer.transport import Outcome, Transport
from dynkv.replica import Replica
from dynkv.runtime import Clock

REFILLED = "it is being refilled"


class Where:
    """One node's way of looking. `why`: what this node's reaper says of a tombstone that it looks after, else None."""

    def __init__(
        self,
        node: str,
        replica: Replica,
        membership: Membership,
        transport: Transport,
        clock: Clock,
        grace_s: float,
        why: Callable[[str, bytes], Obstacle | None],
    ) -> None:
        self._node = node
        self._replica = replica
        self._membership = membership
        self._transport = transport
        self._clock = clock
        self._grace_s = grace_s
        self._why = why

    async def look(self, bucket: str, key: bytes, timeout_s: float) -> Whereabouts:
        """What every member holds, as far as it says so in time. NotFormed."""
        deadline = self._clock.now() + timeout_s
        plan = self._membership.plan(bucket, key, self._membership.bucket(bucket).n)
        members = (*plan.primaries, *plan.fallbacks)
        told = await asyncio.gather(*(self._told(member, plan, bucket, key, timeout_s) for member in members))
        found = compare(plan, dict(zip(members, told, strict=True)))
        if found.record is None or not records.is_deleted(found.record):
            return found
        left_s = deadline - self._clock.now()
        return found._replace(tombstone=(await self._obstacle(found, found.record, bucket, key, left_s)).text)

    # --- who holds what -----------------------------------------------------------------------------------------------

    async def _told(self, member: str, plan: Plan, bucket: str, key: bytes, timeout_s: float) -> Told:
        if member == self._node:
            return self._own(plan, bucket, key)
        if not self._transport.available(member):
            return Told(None, "unreachable", "down or suspected")
        outcome = await ask(self._transport, member, Read(bucket, key, True), timeout_s)
        if isinstance(outcome, Found | Absent):
            record = outcome.record if isinstance(outcome, Found) else None
            return Told(record, "", "" if outcome.complete else REFILLED)
        if isinstance(outcome, Failed):
            return Told(None, "unreadable", outcome.detail or outcome.code)
        return Told(None, "unreachable", words(outcome))

    def _own(self, plan: Plan, bucket: str, key: bytes) -> Told:
        try:
            copy = self._replica.read(plan.partition, bucket, key)
        except StoreError as error:
            return Told(None, "unreadable", str(error))
        why = "" if self._replica.identity.complete_in(plan.partition) else REFILLED
        return Told(None if copy is None else copy.record, "", why)

    # --- why the tombstone is there -----------------------------------------------------------------------------------

    async def _obstacle(
        self, found: Whereabouts, record: Record, bucket: str, key: bytes, timeout_s: float
    ) -> Obstacle:
        plan = found.plan
        first = plan.primaries[0]
        if first == self._node and (known := self._why(bucket, key)) is not None:
            return known
        grace_s = grace_left_s(record, self._grace_s, self._clock.wall_ms())
        if grace_s > 0:
            return in_grace(grace_s)
        for holder in found.holders:
            if holder.state == "unreachable":
                return away(holder.node)
        members = (*plan.primaries, *plan.fallbacks)
        question = Holding(plan.partition, (Tombstone(bucket, key, found.digest),), claims=False)
        said = await asyncio.gather(*(self._said(member, members, question, timeout_s) for member in members))
        case = Case(plan.primaries, plan.fallbacks, 0.0)
        for member, answer in zip(members, said, strict=True):
            if answer is None:
                case.silent(member, "did not answer")
            else:
                case.hear(member, answer, case.round, 0.0)
        return case.obstacle or Obstacle("being confirmed", f"nothing is in its way: {first} is about to see to it")

    async def _said(self, member: str, members: Sequence[str], question: Holding, timeout_s: float) -> Said | None:
        """What a member says to a reaper; None if nothing."""
        if member == self._node:
            return self._own_stand(members, question)
        outcome: Outcome = await ask(self._transport, member, question, timeout_s)
        if not isinstance(outcome, Held) or len(outcome.stands) != 1:
            return None
        return Said(outcome.stands[0].state, outcome.stands[0].hint_for, outcome.sound, outcome.mark)

    def _own_stand(self, members: Sequence[str], question: Holding) -> Said | None:
        replica, asked = self._replica, question.tombstones[0]
        place = (question.partition, asked.bucket, asked.key)
        try:
            copy = replica.read(*place)
            owed_to = [target for target in members if replica.hints.get(target, *place) is not None]
        except StoreError:
            return Said("unreadable", "", True, b"")
        held = None if copy is None else copy.digest
        return Said(*state_of(held, asked.digest, owed_to), replica.identity.complete_in(question.partition), b"")
