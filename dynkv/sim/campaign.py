"""Many runs, on all processors: results come in the order of their seeds, whichever is done first."""

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import msgspec

from dynkv.sim.options import Options
from dynkv.sim.run import Result, simulate


class Totals(msgspec.Struct):
    """Sums over runs. `failed`: results that failed. `faults`, `errors`: by kind and by message."""

    runs: int = 0
    operations: int = 0
    acknowledged: int = 0
    ambiguous: int = 0
    not_applied: int = 0
    failed_reads: int = 0
    packets: int = 0
    records: int = 0
    reaped: int = 0
    lives: int = 0
    virtual_s: float = 0.0
    converged_s_max: float = 0.0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Result] = []

    def add(self, result: Result) -> None:
        self.runs += 1
        for name in (
            "operations",
            "acknowledged",
            "ambiguous",
            "not_applied",
            "failed_reads",
            "packets",
            "records",
            "reaped",
        ):
            setattr(self, name, getattr(self, name) + getattr(result, name))
        self.lives += result.lives
        self.virtual_s += result.virtual_s
        self.converged_s_max = max(self.converged_s_max, result.converged_s)
        self.faults.update(result.faults)
        self.errors.update(result.errors)
        if result.failed:
            self.failed.append(result)


def campaign(runs: Iterable[Options], processes: int) -> Iterator[Result]:
    """The result of each run, in order."""
    if processes == 1:
        yield from map(simulate, runs)
        return
    # Not forked: a child begins with the same memory whatever its parent did before.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            yield from pool.map(simulate, runs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever for its next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
