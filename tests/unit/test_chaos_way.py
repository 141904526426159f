"""What a way decides of each piece, by a clock and lots that the test holds."""

import asyncio
from functools import partial

import msgspec
import pytest

from dynkv.chaos.frames import HELLO_FRAMES, Bytes, Frames, Piece
from dynkv.chaos.lane import Lane
from dynkv.chaos.rules import GOOD, Reset, Rules
from dynkv.chaos.way import Way
from dynkv.runtime import SeededRandom, SystemClock

FRAME = Piece(b"\0\0\0\1x", True)


class HandClock(SystemClock):
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


def way(rules: Rules = GOOD, seed: str = "1") -> Way:
    made = Way("a", "b", HandClock(), SeededRandom(seed), has_frames=True)
    made.change(rules)
    return made


def frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


# --- frames -----------------------------------------------------------------------------------------------------------


def test_frames_come_out_whole_however_they_come_in() -> None:
    sent = [frame(b"hello"), frame(b"proof"), frame(b""), frame(b"x" * 70_000), frame(b"last")]
    stream = b"".join(sent)
    for size in (1, 3, 7, 4096, len(stream)):
        cutter = Frames()
        pieces = [piece for at in range(0, len(stream), size) for piece in cutter.feed(stream[at : at + size])]
        assert [piece.data for piece in pieces] == sent
        assert [piece.is_frame for piece in pieces] == [number >= HELLO_FRAMES for number in range(len(sent))]
        assert cutter.finish() == []


def test_a_frame_that_is_not_whole_goes_out_as_the_bytes_it_is() -> None:
    cutter = Frames()
    assert cutter.feed(frame(b"whole")[:-1]) == []
    assert cutter.finish() == [Piece(frame(b"whole")[:-1], False)]


def test_what_are_no_frames_passes_as_it_is_and_is_not_kept() -> None:
    cutter = Frames()
    assert [piece.data for piece in cutter.feed(frame(b"a") + b"GET / HTTP/1.1")] == [frame(b"a"), b"GET / HTTP/1.1"]
    assert cutter.feed(b"more") == [Piece(b"more", False)]
    assert Bytes().feed(b"x") == [Piece(b"x", False)]


# --- fates ------------------------------------------------------------------------------------------------------------


def test_a_good_way_delivers_at_once() -> None:
    assert way().fate(FRAME, 0.0) == ([100.0], True)


def test_delay_and_jitter_keep_the_order() -> None:
    shaky = way(Rules(delay_ms=100, jitter_ms=50))
    last = 0.0
    for _ in range(100):
        (due,), keeps_place = shaky.fate(FRAME, last)
        assert keeps_place
        assert max(100.1, last) <= due <= 100.15
        last = due
    assert shaky.fate(FRAME, 999.0).due == [999.0]


def test_the_rules_of_frames_take_about_the_part_that_they_say() -> None:
    for rule in ("drop", "duplicate", "reorder"):
        bad = way(msgspec.structs.replace(GOOD, **{rule: 0.2}))
        fates = [bad.fate(FRAME, 0.0) for _ in range(1000)]
        hit = {
            "drop": (sum(not fate.due for fate in fates), bad.counts.dropped),
            "duplicate": (sum(len(fate.due) == 2 for fate in fates), bad.counts.duplicated),
            "reorder": (sum(not fate.keeps_place for fate in fates), bad.counts.reordered),
        }
        assert 150 < hit[rule][0] == hit[rule][1] < 250


def test_the_hello_and_what_are_no_frames_are_neither_lost_nor_doubled() -> None:
    bad = way(Rules(drop=1, duplicate=1, reorder=1))
    assert bad.fate(Piece(b"x", False), 0.0) == ([100.0], True)


def test_the_same_seed_draws_the_same_lots() -> None:
    def lots(seed: str) -> list[list[float]]:
        bad = way(Rules(drop=0.3, duplicate=0.3, jitter_ms=10), seed)
        return [bad.fate(FRAME, 0.0).due for _ in range(50)]

    assert lots("a") == lots("a")
    assert lots("a") != lots("b")


# --- resets -----------------------------------------------------------------------------------------------------------


def test_a_reset_in_place_of_a_later_frame() -> None:
    breaking = way()
    breaking.reset(Reset("all", after_frames=2))
    assert breaking.breaks_within(Piece(b"hello", False)) is None  # counts frames only
    assert [breaking.breaks_within(FRAME) for _ in range(4)] == [None, None, 0, None]
    assert breaking.counts.resets == 1


def test_a_reset_in_the_middle_of_a_piece() -> None:
    breaking = way()
    breaking.reset(Reset("all", after_bytes=7))
    assert [breaking.breaks_within(FRAME) for _ in range(3)] == [None, 2, None]


def test_a_reset_now_breaks_every_connection() -> None:
    breaking = way()
    broken: list[int] = []
    for number in (1, 2):
        lane = Lane(breaking, Bytes(), SystemClock(), partial(broken.append, number))
        breaking.connections[lane] = None
    breaking.reset(Reset("all"))
    assert (broken, breaking.counts.resets) == ([1, 2], 2)


def test_healing_forgets_a_reset_that_was_to_come() -> None:
    breaking = way()
    breaking.reset(Reset("all", after_frames=0))
    breaking.change(GOOD)
    assert breaking.breaks_within(FRAME) is None


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_cut_holds_and_healing_lets_go() -> None:
    async def main() -> None:
        cut = way(Rules(cut=True))
        waiting = asyncio.ensure_future(cut.part(10))
        for _ in range(3):
            await asyncio.wait([waiting], timeout=0)
        assert not waiting.done()
        cut.change(Rules(cut=True, delay_ms=5))  # still cut
        await asyncio.wait([waiting], timeout=0)
        assert not waiting.done()
        cut.change(GOOD)
        assert await waiting == 10

    asyncio.run(main())


def test_a_pace_is_kept_by_all_connections_together() -> None:
    async def main() -> None:
        clock = HandClock()
        slow = Way("a", "b", clock, SeededRandom("1"), has_frames=False)
        slow.change(Rules(bytes_per_s=1000))
        assert await slow.part(500) == 50  # a twentieth of a second
        second = asyncio.ensure_future(slow.part(500))
        await asyncio.wait([second], timeout=0.01)
        assert not second.done()
        clock.time += 0.05
        assert await asyncio.wait_for(second, 5) == 50
        third = asyncio.ensure_future(slow.part(500))
        await asyncio.wait([third], timeout=0.01)
        slow.change(GOOD)
        assert await asyncio.wait_for(third, 5) == 500

    asyncio.run(main())


def test_a_lane_lets_an_overtaken_frame_wait_and_takes_no_more_than_it_may_hold() -> None:
    async def main() -> None:
        clock = HandClock()
        made = Way("a", "b", clock, SeededRandom("1"), has_frames=True)
        lane = Lane(made, Frames(), clock, no_reset)
        await lane.put(frame(b"hello") + frame(b"proof"))
        assert [(await lane.get()), (await lane.get())] == [
            Piece(frame(b"hello"), False),
            Piece(frame(b"proof"), False),
        ]
        made.change(Rules(reorder=1, reorder_ms=1000))
        await lane.put(frame(b"first"))
        made.change(GOOD)
        await lane.put(frame(b"second"))
        assert await lane.get() == Piece(frame(b"second"), True)
        clock.time += 1
        lane.end()
        assert await lane.get() == Piece(frame(b"first"), True)
        assert await lane.get() is None

        full = Lane(made, Bytes(), clock, no_reset)
        filling = asyncio.ensure_future(full.put(b"x" * (5 << 20)))
        await asyncio.wait([filling], timeout=0)
        assert not filling.done()
        assert await full.get() is not None
        await asyncio.wait_for(filling, 5)

    asyncio.run(main())


def test_healing_lets_all_arrive_that_was_late_and_in_order() -> None:
    async def main() -> None:
        late = way(Rules(delay_ms=3_600_000))
        lane = Lane(late, Bytes(), HandClock(), no_reset)
        late.connections[lane] = None
        for word in (b"one", b"two"):
            await lane.put(word)
        waiting = asyncio.ensure_future(lane.get())
        await asyncio.wait([waiting], timeout=0)
        late.change(Rules(delay_ms=5))
        await lane.put(b"three")
        await asyncio.wait([waiting], timeout=0)
        assert not waiting.done()  # what keeps its place is not overtaken
        late.change(GOOD)
        got = [await asyncio.wait_for(waiting, 5), *[await lane.get() for _ in range(2)]]
        assert [piece.data for piece in got if piece] == [b"one", b"two", b"three"]

    asyncio.run(main())


def no_reset() -> None:
    raise AssertionError("nobody asked for a reset")


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError):
        Rules(latency=5)  # type: ignore[call-arg]  # no such rule
