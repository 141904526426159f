"""One measurement: a system started anew, filled, asked for a while, and what that cost."""

import re
from collections import Counter
from typing import NamedTuple

from dynkv.cli import load
from tests.benchmark.systems import Dynkv, System, cpu_s, resident_mb
from tests.support import eventually

WARMUP_S = 1.0

# Upper bound in seconds -> how many loop stalls were above the bound before it and not above this one.
Stalls = Counter[float]

_BUCKET = re.compile(r'^dynkv_loop_stall_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


class Workload(NamedTuple):
    """What every system is asked for."""

    connections: int
    seconds: float
    keys: int


class Result(NamedTuple):
    """server_us, client_us: processor time per request, of all server processes and of the load generator."""

    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    client_us: float
    stalls: Stalls


def measure(system: System, workload: Workload, *, writes: bool) -> Result:
    """Start `system`, fill it, and write new keys or read those that are there."""
    system.start()
    try:
        fill(system, workload.keys, workload.connections)
        source = system.writes(workload.connections) if writes else system.reads(workload.keys)
        stalls, used_s = _stalls(system), cpu_s(system.pids())
        report = load.run(load.Load(system.targets, source, workload.connections, workload.seconds, WARMUP_S))
        stalls, used_s = _stalls(system) - stalls, cpu_s(system.pids()) - used_s
    finally:
        system.stop()
    assert report.failed == 0, f"{system.name}: {report}"
    # The warm-up's requests are not counted but cost processor time too: scale to the time that was counted.
    server_us = used_s * report.seconds / (report.seconds + WARMUP_S) / report.answered * 1e6
    return Result(report.rate, report.latency.p50_ms, report.latency.p99_ms, server_us, report.client_us, stalls)


def fill(system: System, keys: int, connections: int) -> None:
    """Write keys 0 to `keys` - 1."""
    source = system.fill(keys, connections)
    if source is not None:
        report = load.run(load.Load(system.targets, source, connections, seconds=None))
        assert report.failed == 0, f"{system.name}: {report}"


def memory_mb(system: System, keys: int, connections: int) -> tuple[float, float]:
    """Resident memory of the largest process: idle after its start, and quiet again with `keys` keys."""
    system.start()
    try:
        idle = max(resident_mb(pid) for pid in system.pids())
        fill(system, keys, connections)
        eventually(lambda: _is_quiet(system), 60, f"{system.name} has nothing more to do")
        return idle, max(resident_mb(pid) for pid in system.pids())
    finally:
        system.stop()


def quantile(stalls: Stalls, share: float) -> float:
    """The bound that this share of all stalls did not exceed, in seconds."""
    seen = 0
    for bound in sorted(stalls):
        seen += stalls[bound]
        if seen >= share * stalls.total():
            return bound
    return 0.0


def _stalls(system: System) -> Stalls:
    """All nodes' loop stalls since their start, as /metrics says; none for other systems."""
    found = Stalls()
    if isinstance(system, Dynkv):
        for node in system.cluster.nodes:
            below = 0
            for bound, text in _BUCKET.findall(node.http.request("GET", "/metrics").body.decode()):
                count = int(float(text))
                found[float(bound)] += count - below
                below = count
    return found


def _is_quiet(system: System) -> bool:
    """Whether all processes of `system` together take less than a tenth of a processor for a second."""
    pids = system.pids()
    before_s, looks = cpu_s(pids), iter(range(50))
    eventually(lambda: next(looks, None) is None, 10, "a second is over")
    return cpu_s(pids) - before_s < 0.1
