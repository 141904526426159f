"""The schedule on virtual time: every pair within the cycle, evenly, nobody starved by a peer that is slow or away."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antientropy import Pair, Schedule

CYCLE = 60.0
RETRY = 2.0
OPEN_MAX = 5
PEERS = ["n1", "n2", "n3", "n4"]
PAIRS = st.builds(Pair, st.integers(0, 40), st.sampled_from([1, 3]), st.sampled_from(PEERS))
FEW_PAIRS = st.builds(Pair, st.integers(0, 3), st.just(3), st.sampled_from(PEERS))
STARTS = st.sampled_from([0.0, 0.1, 12_345.678, 3e6])


@dataclass
class Driver:
    """Takes what is due as soon as it is due, in batches of `limit`, and has at most `workers` pairs under way."""

    schedule: Schedule
    now: float
    available: list[str] = field(default_factory=lambda: list(PEERS))
    lasts: dict[str, float] = field(default_factory=dict)
    """Seconds that a comparison with a peer takes, else 0."""
    failing: frozenset[str] = frozenset()
    limit: int = 16
    workers: int = 100_000

    def __post_init__(self) -> None:
        self.begun = dict[Pair, list[float]]()
        self.batches: list[str] = []
        self.running: list[tuple[float, Pair]] = []

    def run_until(self, end: float) -> None:
        while self.now < end:
            while self.running and self.running[0][0] <= self.now:
                self._finish(heappop(self.running)[1])
            room = min(self.limit, self.workers - len(self.running))
            batch = self.schedule.due(self.now, self.available, room) if room else []
            if batch:
                self._begin(batch)
                continue
            until = min(end, self.running[0][0]) if self.running else end
            wait_s = self.schedule.wait_s(self.now, self.available) if room else until - self.now
            assert wait_s > 0, "nothing is due, and nothing is to be waited for"
            self.now = min(self.now + wait_s, until)

    def _begin(self, batch: list[Pair]) -> None:
        self.schedule.began(batch, self.now)
        self.batches.append(batch[0].peer)
        for pair in batch:
            self.begun.setdefault(pair, []).append(self.now)
            heappush(self.running, (self.now + self.lasts.get(pair.peer, 0.0), pair))

    def _finish(self, pair: Pair) -> None:
        self.schedule.ended(pair, self.now, pair.peer not in self.failing, RETRY)

    def gaps(self, pair: Pair, start: float) -> list[float]:
        return [later - earlier for earlier, later in pairwise([start, *self.begun.get(pair, []), self.now])]


def _grid(partitions: int) -> list[Pair]:
    return [Pair(partition, 3, peer) for partition in range(partitions) for peer in PEERS]


@given(st.sets(PAIRS, min_size=1, max_size=200), STARTS, st.sampled_from([0.0, 0.5, 3.0]), st.integers(1, 64))
def test_every_pair_is_compared_within_each_cycle_and_not_much_more_often(
    pairs: set[Pair], start: float, lasts: float, limit: int
) -> None:
    schedule = Schedule(CYCLE)
    schedule.set_pairs(pairs, start)
    driver = Driver(schedule, start, lasts=dict.fromkeys(PEERS, lasts), limit=limit)
    driver.run_until(start + 5 * CYCLE)
    for pair in pairs:
        assert max(driver.gaps(pair, start)) <= CYCLE
        assert len(driver.begun[pair]) <= 6


def _worst_window(times: list[float], start: float, end: float, width: float) -> tuple[int, int]:
    """The fewest and the most of `times` in any window of that width between start and end."""
    counts = []
    at = start
    while at + width <= end:
        counts.append(bisect_left(times, at + width) - bisect_left(times, at))
        at += width / 16
    return min(counts), max(counts)


@given(st.integers(1, 300), STARTS)
def test_comparisons_lie_evenly_over_the_cycle_and_do_so_again_after_a_burst(partitions: int, start: float) -> None:
    """In each eighth of a cycle about an eighth of the pairs: by half as many again and four more at most."""
    pairs = _grid(partitions)
    schedule = Schedule(CYCLE)
    schedule.set_pairs(pairs, start)
    driver = Driver(schedule, start, limit=32)
    for _ in range(2):
        driver.run_until(driver.now + CYCLE)
        first = driver.now
        driver.run_until(driver.now + 2 * CYCLE)
        times = sorted(time for begun in driver.begun.values() for time in begun)
        fewest, most = _worst_window(times, first, driver.now, CYCLE / 8)
        share = len(pairs) / 8
        assert fewest >= share / 2 - 4
        assert most <= share * 1.5 + 4
        assert schedule.hurry(driver.now) == len(pairs)


def test_pairs_of_one_peer_that_come_soon_go_in_one_batch() -> None:
    """4096 pairs with one peer in a minute are 76 a second, and not so many messages."""
    schedule = Schedule(CYCLE, open_max=1000)
    schedule.set_pairs([Pair(partition, 3, "n1") for partition in range(4096)], 0.0)
    driver = Driver(schedule, 0.0, limit=1000)
    driver.run_until(CYCLE)
    assert len(driver.batches) <= 80


@given(st.floats(0.5, CYCLE), st.integers(0, 3))
def test_as_long_as_all_have_pairs_due_a_slow_peer_takes_turns_like_any_other(lasts: float, slow: int) -> None:
    """One batch at a time: among any four that follow each other, one is of each peer."""
    schedule = Schedule(CYCLE)
    schedule.set_pairs(_grid(40), 0.0)
    driver = Driver(schedule, 0.0, lasts={PEERS[slow]: lasts}, limit=4, workers=4)
    schedule.hurry(0.0)
    driver.run_until(9 * lasts)
    assert len(driver.batches) >= 32
    assert all(set(driver.batches[at : at + 4]) == set(PEERS) for at in range(29))


def test_who_has_nothing_under_way_is_served_first() -> None:
    schedule = Schedule(CYCLE)
    schedule.set_pairs(_grid(2), 0.0)
    schedule.hurry(0.0)
    first = schedule.due(0.0, ["n1"], 1)
    schedule.began(first, 0.0)
    for _ in range(2):
        batch = schedule.due(0.0, ["n1", "n2"], 1)
        assert batch[0].peer == "n2"
        schedule.began(batch, 0.0)
        schedule.ended(batch[0], 0.0, ok=True, retry_s=RETRY)
    assert schedule.due(0.0, ["n1", "n2"], 1)[0].peer == "n1"


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 4), st.integers(1, 16))
def test_a_peer_that_never_answers_costs_the_others_no_cycle(
    partitions: int, open_max: int, spare: int, limit: int
) -> None:
    """It holds what `open_max` lets it have; one worker more than that is enough for all others."""
    schedule = Schedule(CYCLE, open_max)
    pairs = _grid(partitions)
    schedule.set_pairs(pairs, 0.0)
    driver = Driver(schedule, 0.0, lasts={"n1": 1e9}, limit=limit, workers=open_max + spare)
    driver.run_until(4 * CYCLE)
    assert sum(pair.peer == "n1" for pair in driver.begun) == min(partitions, open_max)
    for pair in pairs:
        if pair.peer != "n1":
            assert max(driver.gaps(pair, 0.0)) <= CYCLE


@given(st.integers(1, 60), st.floats(0.1, 3 * CYCLE))
def test_a_peer_that_was_away_is_asked_for_nothing_and_caught_up_with_at_once(partitions: int, away_s: float) -> None:
    schedule = Schedule(CYCLE)
    pairs = _grid(partitions)
    schedule.set_pairs(pairs, 0.0)
    driver = Driver(schedule, 0.0)
    driver.run_until(CYCLE)
    driver.available.remove("n1")
    left = driver.now
    driver.run_until(left + away_s)
    driver.available.append("n1")
    back = driver.now
    driver.run_until(back + 0.001)
    for pair in pairs:
        if pair.peer == "n1":
            assert not [time for time in driver.begun[pair] if left < time < back]
            assert max(driver.begun[pair]) >= back or back - max(driver.begun[pair]) <= CYCLE
        else:
            assert max(driver.gaps(pair, 0.0)) <= CYCLE


@given(st.integers(1, 60), st.booleans())
def test_what_fails_is_tried_again_after_a_delay_and_not_before(partitions: int, others_too: bool) -> None:
    schedule = Schedule(CYCLE, open_max=10_000)
    pairs = _grid(partitions)
    schedule.set_pairs(pairs, 0.0)
    driver = Driver(schedule, 0.0, failing=frozenset(PEERS if others_too else ["n1"]), limit=10_000)
    driver.run_until(2 * CYCLE)
    for pair in pairs:
        gaps = driver.gaps(pair, 0.0)
        assert max(gaps) <= CYCLE
        if pair.peer in driver.failing:
            assert min(gaps[1:-1]) >= RETRY - 1e-6
            assert max(gaps[1:-1]) <= RETRY + CYCLE / 60


def test_a_retry_later_than_a_cycle_comes_within_the_cycle() -> None:
    schedule = Schedule(CYCLE)
    pair = Pair(0, 3, "n1")
    schedule.set_pairs([pair], 0.0)
    schedule.began([pair], 0.0)
    schedule.ended(pair, 1.0, ok=False, retry_s=1e9)
    assert 0 < schedule.wait_s(1.0, ["n1"]) <= CYCLE


def test_a_comparison_longer_than_the_cycle_is_due_again_when_it_ends() -> None:
    schedule = Schedule(CYCLE)
    pair = Pair(0, 3, "n1")
    schedule.set_pairs([pair], 0.0)
    schedule.began([pair], 0.0)
    schedule.ended(pair, 2 * CYCLE, ok=True, retry_s=RETRY)
    assert schedule.due(2 * CYCLE, ["n1"], 1) == [pair]


def test_what_has_been_due_for_longest_is_first_and_hurry_does_not_change_that() -> None:
    schedule = Schedule(CYCLE)
    pairs = [Pair(partition, 3, "n1") for partition in range(20)]
    schedule.set_pairs(pairs, 0.0)
    driver = Driver(schedule, 0.0, limit=1)
    driver.run_until(CYCLE)
    order = sorted(pairs, key=lambda pair: driver.begun[pair][0])
    assert order != pairs

    late = Schedule(CYCLE)
    late.set_pairs(pairs, 0.0)
    assert late.due(CYCLE, ["n1"], 20) == order
    late.hurry(CYCLE)
    assert late.due(CYCLE, ["n1"], 20) == order


def test_a_slot_that_is_now_has_passed() -> None:
    """However the sums round: else a pair would be due again and again while a virtual clock stands still."""
    now = 0.0
    for _ in range(1000):
        schedule = Schedule(CYCLE)
        schedule.set_pairs([Pair(0, 3, "n1")], now)
        wait_s = schedule.wait_s(now, ["n1"])
        assert 0 < wait_s <= CYCLE
        now += wait_s


@pytest.mark.parametrize("ok", [True, False])
def test_a_pair_under_way_that_is_hurried_is_due_when_it_ends_and_not_before(ok: bool) -> None:
    schedule = Schedule(CYCLE)
    pair = Pair(0, 3, "n1")
    schedule.set_pairs([pair], 0.0)
    schedule.began([pair], 0.0)
    assert schedule.hurry(1.0, peer="n1") == 1
    assert schedule.due(1.0, ["n1"], 1) == []
    schedule.ended(pair, 2.0, ok, RETRY)
    assert schedule.due(2.0, ["n1"], 1) == [pair]
    schedule.began([pair], 2.0)
    schedule.ended(pair, 2.0, ok, RETRY)
    assert schedule.due(2.0, ["n1"], 1) == [], "once was enough"


def test_a_pair_that_leaves_and_comes_back_while_under_way_is_not_begun_twice() -> None:
    schedule = Schedule(CYCLE)
    pair = Pair(0, 3, "n1")
    schedule.set_pairs([pair], 0.0)
    schedule.began([pair], 0.0)
    schedule.set_pairs([], 1.0)
    schedule.set_pairs([pair], 2.0)
    assert schedule.due(3 * CYCLE, ["n1"], 1) == []
    schedule.ended(pair, 3 * CYCLE, ok=True, retry_s=RETRY)
    assert schedule.due(4 * CYCLE, ["n1"], 1) == [pair]


class Machine(RuleBasedStateMachine):
    """Any calls in any order, beside a model that knows for each pair by when it must be due, and before when not."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(CYCLE, OPEN_MAX)
        self.now = 0.0
        self.latest = dict[Pair, float]()
        self.earliest = dict[Pair, float]()
        self.open = set[Pair]()
        self.hurried = set[Pair]()
        self.wanted = set[Pair]()
        self.set_pairs({Pair(partition, 3, peer) for partition in range(4) for peer in PEERS})
        self.available = list(PEERS)

    @rule(pairs=st.sets(FEW_PAIRS))
    def set_pairs(self, pairs: set[Pair]) -> None:
        self.schedule.set_pairs(pairs, self.now)
        for pair in pairs - self.wanted - self.open:
            self.latest[pair], self.earliest[pair] = self.now + CYCLE, 0.0
        self.wanted = pairs

    @rule(passed_s=st.sampled_from([0.01, 0.5, 5.0, CYCLE, 10 * CYCLE]))
    def wait(self, passed_s: float) -> None:
        self.now += passed_s

    @rule(peers=st.sets(st.sampled_from(PEERS)))
    def come_and_go(self, peers: set[str]) -> None:
        self.available = sorted(peers)

    @rule(peer=st.none() | st.sampled_from(PEERS), partition=st.none() | st.integers(0, 3))
    def hurry(self, peer: str | None, partition: int | None) -> None:
        matching = {pair for pair in self.wanted if peer in (None, pair.peer) and partition in (None, pair.partition)}
        assert self.schedule.hurry(self.now, peer, partition) == len(matching)
        for pair in matching - self.open:
            self.latest[pair], self.earliest[pair] = min(self.now, self.latest[pair]), 0.0
        self.hurried |= matching & self.open

    @rule(limit=st.integers(1, 8), taken=st.integers(0, 8))
    def begin(self, limit: int, taken: int) -> None:
        batch = self.schedule.due(self.now, self.available, limit)
        assert batch == self.schedule.due(self.now, self.available, limit), "asking changes nothing"
        assert len(batch) == len(set(batch)) <= limit
        for pair in batch:
            assert pair in self.wanted
            assert pair not in self.open
            assert pair.peer == batch[0].peer
            assert pair.peer in self.available
            assert self.earliest[pair] <= self.now
        self.schedule.began(batch[:taken], self.now)
        self.open.update(batch[:taken])
        assert max(Counter(pair.peer for pair in self.open).values(), default=0) <= OPEN_MAX

    @precondition(lambda self: self.open)
    @rule(ok=st.booleans(), data=st.data())
    def end(self, ok: bool, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.open)))
        self.schedule.ended(pair, self.now, ok, RETRY)
        self.open.remove(pair)
        if pair in self.hurried:
            self.latest[pair], self.earliest[pair] = self.now, 0.0
        elif ok:
            self.latest[pair], self.earliest[pair] = self.now + CYCLE, 0.0
        else:
            self.latest[pair], self.earliest[pair] = self.now + RETRY, self.now + RETRY
        self.hurried.discard(pair)

    @rule()
    def end_one_that_never_began(self) -> None:
        self.schedule.ended(Pair(99, 3, "n1"), self.now, True, RETRY)
        self.schedule.began([Pair(99, 3, "n1")], self.now)

    @invariant()
    def what_must_be_due_is_due_and_the_wait_agrees(self) -> None:
        open_with = Counter(pair.peer for pair in self.open)
        owed = {
            pair.peer
            for pair in self.wanted - self.open
            if self.latest[pair] <= self.now and pair.peer in self.available and open_with[pair.peer] < OPEN_MAX
        }
        batch = self.schedule.due(self.now, self.available, 1000)
        wait_s = self.schedule.wait_s(self.now, self.available)
        assert (wait_s == 0.0) == bool(batch)
        assert batch or not owed
        for peer in owed:
            assert self.schedule.due(self.now, [peer], 1)


TestMachine = Machine.TestCase
