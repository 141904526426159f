"""Asking all nodes how they are, when somebody looks.

Nothing is asked in the background: the first look asks every peer once, all at the same time, each with
SURVEY_TIMEOUT_S to answer; looks within FRESH_S after that share what was told. A peer whose link is down is not waited
for.

Each node's times are of its own clock. The difference to ours is taken when its survey comes and kept until it is off
by more than a second: were it taken anew each time, network delays would make all of its times a little different at
each look. What is below a second is not corrected, so an age may be off by that much.
"""

import asyncio
from collections.abc import Callable

import msgspec

from dynkv.core import survey as surveys
from dynkv.core.overview import overview
from dynkv.core.overview_rows import ClusterFacts, KnownMember, Overview
from dynkv.core.survey import NodeSurvey
from dynkv.membership import Membership
from dynkv.peer.messages import Answer, Failed, Request, Survey, Surveyed
from dynkv.peer.transport import Outcome, Transport
from dynkv.runtime import Clock

SURVEY_TIMEOUT_S = 1.0
FRESH_S = 0.5
SKEW_MS = 1_000


class Surveying:
    """One node's way to the overview, and its answer to others who want theirs.

    `own`: this node's survey of this moment. `facts`: what it knows of its cluster.
    """

    def __init__(
        self,
        *,
        own: Callable[[], NodeSurvey],
        facts: Callable[[], ClusterFacts],
        transport: Transport,
        clock: Clock,
    ) -> None:
        self.own = own
        self._facts = facts
        self._transport = transport
        self._clock = clock
        self._asking: asyncio.Future[None] | None = None
        self._asked_at = float("-inf")
        self._told: dict[str, NodeSurvey | None] = {}
        self._whys: dict[str, str] = {}
        self._skews: dict[str, int] = {}
        self._view: Overview | None = None

    async def overview(self) -> Overview:
        """The cluster as its nodes tell it, at most FRESH_S old."""
        if self._view is not None and self._clock.now() - self._asked_at < FRESH_S:
            return self._view
        if self._asking is None:
            self._asking = self._ask()
        await asyncio.shield(self._asking)  # one who gives up must not end the asking for the others
        if self._view is None:
            told = {**self._told, self._facts().node: self.own()}
            self._view = overview(told, self._facts(), self._clock.wall_ms(), self._whys)
        return self._view

    def serve(self, node: str, request: Request, deadline: float, reply: Callable[[Answer], None]) -> None:
        """Answer a peer's Survey; as `peer.transport.Handler`."""
        reply(Surveyed(surveys.encode(self.own())))

    def _ask(self) -> asyncio.Future[None]:
        """Ask everybody; done when the last has answered or will not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = set(self._transport.peers())
        told: dict[str, NodeSurvey | None] = dict.fromkeys(waiting)
        whys: dict[str, str] = {}

        def finish() -> None:
            self._told, self._whys, self._view = told, whys, None
            self._asked_at = self._clock.now()
            self._asking = None
            done.set_result(None)

        def heard(name: str, outcome: Outcome) -> None:
            survey = self._read(name, outcome)
            if isinstance(survey, str):
                whys[name] = survey
            else:
                told[name] = survey
            waiting.discard(name)
            if not waiting and not done.done():
                finish()

        if not waiting:
            asyncio.get_running_loop().call_soon(finish)
        for name in tuple(waiting):
            self._transport.request(name, Survey(), SURVEY_TIMEOUT_S, lambda outcome, name=name: heard(name, outcome))  # type: ignore[misc]  # a lambda's default has no type
        return done

    def _read(self, name: str, outcome: Outcome) -> NodeSurvey | str:
        """The survey in our time, or why there is none."""
        if isinstance(outcome, Failed):
            return f"it failed: {outcome.code}"
        if not isinstance(outcome, Surveyed):
            kind = getattr(outcome, "kind", "no survey came")
            return f"no answer within {SURVEY_TIMEOUT_S:g} s" if kind == "timed out" else str(kind)
        try:
            survey = surveys.decode(outcome.survey)
        except msgspec.DecodeError:
            return "its survey cannot be read; is it of another version?"
        if survey.node != name:
            return f"its survey is one of {survey.node!r}"
        skew = self._clock.wall_ms() - survey.wall_ms
        known = self._skews.get(name, 0)
        if abs(skew - known) > SKEW_MS:
            known = self._skews[name] = skew
        return surveys.rebased(survey, known)


def known_cluster(node: str, configured: tuple[str, ...], membership: Membership, partitions: int) -> ClusterFacts:
    """What `membership` knows of the cluster."""
    members = []
    for name in sorted(configured):
        entry = membership.members.get(name)
        if entry is None:
            members.append(KnownMember(id=name, http=None))
        else:
            members.append(KnownMember(id=name, http=entry.http, region=entry.region, zone=entry.zone, host=entry.host))
    placement = membership.placement
    return ClusterFacts(
        node=node,
        partitions=partitions,
        n=membership.defaults.n,
        members=tuple(members),
        preference=tuple(placement.preference(partition) for partition in range(partitions)) if placement else (),
    )
