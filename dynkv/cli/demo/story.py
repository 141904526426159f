"""What happens in the demo, in order."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any, NamedTuple

from dynkv.cli.call import call
from dynkv.cli.demo.check import Verdict
from dynkv.cli.demo.clients import LOADED_KEYS, READERS, WRITERS, Outcome
from dynkv.cli.demo.conflict import SETTLED, make_and_resolve
from dynkv.cli.demo.screen import Screen
from dynkv.cli.demo.summary import Summary
from dynkv.cli.demo.workload import Command, Snapshot, Word, WorkloadProcess
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.throwaway import ThrowawayCluster

NODES = 3
VICTIM = "n2"
BEFORE_S = 4.0
DOWN_S = 6.0
AFTER_S = 2.0
LOST_S = 2.0
CONFLICTS = 3

# What the demo waits for before it goes on without: it ends below 40 s even where something is wrong.
RESTART_S = 10.0
DRAIN_S = 8.0
REFILL_S = 10.0

HINTS_EVERY_S = 0.25
# While handoff is watched: its time is measured to about this.
HINTS_CLOSELY_S = 0.02


def tell(screen: Screen, *, keep: bool, show: Callable[[str], None] | None = None) -> Summary:
    """Run it all; what came of it. `show`: is told the address of the status page once there is one."""
    began = time.monotonic()
    screen.step(f"starting {NODES} nodes")
    with ThrowawayCluster(NODES, keep=keep) as cluster, WorkloadProcess(cluster.targets) as pipe:
        if show is not None:
            show(f"http://{next(iter(cluster.targets.values()))}/")
        story = _Story(screen, cluster, pipe)
        return story.tell(began, keep=keep)


class Refilled(NamedTuple):
    """`keys` that came back by comparison; took_ms: None if it did not end in time."""

    keys: int
    took_ms: float | None


class _Story:
    def __init__(self, screen: Screen, cluster: ThrowawayCluster, pipe: Pipe) -> None:
        self._screen = screen
        self._cluster = cluster
        self._pipe = pipe
        self._done: list[Any] = []
        self._hints_every_s = HINTS_EVERY_S
        self._hints_seen = 0.0
        self._hints = 0
        self._hints_peak = 0
        # When the backlog was last at its peak: from there on it is being paid.
        self._peak_at = 0.0
        self._note = ""
        self._refilling = False
        self._complete = False
        self._pulled = 0

    def tell(self, began: float, *, keep: bool) -> Summary:
        self._load_and_run()
        paid_before = self._paid()
        self._kill()
        conflicts = self._conflicts()
        self._attend(DOWN_S - 2.0)
        handoff_ms = self._restart()
        self._attend(AFTER_S)
        refill = self._second_act()
        outcome = self._ask("halt")
        assert isinstance(outcome, Outcome)
        self._attend(DRAIN_S, lambda: self._hints == 0)
        hints_paid = self._paid() - paid_before
        verdict = self._verify()
        cluster = self._cluster
        return Summary(
            ok=not (verdict.lost or outcome.refused or outcome.wrong_reads)
            and conflicts == CONFLICTS
            and refill.took_ms is not None,
            acknowledged=outcome.acknowledged,
            lost=len({lost.split(" through ")[0] for lost in verdict.lost}),
            refused=outcome.refused,
            wrong_reads=outcome.wrong_reads,
            requests=outcome.requests,
            retried=outcome.retried,
            availability=round(1 - outcome.refused / outcome.requests, 6),
            longest_gap_ms=outcome.longest_gap_ms,
            latency=outcome.latency,
            conflicts_resolved=conflicts,
            hints_peak=self._hints_peak,
            hints_paid=hints_paid,
            handoff_ms=handoff_ms,
            refilled_keys=refill.keys,
            refill_ms=refill.took_ms,
            checked_reads=verdict.reads,
            late_reads=verdict.late,
            killed=VICTIM,
            seconds=round(time.monotonic() - began, 1),
            nodes=[_row(name, node.pid, cluster.targets[name]) for name, node in cluster.nodes.items()]
            if keep
            else None,
            directory=str(cluster.directory) if keep else None,
            complaints=[*outcome.complaints, *(f"lost: {lost}" for lost in verdict.lost)][:20],
        )

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _load_and_run(self) -> None:
        self._screen.step(f"all serve; loading {LOADED_KEYS:,} keys")
        self._ask("load")
        self._screen.step(f"{READERS} readers and {WRITERS} writers, spread over all nodes")
        self._ask("run")
        self._attend(BEFORE_S)

    def _kill(self) -> None:
        self._ask("phase", "during")
        self._cluster.kill(VICTIM)
        self._screen.step(f"killed {VICTIM} (kill -9); the clients go on")
        self._attend(2.0)

    def _conflicts(self) -> int:
        urls = [f"http://{target}" for name, target in self._cluster.targets.items() if name != VICTIM]
        resolved = 0
        for number in range(CONFLICTS):
            key = f"conflict-{number}"
            settled = make_and_resolve(key, urls[0], urls[-1])
            self._ask("expect", (key, SETTLED, settled.acknowledged))
            resolved += settled.resolved and settled.siblings == 2
        self._screen.step(f"{CONFLICTS} conflicts: two writers each, both values kept; {resolved} resolved by a third")
        return resolved

    def _restart(self) -> float | None:
        """Start the victim again and watch what is owed to it; how long paying took, None if it did not end in time."""
        self._screen.step(f"{self._hints:,} hints wait for {VICTIM}; starting it again")
        self._hints_every_s = HINTS_CLOSELY_S
        self._cluster.start(VICTIM)
        self._attend(RESTART_S, lambda: self._cluster.is_ready(VICTIM))
        self._ask("phase", "after")
        self._ask("alive", VICTIM)
        self._screen.step(f"{VICTIM} is back")
        self._attend(DRAIN_S, lambda: self._hints == 0)
        self._hints_every_s = HINTS_EVERY_S
        if self._hints:
            self._screen.step(f"{self._hints:,} hints still wait")
            return None
        took_ms = round((self._hints_seen - self._peak_at) * 1000, 1)
        self._screen.step(f"all hints paid in {took_ms:,.0f} ms")
        return took_ms

    def _second_act(self) -> Refilled:
        """Kill the victim again, take its disk from it, and watch it being refilled by the others."""
        self._ask("phase", "refill")
        self._cluster.kill(VICTIM)
        self._cluster.delete_data(VICTIM)
        self._screen.step(f"second act: killed {VICTIM} again, and deleted its data directory")
        self._attend(LOST_S)
        self._cluster.start(VICTIM)
        self._attend(RESTART_S, lambda: self._cluster.is_ready(VICTIM))
        self._ask("alive", VICTIM)
        self._screen.step(f"{VICTIM} is back with nothing; its answers count to no quorum until the others refilled it")
        began = time.monotonic()
        self._refilling = True
        self._attend(REFILL_S, lambda: self._complete)
        self._refilling = False
        took_ms = round((time.monotonic() - began) * 1000, 1) if self._complete else None
        if took_ms is None:
            self._screen.step(f"{VICTIM} is not whole yet")
        else:
            self._screen.step(f"{VICTIM} has {self._pulled:,} keys back in {took_ms:,.0f} ms")
        return Refilled(self._pulled, took_ms)

    def _look_at_refill(self) -> None:
        """How far the victim is, as it says itself."""
        view = call(f"http://{self._cluster.targets[VICTIM]}", "GET", "/antientropy", timeout_s=2.0).json()
        row = next(row for row in view["nodes"] if row["id"] == VICTIM)
        self._complete = row["complete"]
        self._pulled = row["totals"]["keys_pulled"]
        done = row["refill"] or {"done": view["partitions"], "total": view["partitions"]}
        self._note = f"refilled {done['done']} of {done['total']} partitions"

    def _verify(self) -> Verdict:
        self._screen.step("reading every acknowledged write from every node, at r=1 and at r=3")
        verdict = self._ask("verify")
        assert isinstance(verdict, Verdict)
        self._screen.step(f"{verdict.reads:,} reads compared")
        return verdict

    # --- meanwhile ----------------------------------------------------------------------------------------------------

    def _ask(self, word: Word, argument: Any = None) -> Any:
        """Say it to the clients, and attend until they have done it."""
        self._pipe.send(Command(word, argument))
        self._attend(None, lambda: bool(self._done))
        return self._done.pop()

    def _attend(self, seconds: float | None, until: Callable[[], bool] | None = None) -> None:
        """Keep the screen and the hints up to date for so long, or until it is so."""
        end = None if seconds is None else time.monotonic() + seconds
        while not (until is not None and until()) and not (end is not None and time.monotonic() >= end):
            if self._pipe.poll(min(0.02, self._hints_every_s)):
                self._hear()
            if time.monotonic() - self._hints_seen >= self._hints_every_s:
                self._look_at_hints()
                if self._refilling:
                    self._look_at_refill()

    def _hear(self) -> None:
        try:
            kind, what = self._pipe.recv()
        except EOFError as error:
            raise Failure(Exit.BUG, "the demo's clients ended by themselves") from error
        if kind == "done":
            self._done.append(what)
        else:
            assert isinstance(what, Snapshot)
            self._screen.figures(what, self._note)

    def _look_at_hints(self) -> None:
        self._hints = sum(told["targets"].get(VICTIM, {"count": 0})["count"] for told in self._told())
        self._hints_seen = time.monotonic()
        self._note = f"hints {self._hints:,}"
        if self._hints >= self._hints_peak:
            self._hints_peak = self._hints
            self._peak_at = self._hints_seen

    def _paid(self) -> int:
        return sum(int(told["paid"]) for told in self._told())

    def _told(self) -> list[dict[str, Any]]:
        """What the others say that they owe."""
        others = [target for name, target in self._cluster.targets.items() if name != VICTIM]
        return [call(f"http://{target}", "GET", "/hints", timeout_s=2.0).json() for target in others]


def _row(name: str, pid: int, target: str) -> dict[str, str | int]:
    return {"id": name, "pid": pid, "http": f"http://{target}"}
