"""A cluster on this machine in one directory, so that it can be stopped and brought back as it was.

DIR/cluster.json    the nodes with their addresses, and the options given when it was made
DIR/secret          the cluster's secret, generated, for this user's eyes only
DIR/n1, DIR/n2 ...  the nodes' data directories
"""

import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dynkv.cli import settings
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.config import Config, address
from dynkv.runtime import Random, SystemRandom

# A node's peer port lies this far above (or below, where there is no room) its HTTP port.
PEER_PORT_OFFSET = 1000
NODES_MAX = 64

# Decided here for each node, so it cannot be passed on to all of them.
_OURS = ("id", "data", "http", "peer", "members", "print_config")


class Place(msgspec.Struct, frozen=True):
    """One node: its id and its two addresses."""

    id: str
    http: str
    peer: str


class LocalCluster(msgspec.Struct, frozen=True):
    """What cluster.json says. `options` are those of `dynkv serve`, as given on the command line."""

    cluster: str
    nodes: list[Place]
    options: list[str]

    def place(self, node: str) -> Place:
        """The node of this id; Failure if there is none."""
        for place in self.nodes:
            if place.id == node:
                return place
        raise Failure(Exit.USAGE, f"there is no {node!r} here; the nodes are {', '.join(p.id for p in self.nodes)}")


def plan(
    count: int,
    http_ports: Sequence[int],
    peer_ports: Sequence[int],
    options: Sequence[str],
    random: Random | None = None,
) -> LocalCluster:
    """A new cluster of nodes n1, n2, ... on 127.0.0.1."""
    places = [
        Place(f"n{number}", f"127.0.0.1:{http}", f"127.0.0.1:{peer}")
        for number, http, peer in zip(range(1, count + 1), http_ports, peer_ports, strict=True)
    ]
    return LocalCluster(f"local-{(random or SystemRandom()).token(6).hex()}", places, list(options))


def ports_from(port: int, count: int) -> tuple[list[int], list[int]]:
    """HTTP ports one after another from `port`, and the peer ports that go with them."""
    if not 1 <= count <= NODES_MAX:
        raise Failure(Exit.USAGE, f"--nodes is {count}; must lie in 1..{NODES_MAX}")
    last = port + count - 1
    if not 1 <= port <= last <= 65_535:
        raise Failure(Exit.USAGE, f"--port {port}: {count} ports from there do not lie in 1..65535")
    offset = PEER_PORT_OFFSET if last + PEER_PORT_OFFSET <= 65_535 else -PEER_PORT_OFFSET
    return list(range(port, last + 1)), list(range(port + offset, last + offset + 1))


def rehearse(cluster: LocalCluster) -> None:
    """Hold that a new cluster's nodes could have these settings. BadConfig, or Failure.

    Its options are kept with it, so wrong ones, once saved, would be refused at every later start too.
    """
    with tempfile.TemporaryDirectory(prefix="dynkv-") as draft:
        save(cluster, Path(draft))
        for place in cluster.nodes:
            config(cluster, Path(draft), place.id)


def save(cluster: LocalCluster, directory: Path, random: Random | None = None) -> None:
    """Make the directory and its secret. The plan is written last: it says that all the rest is there. OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    secret = (random or SystemRandom()).token(32).hex()
    with open(os.open(directory / "secret", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret + "\n")
    draft = directory / "cluster.json.new"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(cluster)) + b"\n")
    draft.replace(directory / "cluster.json")


def reopen(directory: Path) -> LocalCluster | None:
    """The cluster that was made in `directory`, None if there is none yet."""
    try:
        text = (directory / "cluster.json").read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(Exit.USAGE, f"{directory}: {error.strerror}") from error
    try:
        return msgspec.json.decode(text, type=LocalCluster)
    except msgspec.DecodeError as error:
        raise Failure(Exit.DIRECTORY_DAMAGED, f"{directory / 'cluster.json'}: {error}") from error


def config(
    cluster: LocalCluster,
    directory: Path,
    node: str,
    options: Sequence[str] = (),
    members: Mapping[str, str] | None = None,
) -> Config:
    """The settings of one node; `options` go over those that the cluster was made with.

    members: peer addresses of others that differ for this node from those that they have.
    """
    place = cluster.place(node)
    given = serve_options([*cluster.options, *options])
    count = len(cluster.nodes)
    ours: dict[str, Any] = {
        "id": node,
        "data": str((directory / node).absolute()),
        "http": place.http,
        "peer": place.peer,
        "members": {peer.id: peer.peer for peer in cluster.nodes} | dict(members or {}),
        # The usual levels, or as near as so few nodes come to them.
        "cluster": {
            "id": cluster.cluster,
            "n": min(3, count),
            "r": min(3, count) // 2 + 1,
            "w": min(3, count) // 2 + 1,
        },
        "log": {"form": "console"},
    }
    secret_file = given["secret_file"] or str(directory / "secret")
    return settings.load(
        given["config"], given["set"] or (), _under(given, ours), secret_file, given["client_token_file"]
    )


def _under(given: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The options in the shape of the settings, over what we choose ourselves."""
    from dynkv.cli.serve import options

    chosen = options(given)
    for name, value in ours.items():
        if isinstance(value, dict) and name != "members":
            chosen[name] = value | {key: asked for key, asked in chosen[name].items() if asked is not None}
        else:
            chosen[name] = value
    return chosen


def serve_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Options of `dynkv serve` read by its own parser; Failure if one is decided here."""
    import typer

    from dynkv.cli.serve import serve

    app = typer.Typer(add_completion=False)
    app.command()(serve)
    given: dict[str, Any] = typer.main.get_command(app).make_context("dynkv up", list(arguments)).params
    for name in _OURS:
        if given[name]:
            raise Failure(Exit.USAGE, f"--{name.replace('_', '-')} is chosen for each node and cannot be passed on")
    return given


def taken(where: str) -> bool:
    """Whether somebody listens on this address already."""
    host, port = address(where)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the node's own listener does: connections of an earlier one that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def free_ports(count: int, random: Random | None = None) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens.

    They lie below the range from which Linux takes the ports of outgoing connections (32768 and up): a port there may
    be taken by some client's connection while its node is down.
    """
    chance = random or SystemRandom()
    found: list[int] = []
    for _ in range(1000 * count):
        port = int(chance.uniform(10_000, 32_000))
        if port not in found and not taken(f"127.0.0.1:{port}"):
            found.append(port)
            if len(found) == count:
                return found
    raise Failure(Exit.ADDRESS_IN_USE, "no free ports between 10000 and 32000")
