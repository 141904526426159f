"""Known defects of stores of this kind, put back one at a time, for the simulator to catch.

Each is a guard taken out: one method replaced in the running process, nothing in the store itself. `faults`, `nodes`
and the like choose the simulated lives in which it matters, as a careful tester would; `seeds` is within how many of
them it must be found. `python -m tests.simulation.mutations` tries all from seed 1 on, and prints which was found by
which checker and when; `--replay NAME SEED` prints the log of one run.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dynkv.config import Tombstones
from dynkv.coordinator import read as coordinated_read
from dynkv.coordinator.forward import ForwardedWrite
from dynkv.core import record as records
from dynkv.core.quorum import ReadQuorum, WriteQuorum
from dynkv.core.reaping import Said
from dynkv.core.record import Record
from dynkv.core.write import Write
from dynkv.peer.transport import Outcome
from dynkv.repair.handoff import Handoff
from dynkv.repair.reap import Candidate, Reaper
from dynkv.repair.reconcile import Reconciler
from dynkv.replica import Replica, Written
from dynkv.sim import cluster
from dynkv.sim.faults import chosen
from dynkv.sim.options import Options
from dynkv.sim.run import Result, simulate
from dynkv.storage.envelope import Envelope
from dynkv.storage.incarnation import DataDirectory
from dynkv.trees import Trees

Patch = Callable[[pytest.MonkeyPatch], None]


class Mutation(msgspec.Struct, frozen=True):
    """`why`: what goes wrong by it. `known`: a life that finds it, to begin with. The rest as in `Options`."""

    name: str
    why: str
    patch: Patch
    faults: str
    seeds: int
    nodes: int = 3
    seconds: float = 45.0
    operations: int = 1000
    known: int = 1

    def options(self, seed: int) -> Options:
        return Options(
            seed,
            nodes=self.nodes,
            faults=chosen([name for name in self.faults.split(",") if name]) if self.faults != "none" else (),
            seconds=self.seconds,
            operations=self.operations,
        )

    def play(self, seed: int, *, keep: bool = False) -> Result:
        """One run with this defect in."""
        with pytest.MonkeyPatch.context() as patches:
            self.patch(patches)
            return simulate(self.options(seed), keep=keep)

    def hunt(self, first: int = 1) -> Result | None:
        """The first run that fails with this defect in, of as many as it must be found in."""
        return next((result for seed in range(first, first + self.seeds) if (result := self.play(seed)).failed), None)


# --- the defects ------------------------------------------------------------------------------------------------------


def node_as_actor(patches: pytest.MonkeyPatch) -> None:
    def actor(self: Replica, ours: Envelope | None) -> int:
        return int.from_bytes(hashlib.blake2b(self.identity.node.encode(), digest_size=7).digest(), "big")

    patches.setattr(Replica, "_actor", actor)


def only_the_new_value(patches: pytest.MonkeyPatch) -> None:
    coordinate = Replica.coordinate

    def narrowed(self: Replica, write: Write, *rest: Any) -> Written:
        written = coordinate(self, write, *rest)
        record = records.decode(written.record)
        new = tuple(sibling for sibling in record.siblings if sibling.write_id == write.write_id)
        if len(new) != 1 or len(record.siblings) == 1:
            return written
        alone = records.encode(Record(record.vector, new))
        return msgspec.structs.replace(written, record=alone, digest=records.digest(alone))

    patches.setattr(Replica, "coordinate", narrowed)


def hint_deleted_anyway(patches: pytest.MonkeyPatch) -> None:
    paid = Handoff._paid

    def careless(self: Handoff, partition: int, bucket: str, key: bytes, sent: bytes) -> None:
        copy = self._replica.read(partition, bucket, key)
        paid(self, partition, bucket, key, sent if copy is None else copy.digest)

    patches.setattr(Handoff, "_paid", careless)


def fallbacks_absence_counts(patches: pytest.MonkeyPatch) -> None:
    votes = ReadQuorum.votes

    def gullible(self: ReadQuorum) -> tuple[int, int]:
        r, pr = votes(self)
        return r + sum(1 for node in self.absent if node not in self.primaries), pr

    patches.setattr(ReadQuorum, "votes", gullible)


def reaped_early(patches: pytest.MonkeyPatch) -> None:
    """Once the grace period is over, whatever the others hold."""

    async def nobody_asked(self: Reaper, partition: int, chunk: list[Candidate]) -> list[Candidate]:
        for candidate in chunk:
            candidate.case.round, candidate.case.proved, candidate.case.quiet_until = 2, True, 0.0
        return chunk

    patches.setattr(Reaper, "_ask", nobody_asked)
    patches.setattr(Reaper, "_away", lambda self: [])


def fallbacks_not_asked(patches: pytest.MonkeyPatch) -> None:
    """In a cluster that reaps so soon that it matters often."""
    take_in = Reaper._take_in

    def primaries_only(member: str, outcome: Outcome, chunk: list[Candidate], now: float) -> None:
        asked = [candidate for candidate in chunk if member in candidate.primaries]
        for candidate in chunk:
            if member not in candidate.primaries:
                candidate.case.hear(member, Said("absent", "", True, b""), candidate.case.round, now)
        if len(asked) == len(chunk):
            take_in(member, outcome, chunk, now)

    patches.setattr(Reaper, "_take_in", staticmethod(primaries_only))
    patches.setattr(Reaper, "_away", lambda self: [])
    patches.setattr(cluster, "TOMBSTONES", Tombstones(grace_s=1.0, quiet_s=2.0))


def acknowledged_unsynced(patches: pytest.MonkeyPatch) -> None:
    begin = Replica.__init__

    def hasty(self: Replica, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.durable = lambda done: done(None)

    patches.setattr(Replica, "__init__", hasty)


def merge_by_order(patches: pytest.MonkeyPatch) -> None:
    merge = records.merge

    def first_wins(ours: Record, theirs: Record) -> Record:
        merged = merge(ours, theirs)
        if merged is ours or merged is theirs:
            return merged
        kept = [sibling for sibling in merged.siblings if sibling in ours.siblings]
        return Record(merged.vector, tuple(kept)) if kept else merged

    patches.setattr(records, "merge", first_wins)


def repair_overwrites(patches: pytest.MonkeyPatch) -> None:
    take = Reconciler._take

    def overwriting(self: Reconciler, *arguments: Any) -> Any:
        merging = self._replica
        self._replica = Overwriting(merging)  # type: ignore[assignment]  # as much of a replica as is asked for here
        try:
            return take(self, *arguments)
        finally:
            self._replica = merging

    patches.setattr(Reconciler, "_take", overwriting)


class Overwriting:
    """A replica whose `apply` takes what comes for what is."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replica, name)

    def apply(self, bucket: str, key: bytes, incoming: bytes) -> bytes:
        replica = self._replica
        slot = replica._slot(bucket, key)
        ours = replica._copy(slot.stored_key)
        actor, incarnation, old = (0, 0, None) if ours is None else (ours.actor, ours.incarnation, ours.digest)
        return replica._save(slot, incoming, actor, incarnation, (), old)


def tree_forgets_merges(patches: pytest.MonkeyPatch) -> None:
    changed = Trees.changed

    def only_new_keys(self: Trees, partition: int, bucket: str, name: int, stored: bytes, old: Any, new: Any) -> None:
        if old is None or new is None:
            changed(self, partition, bucket, name, stored, old, new)

    patches.setattr(Trees, "changed", only_new_keys)


def retry_without_write_id(patches: pytest.MonkeyPatch) -> None:
    send = ForwardedWrite._send

    def under_a_new_id(self: ForwardedWrite, *arguments: Any) -> None:
        write = self._write
        self._write = msgspec.structs.replace(write, write_id=write.write_id + b"'" * len(self._replicas))
        try:
            send(self, *arguments)
        finally:
            self._write = write

    patches.setattr(ForwardedWrite, "_send", under_a_new_id)


class TwiceCounting(ReadQuorum):
    """Counts answers, not who gave them."""

    __slots__ = ("_again",)

    def found(self, node: str, digest: bytes, record: bytes, complete: bool) -> None:
        self._again = getattr(self, "_again", 0) + (node in self._digests)
        super().found(node, digest, record, complete)

    def votes(self) -> tuple[int, int]:
        r, pr = super().votes()
        return r + getattr(self, "_again", 0), pr


def counted_twice(patches: pytest.MonkeyPatch) -> None:
    """A replica that was asked for its digest, and then for its record, or two that answer for one."""
    acknowledged = WriteQuorum.acknowledged

    def doubly(self: WriteQuorum, node: str) -> None:
        acknowledged(self, node)
        if node not in self.primaries and self.sloppy:
            self._got_w += 1  # for itself, and for the one that it stands in for

    patches.setattr(WriteQuorum, "acknowledged", doubly)
    patches.setattr(coordinated_read, "ReadQuorum", TwiceCounting)


def incarnation_kept(patches: pytest.MonkeyPatch) -> None:
    def lives_on(self: DataDirectory, incarnation: int) -> dict[str, object]:
        facts = next_life(self, incarnation)
        if self.incarnation:
            facts["incarnation"] = self.incarnation
        return facts

    next_life = DataDirectory._next_life
    patches.setattr(DataDirectory, "_next_life", lives_on)
    patches.setattr(DataDirectory, "new_incarnation", lambda self, reason: self.incarnation)


MUTATIONS = (
    Mutation(
        "node id as actor",
        "a node that lost its copy counts on, and its new dot covers writes that it never saw",
        node_as_actor,
        "lost-directory,wreck,eio",
        20,
        seconds=15.0,
        known=4,
    ),
    Mutation(
        "only the new value replicated",
        "a receiver takes earlier dots of the same vector for replaced",
        only_the_new_value,
        "cut,kill,delay",
        5,
    ),
    Mutation(
        "hint deleted though the record changed",
        "a fallback drops a copy that the primary has not got",
        hint_deleted_anyway,
        "bridge,delay",
        40,
        nodes=4,
        seconds=15.0,
        known=13,
    ),
    Mutation(
        "a fallback's not-found counted",
        "who was never written to says that nothing is there",
        fallbacks_absence_counts,
        "kill,cut",
        30,
        nodes=7,
        seconds=20.0,
        known=4,
    ),
    Mutation(
        "tombstone reaped early",
        "a replica that was away brings the deleted value back",
        reaped_early,
        "kill,cut,power,stop",
        20,
        seconds=120.0,
    ),
    Mutation(
        "tombstone reaped without asking the fallbacks",
        "an old value that a fallback holds is handed off afterwards",
        fallbacks_not_asked,
        "kill,cut",
        40,
        nodes=5,
        seconds=100.0,
        known=13,
    ),
    Mutation(
        "acknowledgement before sync",
        "an acknowledged write is on no disk",
        acknowledged_unsynced,
        "power,slow-disk",
        3,
    ),
    Mutation(
        "merge that depends on order",
        "replicas keep different siblings",
        merge_by_order,
        "cut,kill,delay",
        5,
        known=2,
    ),
    Mutation(
        "repair that overwrites",
        "what only one replica had is gone",
        repair_overwrites,
        "cut,kill,full,behind,power,bridge",
        20,
    ),
    Mutation("tree not updated on merge", "a difference is never found", tree_forgets_merges, "cut,kill,delay", 3),
    Mutation(
        "retry without write id",
        "one write becomes two siblings",
        retry_without_write_id,
        "pause,resets,one-way,delay,slow",
        40,
        nodes=5,
        known=8,
    ),
    Mutation(
        "hedged answer counted twice",
        "one replica is taken for a quorum",
        counted_twice,
        "pause,kill,cut,slow,delay",
        20,
        nodes=5,
    ),
    Mutation(
        "new incarnation skipped",
        "a counter is used again for another write",
        incarnation_kept,
        "eio",
        60,
        seconds=15.0,
        known=11,
    ),
)


def main() -> int:
    """Try all, or print one run with one defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", nargs=2, metavar=("NAME", "SEED"), help="print the log of one run with one defect")
    arguments = parser.parse_args()
    if arguments.replay:
        name, seed = arguments.replay
        result = next(mutation for mutation in MUTATIONS if mutation.name == name).play(int(seed), keep=True)
        print(*result.lines, result.failed, result.digest, sep="\n")
        return 0
    missed = 0
    for mutation in MUTATIONS:
        began = time.monotonic()
        caught = mutation.hunt()
        missed += caught is None
        what = "NOT CAUGHT" if caught is None else f"seed {caught.seed}: {caught.failed[:120]}"
        print(f"{mutation.name:46} {mutation.seeds:3} seeds  {time.monotonic() - began:5.0f} s  {what}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
