"""All ways between some ends, and the doors by which connections come in.

A door listens for one end on behalf of another: what n1 takes for n2's address is the door n1:n2. What n1 sends through
it goes the way n1:n2, what comes back goes the way n2:n1, which is also the way of n2's own connections to n1.
"""

import asyncio
from typing import Any

import msgspec

from dynkv.chaos.carrier import READ_BYTES, Carrier
from dynkv.chaos.rules import GOOD, BadOrder, Heal, Order, Reset, Set, chosen
from dynkv.chaos.way import Way
from dynkv.config import address
from dynkv.core.errors import AddressInUse
from dynkv.runtime import Clock, Random, SystemClock, SystemRandom, Tasks, pause

OF_FRAMES = ("drop", "duplicate", "reorder")

# Of the loop, at a close.
TURNS = 3


class Door(msgspec.Struct, frozen=True):
    """Where `source` finds `to`: it listens at `listen`, and leads to `target`."""

    source: str
    to: str
    listen: str
    target: str


class Network:
    """Lives on one event loop. With a seeded `random` it draws the same lots for the same pieces."""

    def __init__(self, clock: Clock | None = None, random: Random | None = None) -> None:
        self._clock = clock or SystemClock()
        self._random = random or SystemRandom()
        self._ways: dict[tuple[str, str], Way] = {}
        self._doors: list[Door] = []
        self._servers: list[asyncio.Server] = []
        self._tasks = Tasks()

    async def add(self, door: Door, *, frames: bool) -> None:
        """Open a door. frames: what goes through it is the protocol between nodes. AddressInUse."""
        there, back = self._way(door.source, door.to, frames), self._way(door.to, door.source, frames)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            carrier = Carrier((reader, writer), door.target, there, back, self._clock)
            self._tasks.start(f"chaos {door.source}:{door.to}", carrier.carry())

        try:
            server = await asyncio.start_server(accept, *address(door.listen), limit=READ_BYTES)
        except OSError as error:
            raise AddressInUse(f"cannot listen on {door.listen}: {error.strerror or error}") from error
        self._servers.append(server)
        self._doors.append(door)

    def _way(self, source: str, to: str, frames: bool) -> Way:
        way = self._ways.get((source, to))
        if way is None:
            way = Way(source, to, self._clock, self._random, has_frames=frames)
            self._ways[source, to] = way
        return way

    async def close(self) -> None:
        """Close all doors and reset all connections."""
        for server in self._servers:
            server.close()
        # Who was let in a moment ago has a task that has not begun; only one that has begun closes its connection.
        for _ in range(TURNS):
            await pause(0)
        for way in self._ways.values():
            for connected in list(way.connections):
                connected.reset()
        await self._tasks.cancel()

    # --- orders -------------------------------------------------------------------------------------------------------

    def obey(self, order: Order) -> list[str]:
        """Do it; the ways it was done to. BadOrder."""
        ways = [way for way in self._ways.values() if chosen(order.ways, way.source, way.to)]
        if not ways:
            raise BadOrder(f"there is no way {order.ways!r}; there are {', '.join(self.names)}")
        if _is_about_frames(order):
            blind = [way for way in ways if not way.has_frames]
            if blind:
                raise BadOrder(f"{_name(blind[0])} is not told apart into frames; that takes --frames")
        for way in ways:
            _do(order, way)
        return sorted(_name(way) for way in ways)

    def set(self, ways: str, **rules: Any) -> list[str]:
        """Change these rules of the ways."""
        return self.obey(Set(ways, **rules))

    def cut(self, ways: str) -> list[str]:
        return self.set(ways, cut=True)

    def heal(self, ways: str = "all") -> list[str]:
        return self.obey(Heal(ways))

    def reset(self, ways: str, *, after_frames: int | None = None, after_bytes: int | None = None) -> list[str]:
        return self.obey(Reset(ways, after_frames, after_bytes))

    @property
    def names(self) -> list[str]:
        return [_name(way) for way in self._ways.values()]

    def status(self) -> dict[str, Any]:
        """Each way's rules that are not those of a good network, what was counted, and the doors."""
        ways = [
            {
                "way": _name(way),
                "rules": msgspec.to_builtins(way.rules),
                "open": len(way.connections),
                **msgspec.to_builtins(way.counts),
            }
            for way in self._ways.values()
        ]
        return {"ways": ways, "doors": msgspec.to_builtins(self._doors)}


def _name(way: Way) -> str:
    return f"{way.source}:{way.to}"


def _is_about_frames(order: Order) -> bool:
    if isinstance(order, Set):
        return any(getattr(order, name) for name in OF_FRAMES)
    return isinstance(order, Reset) and order.after_frames is not None


def _do(order: Order, way: Way) -> None:
    if isinstance(order, Set):
        way.change(order.over(way.rules))
    elif isinstance(order, Heal):
        way.change(GOOD)
    else:
        way.reset(order)
