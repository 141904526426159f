"""The simulated network: what a packet meets on its way, and what a kernel does for a process that is not there.

What is carried is TCP as programs see it: a connection delivers its bytes in order or breaks. So a cut link loses
nothing by itself: packets wait in the senders' kernels and come late, when it heals. A process that dies resets its
connections; a machine without power says nothing, and resets when it is asked after it is back. On top of that, links
between nodes can lose, repeat and reorder whole frames, as a faulty proxy would; the hello's frames are spared, and so
is HTTP, which has no frames.

    way         one direction between two sites: delay, rate, cut, and what happens to frames
    site        where one process runs at a time, as the network sees it
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from dynkv.core.errors import AddressInUse
from dynkv.peer.sockets import HostPort, MakeProtocol
from dynkv.sim.chance import Chance
from dynkv.sim.loop import ProcessLoop
from dynkv.sim.stream import End
from dynkv.sim.world import World

# Frames of a hello in each direction, at most.
HELLO_FRAMES = 2
# From one attempt to connect to a host that does not answer to the next.
KNOCK_AGAIN_S = 1.0
# How much later than usual a reordered frame may come, in delays.
REORDERED_DELAYS = 5


class Way(msgspec.Struct):
    """Times in seconds, chances in 0..1. `bytes_per_s`: 0 for no limit; a rate so low that nothing gets through in time
    is a clogged link. `resets`: the chance that a packet is the last, and the connection is reset in its place."""

    delay_s_min: float = 0.0001
    delay_s_max: float = 0.0005
    bytes_per_s: float = 0.0
    cut: bool = False
    loss: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    resets: float = 0.0


class Counts(msgspec.Struct):
    """What the network did."""

    packets: int = 0
    held: int = 0
    lost: int = 0
    repeated: int = 0
    reordered: int = 0
    resets: int = 0
    refused: int = 0


class Site:
    """`loop`: of the process that runs there now. `powered`: whether its kernel answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop: ProcessLoop | None = None
        self.powered = True
        self.ends: dict[End, None] = {}


class _Listening(msgspec.Struct):
    site: Site
    make: MakeProtocol
    frames: bool


class Net:
    """All connections of a simulated world."""

    def __init__(self, world: World, chance: Chance, usual: Way) -> None:
        self.counts = Counts()
        self._world = world
        self._chance = chance
        self._usual = usual
        self._ways: dict[tuple[str, str], Way] = {}
        self._free_at: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], deque[Callable[[], None]]] = {}
        self._listening: dict[HostPort, _Listening] = {}
        self._sites: dict[HostPort, Site] = {}

    # --- what the world does to it ------------------------------------------------------------------------------------

    def place(self, site: Site, address: HostPort) -> None:
        """This address is the site's, whether somebody listens or not."""
        self._sites[address] = site

    def way(self, source: str, target: str) -> Way:
        """What packets from `source` to `target` meet now. To be changed by `change`."""
        return self._ways.get((source, target), self._usual)

    def change(self, source: str, target: str, **changes: float | bool) -> None:
        """Change one direction."""
        before = self.way(source, target)
        self._ways[source, target] = way = msgspec.structs.replace(before, **changes)
        if before.cut and not way.cut:
            self._let_go(source, target)

    def clear(self, source: str, target: str) -> None:
        """One direction is as usual again."""
        before = self.way(source, target)
        self._ways.pop((source, target), None)
        self._free_at.pop((source, target), None)
        if before.cut:
            self._let_go(source, target)

    def _let_go(self, source: str, target: str) -> None:
        for act in self._held.pop((source, target), ()):
            act()

    def reset(self, one: Site, other: Site) -> int:
        """Break all connections between the two; both are told at once. How many."""
        ends = [end for end in one.ends if end.other.site is other]
        for end in ends:
            self._break(end)
            self._break(end.other)
        self.counts.resets += len(ends)
        return len(ends)

    def process_gone(self, site: Site) -> None:
        """The process at `site` is no more. Its kernel, if it has power, resets what was open."""
        self._listening = {address: there for address, there in self._listening.items() if there.site is not site}
        for end in list(site.ends):
            end.gone = True
            if site.powered:
                self.carry_reset(end)
        site.ends.clear()

    # --- sites' side --------------------------------------------------------------------------------------------------

    def listen(self, site: Site, address: HostPort, make: MakeProtocol, *, frames: bool) -> Callable[[], None]:
        """Take connections there; what to call to take no more. AddressInUse."""
        if address in self._listening:
            raise AddressInUse(f"cannot listen on {address[0]}:{address[1]}: in use")
        assert self._sites[address] is site
        there = self._listening[address] = _Listening(site, make, frames)

        def close() -> None:
            if self._listening.get(address) is there:
                del self._listening[address]

        return close

    async def connect(self, site: Site, address: HostPort, make: MakeProtocol) -> None:
        """Returns once `make`'s protocol is connected. OSError; no time limit of its own."""
        loop = site.loop
        assert loop is not None
        connected: asyncio.Future[None] = loop.create_future()
        self._knock(site, loop, address, make, connected)
        await connected

    def _knock(
        self, site: Site, loop: ProcessLoop, address: HostPort, make: MakeProtocol, connected: "asyncio.Future[None]"
    ) -> None:
        target = self._sites[address]
        there, back = self.way(site.name, target.name), self.way(target.name, site.name)

        def come() -> None:
            if connected.done() or not loop.alive:
                return
            if there.cut or back.cut or not target.powered:
                self._world.after(KNOCK_AGAIN_S, partial(self._knock, site, loop, address, make, connected))
                return
            listening = self._listening.get(address)
            if listening is None or target.loop is None:
                self.counts.refused += 1
                self._world.after(self._delay(back), lambda: loop.call_soon(_refuse, connected, address))
            else:
                self._meet(site, loop, make, connected, listening, self._delay(back))

        self._world.after(self._delay(there), come)

    def _meet(
        self,
        site: Site,
        loop: ProcessLoop,
        make: MakeProtocol,
        connected: "asyncio.Future[None]",
        listening: _Listening,
        back_s: float,
    ) -> None:
        target = listening.site
        assert target.loop is not None
        ours = End(self, site, loop, frames=listening.frames)
        theirs = End(self, target, target.loop, frames=listening.frames)
        ours.other, theirs.other = theirs, ours
        site.ends[ours] = target.ends[theirs] = None
        theirs.arrives = self._world.now + back_s
        target.loop.call_soon(lambda: theirs.begin(listening.make()))

        def finish() -> None:
            if connected.done():  # who connected has given up
                ours.abort()
            else:
                ours.begin(make())
                connected.set_result(None)

        self._world.after(back_s, lambda: loop.call_soon(finish))

    # --- ends' side ---------------------------------------------------------------------------------------------------

    def carry(self, end: End, data: bytes) -> None:
        """Send `data` to the other end."""
        way, chance = self.way(end.site.name, end.other.site.name), self._chance
        end.sent += 1
        self.counts.packets += 1
        copies = 1
        late = 0.0
        if way.resets and chance.odds(way.resets):
            self.counts.resets += 1
            self._break(end)
            self._break(end.other)
            return
        if end.frames and end.sent > HELLO_FRAMES:
            if way.loss and chance.odds(way.loss):
                self.counts.lost += 1
                return
            if way.repeat and chance.odds(way.repeat):
                self.counts.repeated += 1
                copies = 2
            if way.reorder and chance.odds(way.reorder):
                self.counts.reordered += 1
                late = chance.uniform(0, REORDERED_DELAYS * way.delay_s_max)
        for _ in range(copies):
            end.in_flight += len(data)
            arrives = self._time_of_arrival(end, way, len(data))
            if late:
                arrives += late
            else:
                arrives = end.arrives = max(arrives, end.arrives)
            self._send(end, arrives, partial(self._arrive, end, data))

    def carry_end(self, end: End) -> None:
        """Tell the other end, after all that was sent, that no more comes."""
        self._send(end, max(end.arrives, self._soon(end)), partial(self._tell, end, End.ended))

    def carry_reset(self, end: End) -> None:
        """Tell the other end that this one is no more."""
        self._send(end, self._soon(end), partial(self._tell, end, End.broken))

    def forget(self, end: End) -> None:
        end.site.ends.pop(end, None)

    # --- on the way ---------------------------------------------------------------------------------------------------

    def _send(self, end: End, arrives: float, act: Callable[[], None]) -> None:
        direction = (end.site.name, end.other.site.name)

        def come() -> None:
            if self.way(*direction).cut:
                self.counts.held += 1
                self._held.setdefault(direction, deque()).append(act)
            else:
                act()

        self._world.at(arrives, come)

    def _arrive(self, end: End, data: bytes) -> None:
        other = end.other
        if not other.gone:
            other.loop.call_soon(other.received, end, data)
        elif not end.gone and other.site.powered:
            self._send(other, self._soon(other), partial(self._break, end))

    def _tell(self, end: End, how: Callable[[End], None]) -> None:
        other = end.other
        if not other.gone:
            other.loop.call_soon(how, other)

    def _break(self, end: End) -> None:
        if not end.gone:
            end.loop.call_soon(end.broken)

    def _soon(self, end: End) -> float:
        return self._world.now + self._delay(self.way(end.site.name, end.other.site.name))

    def _delay(self, way: Way) -> float:
        return self._chance.uniform(way.delay_s_min, way.delay_s_max)

    def _time_of_arrival(self, end: End, way: Way, size: int) -> float:
        leaves = self._world.now
        if way.bytes_per_s:
            direction = (end.site.name, end.other.site.name)
            leaves = max(leaves, self._free_at.get(direction, 0.0)) + size / way.bytes_per_s
            self._free_at[direction] = leaves
        return leaves + self._delay(way)


def _refuse(connected: "asyncio.Future[None]", address: HostPort) -> None:
    if not connected.done():
        connected.set_exception(ConnectionRefusedError(f"nobody listens on {address[0]}:{address[1]}"))
