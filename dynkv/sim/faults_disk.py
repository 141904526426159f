"""What can happen to a disk. See `fate` for when data may be lost."""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from dynkv.runtime import pause
from dynkv.sim.disk import SimDisk, Snapshot
from dynkv.sim.fate import How, Scene
from dynkv.sim.host import Host
from dynkv.storage.keys import RECORD, parse_record_key

# Until every client has heard of what a node that is gone acknowledged, or has given up.
LAST_ANSWERS_S = 4.0
# A clean stop is over after so long, unless something is in its way.
STOPPED_S = 3.0
# A node that finds its files damaged has ended after so long.
REFUSED_S = 0.01

Begin = Callable[[SimDisk], None]
Damage = Callable[[SimDisk, bytes, Host], None]


async def full(scene: Scene) -> None:
    """ENOSPC, until there is room again."""
    await _failing(scene, lambda disk: setattr(disk, "write_error", _error(errno.ENOSPC)))


async def eio(scene: Scene) -> None:
    """Syncs fail."""
    await _failing(scene, lambda disk: setattr(disk, "sync_error", _error(errno.EIO)))


async def slow_disk(scene: Scene) -> None:
    """Syncs take long."""
    slow_s = scene.chance.pick((0.02, 0.2, 1.0))
    await _failing(scene, lambda disk: setattr(disk, "slow_s", slow_s))


async def behind(scene: Scene) -> None:
    """Writes are refused: the disk is behind with earlier ones."""
    await _failing(scene, lambda disk: setattr(disk, "stalled", True))


async def rot(scene: Scene) -> None:
    """A bit of some records flips."""
    await _damage(scene, _flip)


async def bad_block(scene: Scene) -> None:
    """A block cannot be read any more: the node ends its life, and salvages what it can."""
    await _damage(scene, lambda disk, key, host: disk.unreadable.add(key))


async def lost_directory(scene: Scene) -> None:
    """The data directory is deleted while the node is down."""
    host = await scene.take_host()
    if host is None:
        return
    host.kill()
    await pause(LAST_ANSWERS_S)
    if await scene.until_may_lose(host):
        scene.note(host.name)
        host.files.clear()
    await pause(scene.chance.uniform(0, 1))
    if not host.runs():
        host.start()
    scene.give_back(host)


async def old_copy(scene: Scene) -> None:
    """A copy of the directory is made, and put back after the node was started anew and all others have heard of it:
    whoever has not heard could not notice, nor tell the node."""
    await _copied(scene, restarted=True)


async def live_copy(scene: Scene) -> None:
    """The same without a start in between: a snapshot of a running node is what it comes back with, perhaps a younger
    one than its last mark."""
    await _copied(scene, restarted=False)


async def old_database(scene: Scene) -> None:
    """A copy of the database alone is put back, after a clean stop, beside the rest of the directory; the node is told
    to rebuild if that refuses it. Not if power was lost in between, for a copy of what that took counts for newer."""
    copied = await _copy(scene)
    if copied is None:
        return
    host = copied.host
    host.terminate()
    await pause(STOPPED_S)
    clean = not host.runs() and host.exits[-1] == 0 and host.files.losses_of_power == copied.losses_of_power
    restored = clean and await scene.until_may_lose(host)
    if restored:
        scene.note(host.name, seconds_old=round(scene.cluster.world.now - scene.episode.at, 1))
        host.files.restore(copied.files, whole=False)
        for disk in host.files.disks():
            disk.old = True
    await _start_or_rebuild(scene, host, rebuild=restored)
    for disk in host.files.disks():
        disk.old = False  # it has been refused, unless nothing was written since
    scene.give_back(host)


async def wreck(scene: Scene) -> None:
    """Files are damaged so that the node does not start; it is told to rebuild."""
    host = await scene.take_host()
    if host is None:
        return
    host.kill()
    await pause(LAST_ANSWERS_S)
    wrecked = await scene.until_may_lose(host)
    if wrecked:
        scene.note(host.name)
        for disk in host.files.disks():
            disk.damaged = "files are missing"
    await _start_or_rebuild(scene, host, rebuild=wrecked)
    scene.give_back(host)


# --- parts ------------------------------------------------------------------------------------------------------------


class _Copy(NamedTuple):
    """A copy of a host's files, and how often it had been started, and lost power, when it was made."""

    host: Host
    files: Snapshot
    starts: int
    losses_of_power: int


async def _copy(scene: Scene) -> _Copy | None:
    """Make a copy of some host's files, and when the episode is at its end take the host, which runs."""
    host = await scene.take_host()
    if host is None:
        return None
    copy = _Copy(host, host.files.snapshot(), host.starts, host.files.losses_of_power)
    scene.give_back(host)
    if not await scene.last() or host.name in scene.fate.busy or not host.runs():
        return None
    scene.fate.busy.add(host.name)
    return copy


async def _copied(scene: Scene, *, restarted: bool) -> None:
    copied = await _copy(scene)
    if copied is None:
        return
    host = copied.host
    if restarted and host.starts == copied.starts:
        host.kill()
        await pause(scene.chance.uniform(0.01, 0.5))
        if not host.runs():
            host.start()
        await pause(scene.chance.uniform(0.5, 3.0))
    if not scene.over() and host.runs():
        scene.chance.pick((host.kill, host.power_off))()
        await pause(LAST_ANSWERS_S)
        if await scene.until_may_lose(host) and (not restarted or scene.known_to_all(host)):
            scene.note(host.name, seconds_old=round(scene.cluster.world.now - scene.episode.at, 1))
            host.files.restore(copied.files)
            for disk in host.files.disks():
                disk.old = restarted
    if not host.runs():
        host.start()
    scene.give_back(host)


async def _start_or_rebuild(scene: Scene, host: Host, *, rebuild: bool) -> None:
    """Start with what is there, and again if it was refused; `rebuild` it then: else it ended for another reason, and
    what it holds may be nowhere else."""
    if not scene.over() and not host.runs():
        host.start()
    await pause(max(REFUSED_S, scene.chance.uniform(0, 1)))
    if not host.runs():
        host.start(rebuild=rebuild)


async def _failing(scene: Scene, begin: Begin) -> None:
    host = scene.cluster.hosts[scene.chance.pick(scene.cluster.names)]
    disks = host.files.disks()
    if not disks:
        return
    scene.note(host.name, seconds=scene.seconds)
    for disk in disks:
        disk.kept_after_failure = scene.chance.pick((0, 0, 1, 3))
        begin(disk)
    if await scene.last():
        scene.note(f"over at {host.name}")
        for disk in host.files.disks():
            disk.be_healthy()


async def _damage(scene: Scene, how: Damage) -> None:
    """Damage some keys of one host, each only if another knows all that this one knows of it."""
    host = scene.cluster.hosts[scene.chance.pick(scene.cluster.names)]
    for disk in host.files.disks():
        keys = sorted(key for key in disk.durable if key[:1] == RECORD)
        for stored_key in scene.chance.some(keys, min(len(keys), 1 + scene.chance.below(4))):
            key = parse_record_key(stored_key)[2].decode()
            if scene.may_lose_key(host, key):
                scene.note(f"{host.name} {key}")
                scene.cluster.damaged_at[key] = scene.cluster.world.now
                how(disk, stored_key, host)


def _flip(disk: SimDisk, stored_key: bytes, host: Host) -> None:
    """On the disk, and where the running node will find it."""
    for there in (disk.durable, host.machine.contents() if host.runs() else {}):
        value = there.get(stored_key)
        if value is not None:
            middle = len(value) // 2
            there[stored_key] = value[:middle] + bytes((value[middle] ^ 1,)) + value[middle + 1 :]


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


KINDS: dict[str, How] = {
    "full": full,
    "eio": eio,
    "slow-disk": slow_disk,
    "behind": behind,
    "rot": rot,
    "bad-block": bad_block,
    "lost-directory": lost_directory,
    "old-copy": old_copy,
    "live-copy": live_copy,
    "old-database": old_database,
    "wreck": wreck,
}
