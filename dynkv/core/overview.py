"""The cluster as all of its nodes tell it together: surveys in, one overview out.

Pure: what was told, what the asked node knows of its cluster, and the time are arguments. Each number comes from
whoever knows it first hand: a pair from the node that compares it, hints from those that keep them, a node's trees and
load from itself. A node that did not answer is described by its link alone; what only it could have told is unknown.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from dynkv.core.overview_estimate import estimate
from dynkv.core.overview_pairs import counts, of_nodes, pair_rows
from dynkv.core.overview_rows import (
    ClusterFacts,
    HintRow,
    Holder,
    KnownMember,
    LeavesRow,
    LogRow,
    NodeRow,
    NodeState,
    Overview,
    Rows,
    RunningRow,
)
from dynkv.core.overview_words import verdict
from dynkv.core.survey import CONVERGENCE_BOUNDS_S, Entry, NodeSurvey, Owed, PeerView

LOG_ROWS = 200

_BUCKETS = len(CONVERGENCE_BOUNDS_S) + 1


def overview(
    surveys: Mapping[str, NodeSurvey | None],
    facts: ClusterFacts,
    now_ms: int,
    whys: Mapping[str, str] | None = None,
) -> Overview:
    """All of `surveys` (None: did not answer; `whys` may say why) put together, as seen at `now_ms`.

    The asked node's own survey must be there. All times are of its clock (`survey.rebased`).
    """
    told = {name: survey for name, survey in surveys.items() if survey is not None}
    own = told[facts.node]
    hints = _hint_rows(told)
    nodes = tuple(_node_row(member, told, facts, hints, whys or {}) for member in facts.members)
    absent = {node.id: _absence(node) for node in nodes if node.state != "up"}
    pairs = pair_rows(told, facts, absent, now_ms, own.cycle_s)
    rows = Rows(
        node=facts.node,
        at_ms=now_ms,
        partitions=facts.partitions,
        n=facts.n,
        cycle_s=own.cycle_s,
        nodes=nodes,
        counts=counts(pairs),
        pairs=pairs,
        hints=hints,
        running=_running_rows(told),
        log=_log_rows(told),
        leaves=_leaves_rows(told),
        totals=_totals(told),
        convergence=_convergence(told),
        tombstones=_tombstones(told),
    )
    return Overview(**_fields(rows), verdict=verdict(rows), estimate=estimate(rows))


def _fields(struct: Any) -> dict[str, Any]:
    return structs.asdict(struct)


# --- nodes ------------------------------------------------------------------------------------------------------------


def _node_row(
    member: KnownMember,
    told: Mapping[str, NodeSurvey],
    facts: ClusterFacts,
    hints: tuple[HintRow, ...],
    whys: Mapping[str, str],
) -> NodeRow:
    name = member.id
    survey = told.get(name)
    link = _view_of(told[facts.node], name)
    return NodeRow(
        id=name,
        http=member.http,
        region=member.region,
        zone=member.zone,
        host=member.host,
        state=_state(member, survey, link),
        why="" if survey is not None else whys.get(name, "no answer in time"),
        latency_ms=None if link is None else link.latency_ms,
        last_heard_s=None if link is None else link.last_heard_s,
        unreached_by=tuple(sorted(other for other, said in told.items() if other != name and not _reaches(said, name))),
        replicas=sum(name in preference[: facts.n] for preference in facts.preference),
        owed=sum(hint.count for hint in hints if hint.target == name),
        **({} if survey is None else _said_of_itself(survey)),
    )


def _state(member: KnownMember, survey: NodeSurvey | None, link: PeerView | None) -> NodeState:
    if survey is not None:
        return "up"
    if member.http is None:
        return "unheard"
    if link is None:
        return "down"
    return "silent" if link.state == "up" else link.state


def _said_of_itself(survey: NodeSurvey) -> dict[str, Any]:
    return {
        "complete": survey.complete,
        "not_ready": survey.not_ready,
        "refill": survey.refill and _fields(survey.refill),
        "trees": _fields(survey.trees),
        "load": _fields(survey.load),
        "totals": _fields(survey.totals),
        "scrub": _fields(survey.scrub),
        "tombstones": {"waiting": _reasons(dict(survey.tombstones.waiting)), "reaped": survey.tombstones.reaped},
    }


def _absence(node: NodeRow) -> str:
    """Why pairs of this node are unknown."""
    return {
        "down": f"{node.id} is down",
        "suspected": f"{node.id} is suspected to be down",
        "unheard": f"{node.id} was never heard of",
    }.get(node.state, f"{node.id} did not say how it is")


def _view_of(survey: NodeSurvey, name: str) -> PeerView | None:
    return next((peer for peer in survey.peers if peer.node == name), None)


def _reaches(survey: NodeSurvey, name: str) -> bool:
    view = _view_of(survey, name)
    return view is not None and view.state == "up"


# --- what nodes tell, put together ------------------------------------------------------------------------------------


def _hint_rows(told: Mapping[str, NodeSurvey]) -> tuple[HintRow, ...]:
    by_target: dict[str, list[tuple[str, Owed]]] = defaultdict(list)
    for name, survey in sorted(told.items()):
        for owed in survey.hints:
            by_target[owed.target].append((name, owed))
    rows = []
    for target, kept in sorted(by_target.items()):
        times = [owed.oldest_ms for _, owed in kept if owed.count and owed.oldest_ms]
        rows.append(
            HintRow(
                target=target,
                count=sum(owed.count for _, owed in kept),
                bytes=sum(owed.bytes for _, owed in kept),
                oldest_ms=min(times, default=None),
                paid_per_s=sum(owed.paid_per_s for _, owed in kept),
                holders=tuple(
                    Holder(node=name, count=owed.count, bytes=owed.bytes, paid_per_s=owed.paid_per_s)
                    for name, owed in kept
                ),
            )
        )
    return tuple(rows)


def _running_rows(told: Mapping[str, NodeSurvey]) -> tuple[RunningRow, ...]:
    return tuple(RunningRow(by=name, **_fields(one)) for name, survey in sorted(told.items()) for one in survey.running)


def _log_rows(told: Mapping[str, NodeSurvey]) -> tuple[LogRow, ...]:
    rows = [_log_row(survey, entry) for survey in told.values() for entry in survey.log]
    rows.sort(key=lambda row: (row.ended_ms, row.id), reverse=True)
    return tuple(rows[:LOG_ROWS])


def _log_row(survey: NodeSurvey, entry: Entry) -> LogRow:
    return LogRow(
        id=f"{survey.node}/{survey.start}/{entry.number}",
        node=survey.node,
        ended_ms=entry.ended_ms,
        what=entry.what,
        partition=None if entry.partition < 0 else entry.partition,
        peer=entry.peer or None,
        pulled=entry.pulled,
        pushed=entry.pushed,
        bytes=entry.bytes,
        took_ms=entry.took_ms,
        result=entry.result,
    )


def _leaves_rows(told: Mapping[str, NodeSurvey]) -> tuple[LeavesRow, ...]:
    rows = []
    for survey in told.values():
        for found in survey.differing:
            a, b = of_nodes(survey.node, found.peer)
            rows.append(
                LeavesRow(
                    partition=found.partition,
                    n=found.n,
                    a=a,
                    b=b,
                    found_ms=found.found_ms,
                    total=found.total,
                    leaves=found.leaves,
                )
            )
    rows.sort(key=lambda row: (row.partition, row.n, row.a, row.b))
    return tuple(rows)


def _totals(told: Mapping[str, NodeSurvey]) -> dict[str, float]:
    """A key that an exchange pulled or pushed is counted once, by the node that ran it."""
    sums: dict[str, float] = defaultdict(int)
    for survey in told.values():
        for name, value in _fields(survey.totals).items():
            sums[name] += value
    return dict(sums)


def _convergence(told: Mapping[str, NodeSurvey]) -> dict[str, Any]:
    sums: dict[str, list[int]] = {}
    for survey in told.values():
        for row in survey.convergence:
            into = sums.setdefault(row.mechanism, [0] * _BUCKETS)
            for bucket, number in enumerate(row.counts):
                into[bucket] += number
    return {"bounds_s": list(CONVERGENCE_BOUNDS_S), "mechanisms": sums}


def _tombstones(told: Mapping[str, NodeSurvey]) -> dict[str, Any]:
    waiting: dict[str, int] = defaultdict(int)
    for survey in told.values():
        for reason, number in survey.tombstones.waiting:
            waiting[reason] += number
    return {"waiting": _reasons(waiting), "reaped": sum(survey.tombstones.reaped for survey in told.values())}


def _reasons(waiting: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"why": why, "count": number} for why, number in sorted(waiting.items(), key=lambda item: -item[1])]
