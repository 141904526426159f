"""The demo's last word: is every acknowledged write where it should be?"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from dynkv.cli.demo.channel import Channel, Gone
from dynkv.cli.demo.clients import BUCKET
from dynkv.cli.demo.ledger import Ledger, newest_in
from dynkv.cli.load.wire import request

CHECKERS = 24
# How long a read may take to show what it did not at first: a replica may still be busy with the last writes.
SETTLE_S = 5.0
PAUSE_S = 0.05


class Verdict(NamedTuple):
    """reads: made, second looks not counted. lost: what never showed up. late: what only a second look showed."""

    reads: int
    lost: list[str]
    late: int


class Look(NamedTuple):
    """Read this key through this node from so many replicas."""

    key: str
    node: str
    r: int


async def check(ledger: Ledger, targets: dict[str, str], progress: Callable[[int], None]) -> Verdict:
    """Read the last acknowledged version of every key through every node, from one replica and from three."""
    looks = [Look(key, node, r) for key in ledger.keys for node in targets for r in (3, 1)]
    missing = await _pass(looks, ledger, targets, progress)
    late = len(missing)
    give_up = time.perf_counter() + SETTLE_S
    while missing and time.perf_counter() < give_up:
        await asyncio.sleep(PAUSE_S)
        missing = await _pass(missing, ledger, targets, progress)
    lost = [f"{look.key} version {ledger.versions[look.key]} through {look.node} at r={look.r}" for look in missing]
    return Verdict(len(looks), sorted(lost), late - len(missing))


async def _pass(
    looks: list[Look], ledger: Ledger, targets: dict[str, str], progress: Callable[[int], None]
) -> list[Look]:
    """Look once everywhere; the looks that did not show what they should."""
    todo = iter(looks)
    missing: list[Look] = []

    async def checker() -> None:
        channels = {node: Channel(target) for node, target in targets.items()}
        for look in todo:
            if not await _shows(channels[look.node], look, ledger.versions[look.key]):
                missing.append(look)
            progress(1)
        for channel in channels.values():
            channel.close()

    await asyncio.gather(*(checker() for _ in range(CHECKERS)))
    return missing


async def _shows(channel: Channel, look: Look, version: int) -> bool:
    try:
        response = await channel.ask(request("GET", f"/kv/{BUCKET}/{look.key}?r={look.r}"))
    except Gone:
        return False
    return newest_in(response.body, look.key) == version
