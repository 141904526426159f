"""`dynkv up`: a cluster on this machine, in one terminal."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.chaos import CONTROL_DEFAULT
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.options import Output, OutputOption

PORT_DEFAULT = 8101
NODES_DEFAULT = 3

HELP = """Run a local cluster in this terminal until Ctrl-C.

For example:

  dynkv up --nodes 3 --dir ./cluster --port 8101

The first time it makes the cluster: nodes n1, n2, ..., their ports, a secret,
and data directories below DIR. Run again on the same DIR it brings the same
cluster back. A node that dies is reported and stays down; the others go on.
This starts it again from another terminal:

  dynkv up --dir ./cluster --only n2

Options of dynkv serve pass through to every node, as --durability relaxed.
Those given when the cluster is made are kept; later ones hold for that run.

With --chaos the nodes reach each other through proxies, which dynkv chaos
makes bad from another terminal:

  dynkv up --dir ./cluster --chaos
  dynkv chaos cut n3

The nodes and their URLs are printed to standard output once all serve; with
--output json as one object in the first line, and every node that ends as
one object in a line of its own. Logs go to standard error.
"""

EPILOG = exit_codes.epilog(
    Exit.OK,
    Exit.NO,
    Exit.USAGE,
    Exit.DIRECTORY_IN_USE,
    Exit.DIRECTORY_DAMAGED,
    Exit.DIRECTORY_WRONG,
    Exit.ADDRESS_IN_USE,
    Exit.START_FAILED,
    Exit.BUG,
)

# What is no option of ours is left for `serve`.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def up(
    context: typer.Context,
    directory: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the cluster lives.")],
    nodes: Annotated[int | None, typer.Option(help=f"How many nodes, when it is made ({NODES_DEFAULT}).")] = None,
    port: Annotated[
        int | None, typer.Option(help=f"HTTP port of n1, when it is made ({PORT_DEFAULT}); n2 gets the next.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="Start only this node of the cluster; may be repeated.")
    ] = None,
    chaos: Annotated[bool, typer.Option("--chaos", help="Put a network between them that can be made bad.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    cluster = _open(directory, nodes, port, only or [], context.args)
    with _between(cluster, directory, wanted=chaos) as doors:
        configs = _configs(cluster, directory, only or [], context.args, doors)
        _hold_free(configs, f"Is the cluster in {directory} up already?")
        code = _run(configs, directory, doors if chaos else None, only=bool(only), output=output)
    raise typer.Exit(code)


@contextmanager
def _between(cluster: Any, directory: Path, *, wanted: bool) -> Iterator[Any]:
    """What is between the nodes: doors of ours, if wanted, or those of another terminal, or nothing."""
    from dynkv.cli import doors

    standing = doors.standing(directory)
    if not wanted or standing is not None:
        yield standing
        return
    planned = doors.plan(cluster)
    network = doors.opened(planned)
    try:
        doors.save(planned, directory)
        yield planned
    finally:
        doors.forget(directory)
        network.close()


def _configs(cluster: Any, directory: Path, only: list[str], options: list[str], doors: Any) -> list[Any]:
    """The settings of the nodes that are to be started."""
    from dynkv.cli import local
    from dynkv.cli.doors import members_of

    chosen = [cluster.place(node) for node in only] if only else cluster.nodes
    return [local.config(cluster, directory, place.id, options, members_of(doors, place.id)) for place in chosen]


def _hold_free(nodes: Iterable[Any], way_out: str) -> None:
    """Failure if somebody listens on an address of these nodes (or of their settings)."""
    from dynkv.cli import local

    for node in nodes:
        for where in (node.http, node.peer):
            if local.taken(where):
                raise Failure(Exit.ADDRESS_IN_USE, f"{where} is taken; {node.id} needs it. {way_out}")


def _run(configs: list[Any], directory: Path, doors: Any, *, only: bool, output: Output) -> int:
    """Run the nodes until the last has ended or a signal comes; the exit code."""
    from dynkv.cli.supervise import Supervisor, describe, to_stderr, wants_colour

    def report(node: str, code: int) -> None:
        if output is Output.JSON:
            _print_line({"ended": node, "code": code})
        to_stderr(f"{node} {describe(code)}; to start it again: dynkv up --dir {directory} --only {node}")

    supervisor = Supervisor(configs, sys.stderr, colour=wants_colour(sys.stderr))
    code: int = Exit.OK
    try:
        supervisor.start()
        # A node alone may have to wait for the others before it is ready; that it serves is all that can be awaited.
        supervisor.wait_ready("/health/live" if only else "/health/ready")
        _announce([_row(config, supervisor.running[config.id].pid) for config in configs], directory, doors, output)
        code = supervisor.wait(report)
    except KeyboardInterrupt:
        pass
    except Failure as failure:
        if failure.code is Exit.DIRECTORY_DAMAGED:
            way_out = f"dynkv up --dir {directory} --only NODE --rebuild"
            raise Failure(failure.code, f"{failure}; its replicas give it back with: {way_out}") from failure
        raise
    finally:
        unclean = supervisor.stop()
        for node, how in unclean:
            to_stderr(f"{node} {describe(how)} while stopping")
    return code or (Exit.NO if unclean else Exit.OK)


def _open(directory: Path, nodes: int | None, port: int | None, only: list[str], options: list[str]) -> Any:
    """The cluster in `directory`, made if there is none."""
    from dynkv.cli import local

    cluster = local.reopen(directory)
    if cluster is None:
        if only:
            raise Failure(Exit.USAGE, f"{directory} holds no cluster yet, so there is no {only[0]} to start")
        count = NODES_DEFAULT if nodes is None else nodes
        if local.serve_options(options)["rebuild"]:
            raise Failure(Exit.USAGE, f"{directory} holds no cluster yet, so there is nothing to rebuild")
        cluster = local.plan(count, *local.ports_from(PORT_DEFAULT if port is None else port, count), options)
        # What is saved is kept for good, so all that can be wrong with it is looked for before.
        local.rehearse(cluster)
        _hold_free(cluster.nodes, "Others can be had with --port")
        try:
            local.save(cluster, directory)
        except OSError as error:
            raise Failure(Exit.USAGE, f"--dir {directory}: {error.strerror}") from error
        return cluster
    if nodes is not None and nodes != len(cluster.nodes):
        raise Failure(Exit.USAGE, f"--nodes is {nodes}, but the cluster in {directory} has {len(cluster.nodes)}")
    first = cluster.nodes[0].http
    if port is not None and not first.endswith(f":{port}"):
        raise Failure(Exit.USAGE, f"--port is {port}, but the cluster in {directory} begins at {first}")
    return cluster


def _row(config: Any, pid: int) -> dict[str, Any]:
    return {
        "id": config.id,
        "pid": pid,
        "http": f"http://{config.http}",
        "peer": config.peer,
        "data": config.data,
    }


def _announce(rows: list[dict[str, Any]], directory: Path, doors: Any, output: Output) -> None:
    if output is Output.JSON:
        _print_line({"nodes": rows} | ({} if doors is None else {"chaos": doors.control}))
        return
    lines = [f"{len(rows)} node{'s' if len(rows) > 1 else ''} of the cluster in {directory}; Ctrl-C stops"]
    lines += [f"  {row['id']}  pid {row['pid']}  {row['http']}" for row in rows]
    lines.append(f"Try: dynkv kv put greeting hello --value world --url {rows[0]['http']}")
    if doors is not None:
        lines.append(f"The network between them takes orders at {doors.control}. Try: dynkv chaos cut {rows[-1]['id']}")
        if doors.control != CONTROL_DEFAULT:
            lines[-1] += f" --control {doors.control}"
    print("\n".join(lines), flush=True)


def _print_line(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)
