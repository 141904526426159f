"""How a life of a node ends by itself, and what is done before the next one begins.

A process is asked to stop once, but may live several lives on its data directory: each has its own start count, and
peers see a member that went away and came back.

- It *went back*: a peer has seen a later start of this directory, so it is an old copy. It is set aside, and the next
  life begins with nothing.
- It is *damaged*: what was read from a file is not what was written. The next life begins with all that can still be
  read.

Either way the data is incomplete until it has been refilled from the replicas.
"""

import asyncio

import msgspec
import structlog

from dynkv.machine import Machine
from dynkv.storage.incarnation import DataDirectory

log = structlog.get_logger("dynkv.node")


class WentBack(msgspec.Struct, frozen=True):
    """`start_count`: the latest that a peer has seen."""

    start_count: int


class Damaged(msgspec.Struct, frozen=True):
    """`why`: what the store said."""

    why: str


Ending = WentBack | Damaged


async def begin_anew(directory: DataDirectory, ending: Ending, machine: Machine, stop: asyncio.Event) -> bool:
    """Make the directory, whose store is closed, ready for the next life; False if `stop` was set before that was done.

    DamagedDirectory if nothing can be salvaged.
    """
    machine.unsettle_memory()  # what the last life kept for good is of no use now
    if isinstance(ending, WentBack):
        directory.went_back(ending.start_count)
        return True
    if not await machine.salvage(directory, ending.why, lambda: not stop.is_set()):
        log.warning("stopped before the salvage was done; it begins again when the damage is met again")
        return False
    return True
