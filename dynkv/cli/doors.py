"""The bad network inside a local cluster: a door for each pair of nodes, and where its control is.

While it is there, DIR/chaos.json says so, for `dynkv chaos`, and for a node that is started from another terminal:
it must come in by the same doors.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from dynkv.chaos.network import Door
from dynkv.chaos.thread import NetworkThread
from dynkv.cli import local
from dynkv.cli.call import answers
from dynkv.cli.chaos import CONTROL_DEFAULT
from dynkv.cli.local import LocalCluster
from dynkv.runtime import Random, SeededRandom

FILE = "chaos.json"


class Doors(msgspec.Struct, frozen=True):
    """Where orders are taken, and one door for each node to each other."""

    control: str
    doors: list[Door]

    def members(self, node: str) -> dict[str, str]:
        """The peer addresses of the others, as this node is to know them."""
        return {door.to: door.listen for door in self.doors if door.source == node}


def plan(cluster: LocalCluster, random: Random | None = None) -> Doors:
    """Doors of this cluster at free ports; the control at its usual place, if that is free."""
    pairs = [(source, to) for source in cluster.nodes for to in cluster.nodes if source is not to]
    taken = {int(where.rpartition(":")[2]) for place in cluster.nodes for where in (place.http, place.peer)}
    free = local.free_ports(len(pairs) + 1 + len(taken), random)  # the nodes' own may not be taken yet
    *ports, spare = [port for port in free if port not in taken][: len(pairs) + 1]
    control = f"127.0.0.1:{spare}" if local.taken(CONTROL_DEFAULT) else CONTROL_DEFAULT
    doors = [
        Door(source.id, to.id, f"127.0.0.1:{port}", to.peer) for (source, to), port in zip(pairs, ports, strict=True)
    ]
    return Doors(control, doors)


def opened(doors: Doors, seed: str | None = None) -> NetworkThread:
    """The network itself. AddressInUse. seed: of the lots it draws."""
    network = NetworkThread(None if seed is None else SeededRandom(seed))
    try:
        for door in doors.doors:
            network.add(door)
        network.control(doors.control)
    except BaseException:
        network.close()
        raise
    return network


def save(doors: Doors, directory: Path) -> None:
    (directory / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(doors)) + b"\n")


def forget(directory: Path) -> None:
    (directory / FILE).unlink(missing_ok=True)


def standing(directory: Path) -> Doors | None:
    """The doors of a cluster that another terminal has up, None if there are none."""
    try:
        doors = msgspec.json.decode((directory / FILE).read_bytes(), type=Doors)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # or left by a terminal that died while it wrote
    return doors if answers(f"http://{doors.control}", "/") else None


def members_of(doors: Doors | None, node: str) -> Mapping[str, str]:
    """What differs for this node from the addresses that the nodes have; nothing, if there are no doors."""
    return {} if doors is None else doors.members(node)
