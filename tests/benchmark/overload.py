"""What is left of a cluster's capacity when it is asked for far more than it can do, and what that costs in memory.

    python -m tests.benchmark.overload [--seconds 8] [--dir .]

Three nodes on this machine's disk. First as many clients as keep them busy; then a hundred times as many, each of which
asks again the moment it is answered, also when the answer is no. More are open at once than the nodes take, so that
the rest is refused with 503. The load generator runs beside the nodes, and the more it is refused the more it takes of
the processors: what is left for the nodes is divided fairly by nobody.
"""

import argparse
import tempfile
from pathlib import Path

from dynkv.cli import load
from tests.benchmark.systems import Dynkv, DynkvPut, resident_mb

BUSY, FLOOD = 48, 4800
VALUE_BYTES = 1024
WARMUP_S = 2.0


def main() -> None:
    """Run both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each of the two")
    parser.add_argument("--dir", type=Path, default=Path(), help="where the data lies while this runs")
    arguments = parser.parse_args()
    print("| clients | writes/s applied | refused/s | p50 ms | p99 ms | memory of the largest node |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix=".bench-") as folder:
        system = Dynkv(Path(folder) / "data", VALUE_BYTES, "synced")
        system.start()
        try:
            rates = [one(system, clients, arguments.seconds) for clients in (BUSY, FLOOD, BUSY)]
        finally:
            system.stop()
    print(f"\nunder the flood {rates[1] / rates[0]:.0%} of the first rate, after it {rates[2] / rates[0]:.0%}")


def one(system: Dynkv, clients: int, seconds: float) -> float:
    """Writes a second that were applied."""
    puts = load.Counting(DynkvPut(f"c{clients}-", VALUE_BYTES), clients, None)
    report = load.run(load.Load(system.targets, puts, clients, seconds, WARMUP_S))
    strange = {status: count for status, count in report.statuses.items() if status not in ("204", "503")}
    assert not strange, f"answered {strange}"
    assert not report.errors, f"failed with {report.errors}"
    memory = max(resident_mb(pid) for pid in system.pids())
    refused = report.statuses.get("503", 0) / report.seconds
    print(
        f"| {clients:,} | {report.rate:,.0f} | {refused:,.0f} | {report.latency.p50_ms:.1f} | "
        f"{report.latency.p99_ms:.1f} | {memory:.0f} MB |",
        flush=True,
    )
    return report.rate


if __name__ == "__main__":
    main()
