"""What the clients do. A value is written once and never again, so it names its write."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dynkv.check.history import Op
from dynkv.cli.checking.places import Place, Places
from dynkv.cli.checking.recorder import Recorder
from dynkv.client import Entry, Sibling, merging
from dynkv.client.errors import ClientError
from dynkv.client.requests import Level
from dynkv.client.resolvers import Resolver
from dynkv.runtime import Random

QUORUM: dict[str, Any] = {}
ONE: dict[str, Any] = {"r": 1, "w": 1}
SESSION_WAIT_S = 0.5
# For each request of the last reads.
LAST_S = 30.0


class Workload(ABC):
    """One kind of clients. `step` is one turn of one process; the turns of different processes overlap."""

    # How what is read becomes values; `resolve` of the last reads.
    resolve: Resolver | str = "keep"
    raw = True

    def __init__(self, bucket: str, recorder: Recorder, places: Places, random: Random) -> None:
        self.bucket = bucket
        self.recorder = recorder
        self.places = places
        self._random = random
        self._written: dict[int, int] = defaultdict(int)

    @abstractmethod
    async def step(self, process: int) -> None:
        """A few operations of this process, one after another."""

    async def last(self, place: Place, keys: Sequence[str], level: Level) -> list[tuple[str, ...] | ClientError]:
        """What each of these keys shows in the end, asked of one node at this level; or why that is not known."""
        found = await place.client.get_many(
            self.bucket, keys, resolve=self.resolve, raw=self.raw, r=level, timeout=LAST_S, return_errors=True
        )
        return [one if isinstance(one, ClientError) else tuple(self.shown(one)) for one in found]

    @property
    def keys(self) -> list[str]:
        """Every key that was touched."""
        return sorted({op.key for op in self.recorder.ops})

    def shown(self, entry: Entry) -> list[str]:
        """The values that a read showed."""
        return sorted(value.decode() for value in entry.values)

    # --- for those below ----------------------------------------------------------------------------------------------

    def chance(self) -> float:
        return self._random.uniform(0, 1)

    def pick(self, count: int) -> int:
        return self._random.u64() % count

    def fresh(self, process: int) -> str:
        """A value that nobody has written."""
        self._written[process] += 1
        return f"{process}-{self._written[process]}"

    async def read(self, process: int, place: Place, key: str, levels: dict[str, Any] = QUORUM) -> Entry | None:
        return await self.recorder.ask(
            Op(process, "read", key, 0.0, node=place.node, level=_level(levels, "r")),
            lambda: place.client.get(self.bucket, key, resolve="keep", raw=True, **_only(levels, "r")),
            self.shown,
        )

    async def write(self, process: int, place: Place, key: str, entry: Entry | None, op: str = "write") -> bool:
        """A fresh value over what `entry` showed, or beside whatever there is; whether it was acknowledged."""
        value, saw, context = self.fresh(process), tuple(self.shown(entry)) if entry else (), _context(entry)
        done = await self.recorder.ask(
            Op(process, op, key, 0.0, node=place.node, value=value, saw=saw),
            lambda: place.client.put(self.bucket, key, value, context),
        )
        return done is not None

    async def delete(self, process: int, place: Place, key: str, entry: Entry, op: str = "delete") -> None:
        await self.recorder.ask(
            Op(process, op, key, 0.0, node=place.node, saw=tuple(self.shown(entry))),
            lambda: place.client.delete(self.bucket, key, entry.context),
        )


class SetWorkload(Workload):
    """Elements are added, looked for, and removed; each is a key of its own."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._known: list[str] = []
        self._removable: list[str] = []

    async def step(self, process: int) -> None:
        place, chance = self.places.one(process), self.chance()
        if chance < 0.5 or not self._removable:
            key = f"e{process}-{self._written[process]}"
            if await self.write(process, place, key, None, "add"):
                self._removable.append(key)
            self._known.append(key)
        elif chance < 0.75:
            await self.read(process, place, self._known[self.pick(len(self._known))])
        else:
            key = self._removable.pop(self.pick(len(self._removable)))
            entry = await self.read(process, place, key)
            if entry is not None and entry.found:
                await self.delete(process, self.places.one(process), key, entry, "remove")


class RegisterWorkload(Workload):
    """A few keys that everybody reads, replaces, writes blindly and deletes."""

    KEYS = 24

    async def step(self, process: int) -> None:
        place, chance, key = self.places.one(process), self.chance(), f"r{self.pick(self.KEYS)}"
        if chance < 0.1:
            await self.write(process, place, key, None)
            return
        entry = await self.read(process, place, key)
        if entry is None or chance < 0.4:
            return
        # Through another node than it was read at, as often as not.
        place = self.places.one(process)
        if chance > 0.92 and entry.found:
            await self.delete(process, place, key, entry)
        else:
            await self.write(process, place, key, entry)


@merging
def _merge(siblings: Sequence[Sibling]) -> Any:
    """Each process' own count; of two, the greater is the later."""
    counts: dict[str, int] = {}
    for sibling in siblings:
        for process, count in sibling.value.items():
            counts[process] = max(count, counts.get(process, 0))
    return counts


class CounterWorkload(Workload):
    """A few counters of two kinds. `c`: by `update` over siblings, where each process counts its own increments and all
    of them are summed. `t`: the store's own."""

    KEYS = 4
    resolve = staticmethod(_merge)
    raw = False

    def shown(self, entry: Entry) -> list[str]:
        return [str(sum((entry.value or {}).values()))]

    async def step(self, process: int) -> None:
        place, chance, amount = self.places.one(process), self.chance(), 1 + self.pick(3)
        key = f"{'ct'[self.pick(2)]}{self.pick(self.KEYS)}"
        if chance < 0.4:
            op = Op(process, "read", key, 0.0, node=place.node)
            await self.recorder.ask(op, lambda: self._sum(place, key), lambda shown: [shown])
            return
        op = Op(process, "increment", key, 0.0, node=place.node, value=str(amount))
        if key.startswith("t"):
            await self.recorder.ask(op, lambda: place.client.counter(self.bucket, key).increment(amount))
            return
        ours = str(process)

        def add(counts: dict[str, int]) -> dict[str, int]:
            return {**counts, ours: counts.get(ours, 0) + amount}

        await self.recorder.ask(op, lambda: place.client.update(self.bucket, key, add, default={}, resolve=_merge))

    async def _sum(self, place: Place, key: str, level: Level | None = None) -> str:
        if key.startswith("t"):
            return str(await place.client.counter(self.bucket, key).value(r=level))
        return self.shown(await place.client.get(self.bucket, key, resolve=_merge, r=level))[0]

    async def last(self, place: Place, keys: Sequence[str], level: Level) -> list[tuple[str, ...] | ClientError]:
        found: list[tuple[str, ...] | ClientError] = []
        for key in keys:
            try:
                found.append((await self._sum(place, key, level),))
            except ClientError as error:
                found.append(error)
        return found


class SessionWorkload(Workload):
    """Each process is a session that goes to another node with each request; half of them ask one replica only.

    A session's write replaces its own earlier value of the key too, as if it had come with the context of that.
    """

    KEYS = 12

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._tokens: dict[int, str] = {}
        self._own: dict[tuple[int, str], str] = {}

    async def step(self, process: int) -> None:
        levels, chance, key = ONE if process % 2 else QUORUM, self.chance(), f"s{self.pick(self.KEYS)}"
        entry = None
        if chance > 0.15:
            entry = await self._read(process, key, levels)
            if entry is None or chance < 0.6:
                return
        value, seen = self.fresh(process), set(self.shown(entry)) if entry else set()
        if own := self._own.get((process, key)):
            seen.add(own)
        place = self.places.node()
        session = place.client.new_session(self._tokens.get(process, ""), wait=SESSION_WAIT_S)
        level, saw = _level(levels, "w"), tuple(sorted(seen))
        done = await self.recorder.ask(
            Op(process, "write", key, 0.0, node=place.node, value=value, saw=saw, level=level),
            lambda: session.put(self.bucket, key, value, _context(entry), **_only(levels, "w")),
        )
        if done is not None:
            self._own[process, key] = value
        self._tokens[process] = session.token

    async def _read(self, process: int, key: str, levels: dict[str, Any]) -> Entry | None:
        place = self.places.node()
        session = place.client.new_session(self._tokens.get(process, ""), wait=SESSION_WAIT_S)
        entry = await self.recorder.ask(
            Op(process, "read", key, 0.0, node=place.node, level=_level(levels, "r")),
            lambda: session.get(self.bucket, key, resolve="keep", raw=True, **_only(levels, "r")),
            self.shown,
        )
        self._tokens[process] = session.token
        return entry


WORKLOADS: dict[str, type[Workload]] = {
    "set": SetWorkload,
    "register": RegisterWorkload,
    "counter": CounterWorkload,
    "session": SessionWorkload,
}


def _context(entry: Entry | None) -> str | None:
    return entry.context or None if entry is not None else None


def _only(levels: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: levels[name]} if name in levels else {}


def _level(levels: dict[str, Any], name: str) -> str:
    return str(levels.get(name, ""))
