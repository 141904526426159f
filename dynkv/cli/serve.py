"""`dynkv serve`: check the settings, then become the node."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit

HELP = """Run one node of a cluster until SIGTERM or Ctrl-C.

All nodes are started alike; each has a name and knows how to reach the rest:

  dynkv serve --id n1 --data ./n1 \\
    --http 127.0.0.1:8101 --peer 127.0.0.1:9101 \\
    --members n1=127.0.0.1:9101,n2=127.0.0.1:9102,n3=127.0.0.1:9103

Settings can come from a file, and options go over it. This prints one that
explains them all: dynkv serve --print-config

A node listens on this machine only. Any other address needs a secret that all
nodes share, in --secret-file or the variable DYNKV_SECRET.

For a whole cluster on this machine see: dynkv up --help
"""

EPILOG = exit_codes.epilog(
    Exit.OK,
    Exit.USAGE,
    Exit.DIRECTORY_IN_USE,
    Exit.DIRECTORY_DAMAGED,
    Exit.DIRECTORY_WRONG,
    Exit.ADDRESS_IN_USE,
    Exit.START_FAILED,
    Exit.BUG,
)


def serve(
    config: Annotated[Path | None, typer.Option(help="Commented TOML file with the settings.")] = None,
    id: Annotated[str | None, typer.Option(help="Name of this node, such as n1.")] = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Data directory; made if missing.")] = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address for clients.")] = None,
    peer: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address for the other nodes.")] = None,
    members: Annotated[
        str | None,
        typer.Option(metavar="ID=HOST:PORT,...", help="Peer addresses of all nodes as this node reaches them."),
    ] = None,
    durability: Annotated[str | None, typer.Option(metavar="synced|relaxed", help="When a write counts.")] = None,
    region: Annotated[str | None, typer.Option(help="Label: region.")] = None,
    zone: Annotated[str | None, typer.Option(help="Label: zone or rack.")] = None,
    host: Annotated[str | None, typer.Option(help="Label: machine.")] = None,
    weight: Annotated[float | None, typer.Option(help="Share of the data relative to other nodes.")] = None,
    cluster_id: Annotated[str | None, typer.Option(help="Name of the cluster.")] = None,
    partitions: Annotated[int | None, typer.Option(help="Slices of the key space; for good.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Replicas of a key.")] = None,
    r: Annotated[int | None, typer.Option("--r", help="Answers that a read needs.")] = None,
    w: Annotated[int | None, typer.Option("--w", help="Acknowledgements that a write needs.")] = None,
    secret_file: Annotated[str, typer.Option(metavar="FILE", help="File with the cluster's secret.")] = "",
    client_token_file: Annotated[str, typer.Option(metavar="FILE", help="File with what clients must say.")] = "",
    log_level: Annotated[str | None, typer.Option(metavar="debug|info|warning|error", help="What to log.")] = None,
    log_form: Annotated[str | None, typer.Option(metavar="auto|json|console", help="How to log.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting of the file, as limits.siblings_max=50."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="This once: set the data aside and get it back from the replicas.")
    ] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the commented file and stop.")] = False,
) -> None:
    from dynkv.cli import launch, settings

    given = options(locals())
    if print_config:
        sys.stdout.write(settings.example(config, set or (), given))
        return
    launch.become_node(settings.load(config, set or (), given, secret_file, client_token_file))


def options(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `serve` in the shape of the settings; what was not given is None."""
    from dynkv.cli.settings import parse_members

    members = given["members"]
    return {
        **{name: given[name] for name in ("id", "data", "http", "peer", "durability")},
        "rebuild": given["rebuild"] or None,
        "members": None if members is None else parse_members(members),
        "cluster": {"id": given["cluster_id"], **{name: given[name] for name in ("partitions", "n", "r", "w")}},
        "labels": {name: given[name] for name in ("region", "zone", "host", "weight")},
        "log": {"level": given["log_level"], "form": given["log_form"]},
    }
