"""How far members' databases went: a young snapshot of a node is told from it, and nothing else is taken for one."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from dynkv.extents import Extents
from dynkv.identity import Identity
from dynkv.peer.gossip_messages import EXTENTS_MAX, Extent
from dynkv.runtime import SystemClock
from dynkv.storage.memory import MemoryDisk, MemoryStore

DATABASE = "the one"


class One:
    """A node's extents, at its start `start_count` with `changes` durable changes."""

    def __init__(self, start_count: int = 5, changes: int = 10) -> None:
        self.disk = MemoryDisk(DATABASE)
        self.disk.sequence = changes
        self.identity = Identity("n1", 1, start_count, (1,), confirmed=True)
        self.short = 0
        store = MemoryStore(self.disk, "synced", clock=SystemClock(), renew=lambda why: None)
        self.extents = Extents(store, self.identity, self._fell_short)

    def _fell_short(self) -> None:
        self.short += 1


def on_a_loop(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    asyncio.run(main())


def test_a_database_that_ends_before_what_was_heard_falls_short_once() -> None:
    def test() -> None:
        one = One(changes=10)
        one.extents.judge([Extent(4, DATABASE, 11)])
        assert one.short == 1
        one.extents.judge([Extent(4, DATABASE, 12)])
        assert one.short == 1

    on_a_loop(test)


def test_one_that_has_all_that_was_heard_does_not() -> None:
    def test() -> None:
        one = One(changes=10)
        for heard in ([], [Extent(4, DATABASE, 10)], [Extent(3, DATABASE, 2), Extent(4, DATABASE, 9)]):
            one.extents.judge(heard)
        assert one.short == 0

    on_a_loop(test)


def test_neither_does_a_database_that_took_the_place_of_another() -> None:
    """Set aside and refilled, or salvaged: what it lacks is known."""

    def test() -> None:
        one = One(changes=10)
        one.extents.judge([Extent(4, "the one before", 1_000)])
        assert one.short == 0

    on_a_loop(test)


def test_what_this_life_has_written_is_not_held_against_it() -> None:
    """Nor what it wrote after a mark, which raises the start count."""

    def test() -> None:
        one = One(start_count=5, changes=10)
        one.disk.sequence = 100
        one.extents.judge([Extent(5, DATABASE, 50)])
        one.identity.start_count = 6
        one.extents.judge([Extent(5, DATABASE, 50), Extent(6, DATABASE, 100)])
        assert one.extents.own() == Extent(6, DATABASE, 100)
        assert one.short == 0

    on_a_loop(test)


def test_a_loss_that_an_earlier_start_has_heard_of_is_not_told_again() -> None:
    """The start after it is the one that counts: it went on from there."""

    def test() -> None:
        one = One(start_count=6, changes=10)
        one.extents.judge([Extent(4, DATABASE, 99), Extent(5, DATABASE, 8)])
        assert one.short == 0

    on_a_loop(test)


def test_nothing_is_said_before_it_is_confirmed_nor_before_a_loss_is_noted() -> None:
    """Else peers would forget what they have heard of the start before, which is all the evidence there is."""

    def test() -> None:
        one, peer = One(start_count=7, changes=800), One()
        one.identity.confirmed = False
        peer.extents.hear("n1", Extent(5, DATABASE, 900))
        peer.extents.hear("n1", Extent(6, DATABASE, 1_000))

        def beat() -> tuple[Extent, ...]:
            peer.extents.hear("n1", one.extents.own())
            return peer.extents.of("n1")

        evidence = beat()
        assert evidence[-1] == Extent(6, DATABASE, 1_000)
        one.extents.judge(evidence)
        one.identity.confirmed = True
        assert one.short == 1
        assert beat() == evidence
        again = One(start_count=8, changes=802)  # it died before it could note it
        again.extents.judge(beat())
        assert again.short == 1
        one.extents.noted()
        assert beat() == (Extent(6, DATABASE, 1_000), Extent(7, DATABASE, 800))

    on_a_loop(test)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), max_size=30))
def test_of_each_of_the_newest_starts_the_latest_is_remembered(said: list[tuple[int, int]]) -> None:
    """However late something arrives: the oracle keeps everything that was said of a start while it was the newest."""

    def test() -> None:
        one = One()
        kept: dict[int, int] = {}
        for start_count, sequence in said:
            one.extents.hear("n2", Extent(start_count, DATABASE, sequence))
            if start_count >= max(kept, default=0):
                kept[start_count] = max(sequence, kept.get(start_count, 0))
        expected = [Extent(start_count, DATABASE, kept[start_count]) for start_count in sorted(kept)]
        assert list(one.extents.of("n2")) == expected[-EXTENTS_MAX:]
        assert one.extents.of("n3") == ()

    on_a_loop(test)
