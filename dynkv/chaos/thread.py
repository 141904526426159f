"""A network on an event loop in a thread of its own, for whoever waits in other ways: `dynkv up`, and tests."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dynkv.chaos.control import Control
from dynkv.chaos.network import Door, Network
from dynkv.chaos.rules import Heal, Order, Set
from dynkv.runtime import Random

T = TypeVar("T")

PATIENCE_S = 10.0


class NetworkThread:
    """Its methods may be called from any other thread, and return when it is done."""

    def __init__(self, random: Random | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos", daemon=True)
        self._thread.start()
        self.network = Network(random=random)
        self._controls: list[Control] = []

    def add(self, door: Door, *, frames: bool = True) -> None:
        """Open a door. AddressInUse."""
        self._run(self.network.add(door, frames=frames))

    def control(self, listen: str) -> None:
        """Take orders over HTTP at this address. AddressInUse."""
        control = Control(self.network)
        self._run(control.listen(listen))
        self._controls.append(control)

    def obey(self, order: Order) -> list[str]:
        """Do it; the ways it was done to. BadOrder."""
        return self._call(lambda: self.network.obey(order))

    def cut(self, *ways: str) -> None:
        """Nothing arrives on these ways until they are healed."""
        for one in ways:
            self.obey(Set(one, cut=True))

    def heal(self, *ways: str) -> None:
        """Undo everything that was done to these ways; to all, if none is given."""
        for one in ways or ("all",):
            self.obey(Heal(one))

    def status(self) -> dict[str, Any]:
        return self._call(self.network.status)

    def close(self) -> None:
        """Reset what is open, and end the thread."""
        for control in self._controls:
            self._run(control.close())
        self._run(self.network.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Callable[[], T]) -> T:
        async def call() -> T:
            return what()

        return self._run(call())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)
