"""`dynkv bench`: what a cluster gives under load, beside what a bare server gives."""

from enum import StrEnum
from typing import Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.options import Output, OutputOption

HELP = """Measure throughput and latency of a cluster.

For example:

  dynkv bench --baseline
  dynkv bench --mode write --durability relaxed
  dynkv bench --mode mix --reads 0.9 --url http://10.0.0.1:8101

Without --url it starts three nodes of its own in a temporary directory.

Every connection has one request in flight and sends the next when the answer
is whole, as ordinary clients do. Connections are spread over the nodes, and
over several processes of the generator; its own cost is printed, so one can
see that it was not the limit.

Reads are of keys that are written first; writes go to fresh keys, or with
--overwrite again to keys of the connection's own, with their contexts.

--baseline measures a bare aiohttp server with a fixed body of the same size,
in the same run with the same generator, and prints each rate's ratio to it.

--client measures the Python client instead: single requests, batches of 100
keys, an import of --import-keys, and the memory that a listing of them takes,
in the same run.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.UNREACHABLE, Exit.START_FAILED)


class Mode(StrEnum):
    """What the load is made of."""

    READ = "read"
    WRITE = "write"
    MIX = "mix"


def bench(
    mode: Annotated[
        list[Mode] | None, typer.Option(help="read, write or mix; may be repeated. Without: read and write.")
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A node of a running cluster; may be repeated. Without: an own cluster."),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", "--duration", min=0.1, help="Length of each run.")] = 10.0,
    warmup: Annotated[float, typer.Option(min=0.0, help="Seconds before it that are not counted.")] = 1.0,
    connections: Annotated[int, typer.Option(min=1, help="In all, spread over the nodes.")] = 48,
    processes: Annotated[int, typer.Option(min=1, help="Processes of the generator.")] = 2,
    value_bytes: Annotated[int, typer.Option(min=0, help="Size of a value.")] = 1024,
    keys: Annotated[int, typer.Option(min=1, help="How many keys are read (or overwritten).")] = 10_000,
    reads: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of reads in mode mix.")] = 0.5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write the same keys again, with contexts.")] = False,
    r: Annotated[str | None, typer.Option("--r", help="Answers a read needs: number, one, quorum, all.")] = None,
    w: Annotated[str | None, typer.Option("--w", help="Acknowledgements a write needs: the same.")] = None,
    bucket: Annotated[str, typer.Option(help="Bucket of the keys.")] = "bench",
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of the own cluster.")] = 3,
    durability: Annotated[str, typer.Option(metavar="synced|relaxed", help="Of the own cluster.")] = "synced",
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Measure a bare server too, and the ratio to it.")
    ] = False,
    client: Annotated[
        bool, typer.Option("--client", help="Measure the Python client: single requests, batches, import, listing.")
    ] = False,
    import_keys: Annotated[int, typer.Option(min=1, help="How many keys --client imports and lists.")] = 100_000,
    output: OutputOption = Output.TEXT,
) -> None:
    if client:
        from dynkv.cli import bench_client
        from dynkv.cli.greeting import greet

        greet(url or [])
        asked = bench_client.Asked(seconds, connections, value_bytes, import_keys)
        bench_client.write(bench_client.run(url or [], nodes, durability, asked), output)
        return
    from dynkv.cli import bench_report
    from dynkv.cli.bench_run import Workload, run

    workload = Workload(
        modes=[one.value for one in mode or (Mode.READ, Mode.WRITE)],
        seconds=seconds,
        warmup_s=warmup,
        connections=connections,
        processes=processes,
        value_bytes=value_bytes,
        keys=keys,
        reads=reads,
        overwrite=overwrite,
        r=r,
        w=w,
        bucket=bucket,
    )
    result = run(workload, url or [], nodes, durability, with_baseline=baseline)
    bench_report.write(result, output)
    if any(one.report.failed for one in result.runs):
        raise typer.Exit(Exit.NO)
