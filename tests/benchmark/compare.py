"""dynkv beside a bare aiohttp server and a three-node etcd, in one run on one machine; prints the README's table.

    python -m tests.benchmark.compare [--rounds 5] [--seconds 8] [--connections 48] [--size 1024] [--keys 9600]

etcd must be on the PATH (Debian: apt-get install etcd-server). The systems are started and stopped in turn, each round
all of them, so that a slow minute of the machine falls on all alike; what is printed is the median over the rounds, and
of ratios the median of each round's own. Data lies on the disk of --dir (default: here), because a file system in
memory would make every sync free.
"""

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dynkv.cli import load
from tests.benchmark.systems import Baseline, Dynkv, Etcd, System, cpu_s, resident_mb
from tests.support import eventually

WARMUP_S = 1.0
MEMORY_KEYS = 100_000


class Job(NamedTuple):
    """One line of the table: what is asked of which system."""

    name: str
    system: System
    writes: bool


class Result(NamedTuple):
    """One measurement."""

    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    client_us: float
    stall_p999_ms: float | None


def main() -> None:
    """Run all rounds and print the tables."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix=".bench-") as folder:
        place = Path(folder)
        synced = Dynkv(place / "synced", arguments.size, "synced")
        relaxed = Dynkv(place / "relaxed", arguments.size, "relaxed")
        etcd, baseline = Etcd(place / "etcd", arguments.size), Baseline(arguments.size)
        jobs = [
            Job("bare aiohttp + uvloop, fixed body", baseline, False),
            Job("dynkv reads, r=2", synced, False),
            Job("dynkv writes, w=2, synced", synced, True),
            Job("dynkv writes, w=2, relaxed", relaxed, True),
            Job("etcd reads, linearizable", etcd, False),
            Job("etcd writes, synced", etcd, True),
        ]
        for system in (synced, relaxed, etcd):
            _while_running(system, partial(_fill, system, arguments.keys, arguments.connections))
        rounds: list[list[Result]] = []
        for number in range(arguments.rounds):
            rounds.append([_measure(job, arguments) for job in jobs])
            print(f"round {number + 1}: " + ", ".join(f"{result.rate:.0f}" for result in rounds[-1]), flush=True)
        memory = [] if arguments.no_memory else _memory(place, arguments)
    print("\n" + "\n".join([*_about(arguments), "", *_table(jobs, rounds), "", *memory]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement, after a second of warm-up")
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a value")
    parser.add_argument("--keys", type=int, default=9600)
    parser.add_argument("--dir", type=Path, default=Path(), help="where the data lies while this runs")
    parser.add_argument("--no-memory", action="store_true", help="leave out the measurement of memory")
    return parser.parse_args()


def _while_running(system: System, work: Callable[[], None]) -> None:
    system.start()
    try:
        work()
    finally:
        system.stop()


def _fill(system: System, keys: int, connections: int) -> None:
    source = system.fill(keys, connections)
    report = load.run(load.Load(system.targets, source, connections, seconds=None))
    assert report.failed == 0, f"{system.name}: {report}"


def _measure(job: Job, arguments: argparse.Namespace) -> Result:
    results: list[Result] = []

    def work() -> None:
        system, keys, connections = job.system, arguments.keys, arguments.connections
        source = system.writes(connections) if job.writes else system.reads(keys)
        before = cpu_s(system.pids())
        report = load.run(load.Load(system.targets, source, connections, arguments.seconds, WARMUP_S))
        assert report.failed == 0, f"{job.name}: {report}"
        # The warm-up's requests are not counted but cost processor time too: scale to the time that was counted.
        used = (cpu_s(system.pids()) - before) * report.seconds / (report.seconds + WARMUP_S)
        latency = report.latency
        server_us = used / report.answered * 1e6
        results.append(
            Result(report.rate, latency.p50_ms, latency.p99_ms, server_us, report.client_us, _stall_ms(system))
        )

    _while_running(job.system, work)
    return results[0]


def _stall_ms(system: System) -> float | None:
    """The worst node's 99.9th percentile of loop stalls since its start, as /metrics says; None for other systems."""
    if not isinstance(system, Dynkv):
        return None
    worst = 0.0
    for node in system.cluster.nodes:
        text = node.http.request("GET", "/metrics").body.decode()
        (line,) = [line for line in text.splitlines() if line.startswith("dynkv_loop_stall_p999_seconds ")]
        worst = max(worst, float(line.split()[1]) * 1000)
    return worst


def _memory(place: Path, arguments: argparse.Namespace) -> list[str]:
    """Lines on the memory of nodes that idle, and of nodes that hold 100,000 keys."""
    lines = ["| resident memory of a node | idle | with 100,000 keys |", "| --- | --- | --- |"]
    for system in (Dynkv(place / "memory", arguments.size, "synced"), Etcd(place / "memory-etcd", arguments.size)):
        figures: list[float] = []

        def work(system: System = system, figures: list[float] = figures) -> None:
            figures.append(max(resident_mb(pid) for pid in system.pids()))
            _fill(system, MEMORY_KEYS, arguments.connections)
            eventually(lambda: _is_quiet(system), 60, f"{system.name} has nothing more to do")
            figures.append(max(resident_mb(pid) for pid in system.pids()))

        _while_running(system, work)
        lines.append(f"| {system.name.split()[0]} (the largest of three) | {figures[0]:.0f} MB | {figures[1]:.0f} MB |")
    return lines


def _is_quiet(system: System) -> bool:
    """Whether the processes of `system` together take less than 10 % of a processor for a second."""
    before, pids = cpu_s(system.pids()), system.pids()
    looks = iter(range(50))
    eventually(lambda: next(looks, None) is None, 10)
    return cpu_s(pids) - before < 0.1


def _about(arguments: argparse.Namespace) -> list[str]:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return [
        f"{os.cpu_count()} processors ({model.partition(':')[2].strip()}), Python {platform.python_version()}, "
        f"{arguments.connections} connections spread over the nodes, {arguments.size} byte values, "
        f"{arguments.keys} keys, load generator on the same machine; median of {arguments.rounds} interleaved rounds "
        f"of {arguments.seconds:g} s."
    ]


def _table(jobs: list[Job], rounds: list[list[Result]]) -> list[str]:
    lines = [
        "| | requests/s | to bare aiohttp | to etcd | p50 | p99 | server CPU per request | loop stalls p99.9 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for index, job in enumerate(jobs):
        results = [results[index] for results in rounds]
        beside = 5 if job.writes else 4
        to_baseline = statistics.median(results[index].rate / results[0].rate for results in rounds)
        to_etcd = statistics.median(results[index].rate / results[beside].rate for results in rounds)
        stalls = [result.stall_p999_ms for result in results if result.stall_p999_ms is not None]
        lines.append(
            f"| {job.name} | {_median(results, 'rate'):,.0f} | {to_baseline:.2f} | "
            f"{f'{to_etcd:.1f}' if isinstance(job.system, Dynkv) else ''} | {_median(results, 'p50_ms'):.1f} ms | "
            f"{_median(results, 'p99_ms'):.1f} ms | {_median(results, 'server_us'):.0f} µs | "
            f"{f'{statistics.median(stalls):.0f} ms' if stalls else ''} |"
        )
    return lines


def _median(results: list[Result], field: str) -> float:
    return float(statistics.median(getattr(result, field) for result in results))


if __name__ == "__main__":
    main()
