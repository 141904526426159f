"""When a node counts on within a life, and when it does not."""

import asyncio
from pathlib import Path

from dynkv.identity import Identity
from dynkv.marks import EVERY_S_MIN, RETRY_S, Marks
from dynkv.runtime import SystemClock, SystemRandom
from dynkv.storage.base import Done
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.memory import MemoryDisk, MemoryStore

GRACE_S = 400.0


class HandClock(SystemClock):
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class Marked:
    """Marks of a directory, and the counts that peers were told."""

    def __init__(self, path: Path, grace_s: float = GRACE_S) -> None:
        self.directory = DataDirectory.open(path, "n1", "c", 16, SystemRandom())
        directory = self.directory
        self.identity = Identity("n1", directory.incarnation, directory.start_count, directory.lives, confirmed=True)
        self.clock = HandClock()
        self.store = MemoryStore(MemoryDisk(), "synced", clock=self.clock, renew=lambda why: None)
        self.told: list[int] = []
        self.marks = Marks(
            self.identity,
            directory,
            self.store,
            self.clock,
            grace_s,
            lambda: self.told.append(directory.start_count),
        )


def test_a_quarter_of_the_grace_is_between_two(tmp_path: Path) -> None:
    async def main() -> None:
        m = Marked(tmp_path)
        before = m.directory.lives
        assert await m.marks.step() == GRACE_S / 4
        assert m.told == []
        m.clock.time = GRACE_S / 4
        assert await m.marks.step() == GRACE_S / 4
        assert m.told == [2]
        assert m.directory.counted == (2, m.directory.lives)
        assert m.directory.lives[:-1] == before
        m.clock.time += 10.0
        assert await m.marks.step() == GRACE_S / 4 - 10.0
        assert m.told == [2]
        m.directory.close()

    asyncio.run(main())


def test_it_is_durable_and_no_new_incarnation(tmp_path: Path) -> None:
    async def main() -> None:
        m = Marked(tmp_path, grace_s=0.0)
        m.clock.time = EVERY_S_MIN
        await m.marks.step()
        assert m.directory.incarnation == m.identity.incarnation
        lives = m.directory.lives
        m.directory.close()
        again = DataDirectory.open(tmp_path, "n1", "c", 16, SystemRandom())
        assert again.start_count == 3
        assert again.lives[:-1] == lives
        assert not again.was_clean
        again.close()

    asyncio.run(main())


def test_a_life_that_may_be_an_old_copys_does_not_count_on(tmp_path: Path) -> None:
    async def main() -> None:
        m = Marked(tmp_path)
        m.identity.confirmed = False
        m.clock.time = GRACE_S
        assert await m.marks.step() == RETRY_S
        assert (m.told, m.directory.start_count) == ([], 1)
        m.identity.confirmed = True
        await m.marks.step()
        assert (m.told, m.directory.start_count) == ([2], 2)
        m.directory.close()

    asyncio.run(main())


def test_nobody_is_told_of_one_that_could_not_be_noted(tmp_path: Path) -> None:
    async def main() -> None:
        m = Marked(tmp_path)
        m.clock.time = GRACE_S
        in_turn = m.store.in_turn

        def failing(work: object, done: Done) -> None:
            done(OSError(28, "No space left on device"))

        m.store.in_turn = failing  # type: ignore[method-assign]  # the disk is full
        assert await m.marks.step() == RETRY_S
        assert (m.told, m.directory.start_count) == ([], 1)
        m.store.in_turn = in_turn  # type: ignore[method-assign]  # there is room again
        await m.marks.step()
        assert m.told == [2]
        m.directory.close()

    asyncio.run(main())
