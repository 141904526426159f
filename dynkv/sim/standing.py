"""How far a cluster is from what it must come to when all faults have ended: empty lists when it is there."""

from dynkv.core import record as records
from dynkv.core.record import Record
from dynkv.sim.cluster import SimCluster
from dynkv.sim.host import Host
from dynkv.sim.inside import Inside, serves
from dynkv.sim.witness import decoded
from dynkv.storage.envelope import unpack
from dynkv.storage.keys import hint_range

# Said of each thing that is not as it should be.
TOLD_MAX = 5


def apart(cluster: SimCluster, keys: list[str]) -> list[str]:
    """What keeps the cluster from having converged, in words, the first few."""
    waiting = [f"{host.name} does not serve" for host in cluster.all_hosts() if not serves(host)]
    if waiting:
        return waiting
    insides = {host.name: Inside(host) for host in cluster.all_hosts()}
    found = [f"{name} is incomplete" for name, inside in insides.items() if not inside.identity.complete]
    found += [f"{host.name} owes hints" for host in cluster.all_hosts() if _owes(host)]
    found += _unequal(cluster, keys)
    if not found:
        for name, inside in insides.items():
            found += [f"{name}: {wrong}" for wrong in (*inside.wrong_trees(), *inside.wrong_memory())]
    return found[:TOLD_MAX]


def _owes(host: Host) -> bool:
    start, end = hint_range()
    inside = Inside(host)
    return inside.hints.total() > 0 or any(start <= key < end for key in inside.contents)


def _unequal(cluster: SimCluster, keys: list[str]) -> list[str]:
    found = []
    for key in keys:
        stored_key = cluster.stored_key(key)
        primaries = cluster.primaries(key)
        held: dict[bytes | None, list[str]] = {}
        for host in cluster.all_hosts():
            value = host.machine.contents().get(stored_key)
            if host.name in primaries:
                held.setdefault(_record(value), []).append(host.name)
            elif value is not None:
                found.append(f"{host.name} is no primary of {key} and keeps a copy")
        if len(held) > 1:
            found.append(f"{key} differs: {' | '.join(','.join(names) for names in held.values())}")
    return found


def _record(value: bytes | None) -> bytes | None:
    """The canonical bytes; a damaged record is unlike every other."""
    if value is None:
        return None
    return unpack(value).record if decoded(value) is not None else value


def deleted(cluster: SimCluster, keys: list[str]) -> list[str]:
    """Keys of which nothing but a tombstone is left, and that still is."""
    return [key for key, record in agreed(cluster, keys).items() if record is not None and records.is_deleted(record)]


def agreed(cluster: SimCluster, keys: list[str]) -> dict[str, Record | None]:
    """What all primaries hold of each key, once nothing is apart."""
    hosts = cluster.hosts
    return {
        key: decoded(hosts[cluster.primaries(key)[0]].machine.contents().get(cluster.stored_key(key))) for key in keys
    }
