"""`dynkv check`: try whether a cluster keeps its word."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.options import Output, OutputOption

HELP = """Try whether a cluster keeps its word, and decide from what clients were told.

For example:

  dynkv check --workload register --faults kill,pause,cut --time 60
  dynkv check --workload set --url http://n1:8101 --url http://n2:8101
  dynkv check --history check/history.jsonl

It starts nodes of its own, lets clients work, kills, stops and cuts off
nodes, heals all, waits until the replicas agree, and reads everything from
every node at r=1 and from all. Then it decides:

  set        no acknowledged element lost, no removed one back
  register   no acknowledged write lost but by one that had seen it
  counter    the sum is what was acknowledged, or may have happened besides
  session    no read falls behind what its session had written and read

Faults: kill, pause, cut, slow (late or throttled), flaky (frames lost,
doubled, overtaken), disk (no file may grow), clock (steps of the wall
clock); all of them with --faults all. A running cluster, given by its URLs,
is left in peace: only clients work, in a bucket of their own.

The directory --out gets history.jsonl (a line for each operation and fault),
report.html (with a picture), and the nodes' logs.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.START_FAILED, Exit.UNREACHABLE, Exit.UNKNOWN)

SECONDS_MAX = 86_400.0


class WorkloadName(StrEnum):
    """The workloads."""

    SET = "set"
    REGISTER = "register"
    COUNTER = "counter"
    SESSION = "session"


def check(
    workload: Annotated[WorkloadName, typer.Option("--workload", help="What the clients do.")] = WorkloadName.REGISTER,
    faults: Annotated[str, typer.Option("--faults", metavar="KINDS", help="With commas between; or all.")] = "",
    seconds: Annotated[float, typer.Option("--time", metavar="SECONDS", help="How long the clients work.")] = 60.0,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=16, help="How many of its own it starts.")] = 3,
    url: Annotated[
        list[str] | None, typer.Option("--url", metavar="URL", help="A node of a running cluster; give them all.")
    ] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="Of all chance; else one is drawn and printed.")] = None,
    clients: Annotated[int, typer.Option("--clients", min=1, max=256, help="How many work at a time.")] = 10,
    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Turns in a second, of all together.")] = 150.0,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where history and report go.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Run nothing; decide on this history again.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.checking import run as checking
    from dynkv.runtime import SystemRandom

    if history is not None:
        found = checking.reread(history)
        where = out or history.parent
        _end(found, checking.conclude(found, where), where, output)
    chosen = seed or SystemRandom().token(4).hex()
    kinds = checking.faults_of(faults)
    if url and kinds:
        raise Failure(Exit.USAGE, "--faults is for a cluster of its own; one given by --url is left in peace")
    if not 0 < seconds <= SECONDS_MAX or not rate > 0:
        raise Failure(Exit.USAGE, f"--time must be above 0 and at most {SECONDS_MAX:g}, and --rate above 0")
    where = out or Path("dynkv-check") / f"{workload.value}-{chosen}"
    asked = checking.Asked(workload.value, chosen, kinds, seconds, nodes, tuple(_urls(url or [])), clients, rate, where)
    told, verdict = checking.run(asked, checking.to_stderr)
    _end(told, verdict, where, output)


def _urls(given: list[str]) -> list[str]:
    """As the client wants them. Failure."""
    from dynkv.client.options import seeds_of

    urls = []
    for url in given:
        try:
            urls += seeds_of(url)
        except ValueError as error:
            raise Failure(Exit.USAGE, f"--url: {error}") from error
    return urls


def _end(history: Any, verdict: Any, where: Path, output: Output) -> None:
    """Say it, and end with its exit code."""
    from dynkv.check.report import sentence

    code = {"clean": Exit.OK, "anomalies": Exit.NO, "unknown": Exit.UNKNOWN}[verdict.state]
    if output is Output.JSON:
        anomalies = [
            {"kind": anomaly.kind, "key": anomaly.key, "detail": anomaly.detail, "at": anomaly.at}
            for anomaly in verdict.anomalies
        ]
        print(
            json.dumps(
                {
                    "verdict": verdict.state,
                    "workload": history.head.workload,
                    "seed": history.head.seed,
                    "anomalies": anomalies,
                    "why": verdict.why,
                    "operations": verdict.operations,
                    "faults": verdict.faults,
                    "history": str(where / "history.jsonl"),
                    "report": str(where / "report.html"),
                }
            )
        )
        raise typer.Exit(code)
    print(f"{history.head.workload}: {verdict.state}. {sentence(verdict)}")
    for anomaly in verdict.anomalies[:10]:
        print(f"  {anomaly.kind} {anomaly.key}: {anomaly.detail}")
    if len(verdict.anomalies) > 10:
        print(f"  and {len(verdict.anomalies) - 10:,} more")
    for reason in verdict.why if verdict.state == "anomalies" else ():
        print(f"  besides: {reason}")
    print("operations: " + ", ".join(f"{count:,} {name}" for name, count in verdict.operations.items()))
    print("faults: " + (", ".join(f"{count} {kind}" for kind, count in verdict.faults.items()) or "none"))
    print(f"seed {history.head.seed}; {where / 'report.html'} has the picture, {where / 'history.jsonl'} all of it")
    raise typer.Exit(code)
