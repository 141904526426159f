"""The runs of `dynkv bench`: keys are loaded, then each mode is measured, by the same generator as the bare server."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from dynkv.cli import load
from dynkv.cli.baseline import BareServer
from dynkv.cli.call import authorization
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.greeting import greet
from dynkv.cli.throwaway import ThrowawayCluster
from dynkv.runtime import SystemRandom


@dataclass(frozen=True)
class Workload:
    """What is asked of the cluster; the options of the command, explained there."""

    modes: Sequence[str]
    seconds: float
    warmup_s: float
    connections: int
    processes: int
    value_bytes: int
    keys: int
    reads: float
    overwrite: bool
    r: str | None
    w: str | None
    bucket: str


class Run(msgspec.Struct, frozen=True):
    """One mode's report; `ratio` of its rate to the bare server's, if that was measured."""

    mode: str
    report: load.Report
    ratio: float | None


class Result(msgspec.Struct, frozen=True):
    """All of it."""

    targets: list[str]
    own_cluster: bool
    durability: str | None
    connections: int
    processes: int
    value_bytes: int
    baseline: load.Report | None
    runs: list[Run]


@dataclass(frozen=True)
class Put:
    """Builds a write of key number n; called as `Counting` and `Overwriting` want it."""

    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]

    def __call__(self, number: int, context: bytes = b"") -> bytes:
        seen = {"Dynkv-Context": context.decode("ascii")} if context else {}
        return load.request("PUT", f"{self.path}{number}{self.query}", {**self.headers, **seen}, self.body)


@dataclass(frozen=True)
class FreshPut:
    """As `Put` without contexts, but built around the number: the way of the hot path."""

    before: bytes
    after: bytes

    def __call__(self, number: int) -> bytes:
        return b"%b%d%b" % (self.before, number, self.after)

    @classmethod
    def of(cls, put: Put) -> "FreshPut":
        before, after = load.request("PUT", f"{put.path}*{put.query}", put.headers, put.body).split(b"*", 1)
        return cls(before, after)


def run(workload: Workload, urls: Sequence[str], nodes: int, durability: str, *, with_baseline: bool) -> Result:
    """Measure a running cluster at `urls`, or one of our own if there are none."""
    theirs = [_target(url) for url in urls]
    greet(urls)
    baseline = None
    if with_baseline:
        with BareServer(workload.value_bytes) as target:
            _say("measuring the bare server")
            baseline = _measure(workload, [target], load.Cycling([load.request("GET", "/kv/bench/1")]))
    with ExitStack() as stack:
        targets = theirs
        if not targets:
            _say(f"starting {nodes} nodes")
            cluster = stack.enter_context(ThrowawayCluster(nodes, ["--durability", durability]))
            targets = list(cluster.targets.values())
        # Keys of this run alone: what an earlier run wrote must not turn our fresh keys into overwrites.
        path = f"/kv/{workload.bucket}/{SystemRandom().token(4).hex()}-"
        value = SystemRandom().token(workload.value_bytes)
        if workload.modes != ["write"]:
            _load_keys(workload, targets, path, value)
        runs = []
        for mode in workload.modes:
            _say(f"measuring {mode}")
            report = _measure(workload, targets, _source(workload, mode, path, value))
            ratio = round(report.rate / baseline.rate, 3) if baseline is not None and baseline.rate else None
            runs.append(Run(mode, report, ratio))
    return Result(
        targets=targets,
        own_cluster=not urls,
        durability=None if urls else durability,
        connections=workload.connections,
        processes=workload.processes,
        value_bytes=workload.value_bytes,
        baseline=baseline,
        runs=runs,
    )


def _load_keys(workload: Workload, targets: Sequence[str], path: str, value: bytes) -> None:
    _say(f"loading {workload.keys} keys")
    make = FreshPut.of(Put(f"{path}r", "", value, authorization()))
    source = load.Counting(make, workload.connections, workload.keys)
    report = load.run(load.Load(targets, source, workload.connections, None, processes=workload.processes))
    told = report.statuses | report.errors
    if load.GAVE_UP in report.errors:
        raise Failure(Exit.UNREACHABLE, f"a node went away while the keys were loaded: {told}")
    if report.failed:
        raise Failure(Exit.NO, f"loading the keys failed: {told}")


def _source(workload: Workload, mode: str, path: str, value: bytes) -> load.SourceOf:
    reading = f"?r={workload.r}" if workload.r else ""
    writing = f"?w={workload.w}" if workload.w else ""
    headers = authorization()
    reads = load.Cycling([load.request("GET", f"{path}r{n}{reading}", headers) for n in range(workload.keys)])
    put = Put(f"{path}{mode}", writing, value, headers)
    writes: load.SourceOf
    if workload.overwrite:
        writes = load.Overwriting(put, max(1, workload.keys // workload.connections))
    else:
        writes = load.Counting(FreshPut.of(put), workload.connections)
    return {"read": reads, "write": writes, "mix": load.Mixing(reads, writes, workload.reads)}[mode]


def _measure(workload: Workload, targets: Sequence[str], source: load.SourceOf) -> load.Report:
    return load.run(
        load.Load(
            targets,
            source,
            connections=workload.connections,
            seconds=workload.seconds,
            warmup_s=workload.warmup_s,
            processes=workload.processes,
        )
    )


def _target(url: str) -> str:
    wrong = Failure(Exit.USAGE, f"--url {url!r}: must be http://HOST:PORT")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "http" or not parts.hostname:
        raise wrong
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


def _say(message: str) -> None:
    print(f"dynkv: {message}", file=sys.stderr, flush=True)
