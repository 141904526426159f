"""The verdict on a history: anomalies, or clean, or unknown because what was done proves too little."""

from collections import Counter
from collections.abc import Callable

import msgspec

from dynkv.check import counter_checker, register_checker, session_checker, set_checker
from dynkv.check.history import Anomaly, Fault, History

CHECKERS: dict[str, Callable[[History], list[Anomaly]]] = {
    "set": set_checker.check,
    "register": register_checker.check,
    "counter": counter_checker.check,
    "session": session_checker.check,
}
WORKLOADS = tuple(CHECKERS)

# A run with less of it proves little.
WRITES_PER_S_MIN = 1.0
ANSWERED_MIN = 0.3


class Verdict(msgspec.Struct, frozen=True):
    """state: "clean", "anomalies" or "unknown". why: what makes it unknown, or would if there were no anomalies."""

    state: str
    anomalies: list[Anomaly]
    why: list[str]
    operations: dict[str, int]
    faults: dict[str, int]

    @property
    def kinds(self) -> dict[str, int]:
        """How many anomalies of each kind."""
        return dict(Counter(anomaly.kind for anomaly in self.anomalies))


def decide(history: History) -> Verdict:
    """The verdict."""
    anomalies = CHECKERS[history.head.workload](history)
    if history.head.converged:
        end = max((op.end for op in history.ops if op.ok is not None), default=history.head.seconds)
        anomalies.append(Anomaly("not converged", "", history.head.converged, end))
    why = list(_too_little(history))
    state = "anomalies" if anomalies else "unknown" if why else "clean"
    operations = Counter(f"{op.op} {op.outcome}" for op in history.ops)
    faults = Counter(fault.kind for fault in history.faults if not fault.impossible)
    return Verdict(state, anomalies, why, dict(sorted(operations.items())), dict(sorted(faults.items())))


def _too_little(history: History) -> list[str]:
    head = history.head
    writes = [op for op in history.ops if not op.is_read]
    reads = [op for op in history.ops if op.op == "read"]
    done = sum(op.ok is not None for op in writes)
    found = []
    if done < head.seconds * WRITES_PER_S_MIN:
        found.append(f"only {done} writes were acknowledged in {head.seconds:g} s")
    for name, ops in (("writes", writes), ("reads", reads)):
        answered = sum(op.ok is not None for op in ops)
        if answered < len(ops) * ANSWERED_MIN:
            found.append(f"only {answered} of {len(ops)} {name} were answered")
    found += _unread(history)
    found += _not_injected(history)
    return found


def _unread(history: History) -> list[str]:
    """What the final reads left out."""
    keys = {op.key for op in history.ops if op.op != "final"}
    finals = {(op.key, op.node, op.level) for op in history.ops if op.op == "final" and op.ok is not None}
    places = {(node, level) for _, node, level in finals}
    if not finals or {node for node, _ in places} != set(history.head.nodes):
        silent = sorted(set(history.head.nodes) - {node for node, _ in places})
        return [f"the final values could not be read at {', '.join(silent) or 'any node'}"]
    left_out = sum((key, *place) not in finals for key in keys for place in places)
    return [f"{left_out} of {len(keys) * len(places)} final reads failed"] if left_out else []


def _not_injected(history: History) -> list[str]:
    """The faults that were asked for and did not happen."""
    found = []
    for kind in history.head.faults:
        of_kind: list[Fault] = [fault for fault in history.faults if fault.kind == kind]
        if not any(not fault.impossible for fault in of_kind):
            why = next((fault.impossible for fault in of_kind), "no time for it")
            found.append(f"fault {kind}: not possible here ({why})" if of_kind else f"fault {kind}: {why}")
    return found
