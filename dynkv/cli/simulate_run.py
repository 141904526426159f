"""Simulations as the command line shows them: one as its log, many as a count and a verdict."""

import sys
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from dynkv.cli.options import Output
from dynkv.sim.campaign import Totals, campaign
from dynkv.sim.faults import KINDS, chosen
from dynkv.sim.options import Options, size_of
from dynkv.sim.run import Result, simulate
from dynkv.sim.shrink import shrink

LEGEND = """\
seconds      who      what happened
             n1...    a node: what it logs, and what becomes of its process
             c1...    a client: what it did, through whom, with what outcome; `shows` are numbers of writes, and so
                      are `op`; `seen` is how many earlier writes a write may replace
             fate     a fault begins, or is over
"""
TOLD_EVERY_S = 10.0


def command_of(options: Options) -> str:
    """The command that plays this run."""
    words = ["dynkv simulate", f"--seed {options.seed}"]
    if options.nodes != size_of(options.seed):
        words.append(f"--nodes {options.nodes}")
    if options.faults != chosen([]):
        words.append(f"--faults {','.join(options.faults) or 'none'}")
    if options.operations != 1000:
        words.append(f"--operations {options.operations}")
    if options.only is not None:
        words.append(f"--only {','.join(map(str, options.only)) or ','}")
    if options.until:
        words.append(f"--until {options.until:g}")
    return " ".join(words)


def replay(options: Options, output: Output) -> bool:
    """Play one run; whether nothing was wrong."""
    if output is Output.JSON:
        result = simulate(options, keep=True)
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        print(f"{command_of(options)}\n\n{LEGEND}")
        result = simulate(options, tell=print)
        print(f"\n{_verdict(result)}\nthe log's digest is {result.digest}")
    return not result.failed


def many(runs: Sequence[Options], processes: int, *, shrinks: bool, output: Output) -> bool:
    """Play all; whether nothing was wrong."""
    console = Console(stderr=True)
    totals = Totals()
    began = told_at = time.monotonic()
    for options, result in zip(runs, campaign(runs, processes), strict=True):
        totals.add(result)
        if result.failed:
            console.print(f"seed {result.seed} failed: {result.failed}", markup=False, highlight=False, soft_wrap=True)
            console.print(f"  {command_of(options)}", markup=False, highlight=False, soft_wrap=True)
        now = time.monotonic()
        if now - told_at >= TOLD_EVERY_S:
            told_at = now
            console.print(f"{totals.runs} of {len(runs)} runs, {len(totals.failed)} failed", highlight=False)
    seconds = time.monotonic() - began
    if output is Output.JSON:
        told = {"totals": totals, "seconds": seconds}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        _summarize(totals, seconds)
    if totals.failed and shrinks:
        failed = totals.failed[0]
        options = next(options for options in runs if options.seed == failed.seed)
        console.print(f"making the run of seed {failed.seed} shorter ...", highlight=False)
        short = shrink(options, failed)
        console.print(f"{short.result.failed}\n  {command_of(short.options)}", markup=False, soft_wrap=True)
    return not totals.failed


def _verdict(result: Result) -> str:
    return f"FAILED {result.failed}" if result.failed else "nothing is wrong"


def _summarize(totals: Totals, seconds: float) -> None:
    console = Console()
    table = Table("fault", "times", "what it is", box=None, header_style="bold", pad_edge=False)
    for kind, how in KINDS.items():
        if totals.faults[kind]:
            table.add_row(kind, str(totals.faults[kind]), (how.__doc__ or "").strip().splitlines()[0])
    console.print(table)
    console.print(
        f"\n{totals.runs} runs of {totals.lives} lives of nodes in {seconds:.0f} s; {totals.virtual_s:.0f} s of "
        f"virtual time, {totals.virtual_s / seconds:.0f} times as fast as real\n"
        f"{totals.operations} operations: {totals.acknowledged} writes acknowledged, {totals.ambiguous} ambiguous, "
        f"{totals.not_applied} not applied; {totals.failed_reads} reads found no quorum\n"
        f"{totals.packets} packets, {totals.records} records written; converged within "
        f"{totals.converged_s_max:.1f} s after the last fault",
        highlight=False,
    )
    verdict = f"{len(totals.failed)} runs FAILED" if totals.failed else "nothing is wrong"
    console.print(verdict, style="bold red" if totals.failed else "bold green")
