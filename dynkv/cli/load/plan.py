"""What is to be run, and what came of it, over all processes."""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import msgspec

from dynkv.cli.load.interrupts import kept_from_children
from dynkv.cli.load.latency import Latencies, Latency
from dynkv.cli.load.sources import SourceOf
from dynkv.cli.load.worker import Counts, Part, work
from dynkv.config import address


@dataclass(frozen=True)
class Load:
    """A run.

    targets: "HOST:PORT" each; connection k goes to target k modulo their number. source: the requests, see `sources`.
    seconds: how long, after `warmup_s` seconds that are not counted; None: until every source ends, or its connection
    stays away for good, which is the error `GAVE_UP`. processes: worker processes; more than the machine has processors
    to spare only take them from the server.
    """

    targets: Sequence[str]
    source: SourceOf
    connections: int = 48
    seconds: float | None = 10.0
    warmup_s: float = 0.0
    processes: int = 2


class Report(msgspec.Struct, frozen=True):
    """What came of a run.

    answered: responses of any status. failed: those that are not 2xx, and `errors`. rate: 2xx responses a second.
    latency: of all responses. client_us: processor time of the generator per response, so one can see whether it was
    the limit: it is, when `rate` × `client_us` comes near the number of processes.
    """

    answered: int
    failed: int
    seconds: float
    rate: float
    latency: Latency
    statuses: dict[str, int]
    errors: dict[str, int]
    client_us: float


def run(load: Load) -> Report:
    """Run it and wait for the end. Processes connect first and then begin together."""
    # Fresh processes: a forked one would share our threads' locks in whatever state they were.
    context = multiprocessing.get_context("spawn")
    targets = [address(target) for target in load.targets]
    places = [(number, *targets[number % len(targets)]) for number in range(load.connections)]
    count = max(1, min(load.processes, load.connections))
    workers = []
    try:
        for index in range(count):
            ours, theirs = context.Pipe()
            part = Part(places[index::count], load.source, load.seconds, load.warmup_s)
            process = context.Process(target=work, args=(part, theirs), daemon=True)
            with kept_from_children():
                process.start()
                workers.append((process, ours))
            theirs.close()
        for _, pipe in workers:
            pipe.recv()
        for _, pipe in workers:
            pipe.send("go")
        counts = [_result(pipe) for _, pipe in workers]
    finally:
        for process, pipe in workers:
            pipe.close()
            process.join(1.0)
            if process.is_alive():
                process.kill()
    return merge(counts)


def _result(pipe: Pipe) -> Counts:
    counts = pipe.recv()
    assert isinstance(counts, Counts)
    return counts


def merge(counts: Sequence[Counts]) -> Report:
    """One report of what all processes counted."""
    latencies, statuses, errors = Latencies(), Counter[str](), Counter[str]()
    for one in counts:
        latencies.merge(one.latencies)
        statuses.update({status.decode("latin-1"): count for status, count in one.statuses.items()})
        errors.update(one.errors)
    answered = sum(statuses.values())
    good = sum(count for status, count in statuses.items() if status.startswith("2"))
    seconds = max(one.seconds for one in counts)
    cpu_s = sum(one.cpu_s for one in counts)
    return Report(
        answered=answered,
        failed=answered - good + sum(errors.values()),
        seconds=round(seconds, 3),
        rate=round(good / seconds, 1) if seconds else 0.0,
        latency=latencies.summary(),
        statuses=dict(statuses),
        errors=dict(errors),
        client_us=round(cpu_s / answered * 1e6, 2) if answered else 0.0,
    )
