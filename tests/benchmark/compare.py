"""dynkv beside a bare aiohttp server and a three-node etcd, in one run on one machine; prints the README's tables.

    python -m tests.benchmark.compare [--rounds 5] [--seconds 8] [--connections 48] [--size 1024] [--keys 9600]

etcd must be on the PATH (Debian: apt-get install etcd-server). Every measurement has a cluster of its own, started anew
with an empty directory, and nothing else runs beside it. Each round measures everything once, so that a slow minute of
the machine falls on all alike; what is printed is the median over the rounds, and of ratios the median of each round's
own. Data lies on the disk of --dir (default: here), because a file system in memory would make every sync free.
"""

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmark.measure import Result, Stalls, Workload, measure, memory_mb, quantile
from tests.benchmark.systems import Baseline, Dynkv, Etcd, System

MEMORY_KEYS = 100_000


class Job(NamedTuple):
    """One line of the table. `beside`: the line of etcd that it is compared with."""

    name: str
    make: Callable[[Path, int], System]
    writes: bool
    beside: str = ""


def synced(folder: Path, size: int) -> System:
    return Dynkv(folder, size, "synced")


def relaxed(folder: Path, size: int) -> System:
    return Dynkv(folder, size, "relaxed")


JOBS = (
    Job("bare aiohttp + uvloop, fixed body", lambda folder, size: Baseline(size), False),
    Job("dynkv reads, r=2", synced, False, "etcd reads, linearizable"),
    Job("dynkv writes, w=2, synced", synced, True, "etcd writes, synced"),
    Job("dynkv writes, w=2, relaxed", relaxed, True, "etcd writes, synced"),
    Job("etcd reads, linearizable", Etcd, False),
    Job("etcd writes, synced", Etcd, True),
)

Round = dict[str, Result]


def main() -> None:
    """Run all rounds and print the tables."""
    arguments = _arguments()
    workload = Workload(arguments.connections, arguments.seconds, arguments.keys)
    rounds: list[Round] = []
    for number in range(arguments.rounds):
        rounds.append({job.name: _in_folder(arguments, job.make, workload, job.writes) for job in JOBS})
        print(f"round {number + 1}: " + ", ".join(f"{result.rate:,.0f}" for result in rounds[-1].values()), flush=True)
    lines = [_about(arguments), "", *_table(rounds)]
    if not arguments.no_memory:
        lines += ["", *_memory(arguments)]
    print("\n" + "\n".join(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement, after a second of warm-up")
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a value")
    parser.add_argument("--keys", type=int, default=9600, help="that are there at first")
    parser.add_argument("--dir", type=Path, default=Path(), help="where the data lies while this runs")
    parser.add_argument("--no-memory", action="store_true", help="leave out the measurement of memory")
    return parser.parse_args()


def _in_folder(
    arguments: argparse.Namespace, make: Callable[[Path, int], System], workload: Workload, writes: bool
) -> Result:
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix=".bench-") as folder:
        return measure(make(Path(folder) / "data", arguments.size), workload, writes=writes)


def _memory(arguments: argparse.Namespace) -> list[str]:
    lines = [f"| resident memory of the largest node | idle | with {MEMORY_KEYS:,} keys |", "| --- | ---: | ---: |"]
    for name, make in (("dynkv", synced), ("etcd", Etcd)):
        with tempfile.TemporaryDirectory(dir=arguments.dir, prefix=".bench-") as folder:
            system = make(Path(folder) / "data", arguments.size)
            idle, full = memory_mb(system, MEMORY_KEYS, arguments.connections)
        lines.append(f"| {name} | {idle:.0f} MB | {full:.0f} MB |")
    return lines


def _about(arguments: argparse.Namespace) -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return (
        f"{os.cpu_count()} processors ({model.partition(':')[2].strip()}), Python {platform.python_version()}, "
        f"{arguments.connections} connections spread over three nodes, {arguments.size} byte values, load generator on "
        f"the same machine; median of {arguments.rounds} interleaved rounds of {arguments.seconds:g} s."
    )


def _table(rounds: list[Round]) -> list[str]:
    return [
        "| | requests/s | to bare aiohttp | to etcd | p50 | p99 | server CPU per request | loop stalls p99.9 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(job, rounds) for job in JOBS),
    ]


def _row(job: Job, rounds: list[Round]) -> str:
    results = [results[job.name] for results in rounds]
    to_bare = statistics.median(results[job.name].rate / results[JOBS[0].name].rate for results in rounds)
    cells = [
        job.name,
        f"{statistics.median(result.rate for result in results):,.0f}",
        f"{to_bare:.2f}",
        _to_etcd(job, rounds),
        f"{statistics.median(result.p50_ms for result in results):.1f} ms",
        f"{statistics.median(result.p99_ms for result in results):.1f} ms",
        f"{statistics.median(result.server_us for result in results):.0f} µs",
        _stalls([result.stalls for result in results]),
    ]
    return f"| {' | '.join(cells)} |"


def _to_etcd(job: Job, rounds: list[Round]) -> str:
    if not job.beside:
        return ""
    return f"{statistics.median(results[job.name].rate / results[job.beside].rate for results in rounds):.1f}"


def _stalls(each: list[Stalls]) -> str:
    """Of all nodes in all rounds: one round is too short to know a 99.9th percentile."""
    together = sum(each, Stalls())
    return f"≤ {quantile(together, 0.999) * 1000:g} ms" if together else ""


if __name__ == "__main__":
    main()
