"""`dynkv simulate`: many simulated lives of a cluster, each with its own faults, all judged."""

import os
from typing import Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.options import Output, OutputOption

HELP = """Try to make the store lose something, in simulated clusters.

For example:

  dynkv simulate --seeds 1000
  dynkv simulate --seeds 200 --nodes 5 --faults network,disk
  dynkv simulate --seed 42

Each seed is a life of a cluster of its own: the real nodes, on virtual time,
with a network, disks, clocks and processes that fail as the seed says, while
clients read, write and delete. Then the faults end, the nodes must become
equal, and checkers judge everything that clients were told: nothing that was
acknowledged is lost, nothing that was overwritten or deleted comes back.

A seed is a run: --seed plays it again, the same to the last byte, and prints
what happens, one line an event. A run that fails is made shorter, and the
command that plays the short one is printed.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.INTERRUPTED)


def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them; the others follow.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Play this one, and print what happens.")] = None,
    nodes: Annotated[
        int | None, typer.Option(min=3, max=9, help="Nodes of each cluster. Without: 3 to 9, as the seed says.")
    ] = None,
    faults: Annotated[
        str,
        typer.Option(metavar="KIND,...", help="Kinds of faults, or network, host, disk, none. Without: all of them."),
    ] = "",
    operations: Annotated[int, typer.Option(min=1, help="Of clients, in each run, at least.")] = 1000,
    only: Annotated[
        str | None, typer.Option(metavar="NUMBER,...", help="With --seed: only these of its faults.")
    ] = None,
    until: Annotated[float, typer.Option(min=0.0, help="With --seed: faults end then, in seconds.")] = 0.0,
    processes: Annotated[int, typer.Option(min=0, help="Runs at a time. 0: one for each processor.")] = 0,
    shrink: Annotated[bool, typer.Option("--shrink/--no-shrink", help="Make the first failing run shorter.")] = True,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli import simulate_run
    from dynkv.sim.faults import chosen
    from dynkv.sim.options import Options, length_of, size_of

    try:
        kinds = () if faults == "none" else chosen([name for name in faults.split(",") if name])
    except ValueError as error:
        raise Failure(Exit.USAGE, str(error)) from error
    episodes = None if only is None else _numbers(only)

    def of(one: int) -> Options:
        size = nodes or size_of(one)
        return Options(
            one,
            nodes=size,
            faults=kinds,
            operations=operations,
            seconds=length_of(one),
            only=episodes,
            until=until,
        )

    if seed is not None:
        fine = simulate_run.replay(of(seed), output)
    elif only is not None or until:
        raise Failure(Exit.USAGE, "--only and --until are of one run: give --seed too")
    else:
        runs = [of(first_seed + number) for number in range(seeds)]
        fine = simulate_run.many(runs, processes or os.cpu_count() or 1, shrinks=shrink, output=output)
    if not fine:
        raise typer.Exit(Exit.NO)


def _numbers(only: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in only.split(",") if number)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"--only {only!r}: must be numbers of faults with commas between") from error
