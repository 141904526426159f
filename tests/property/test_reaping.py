"""Reaping in a world where everything goes wrong: nothing deleted comes back; and without any one rule, something does.

The worlds without a rule show that the oracle can turn red at all. Each is run with the same seeds in every run, in the
mood in which its rule matters, until the deleted value is back.
"""

import pytest

from dynkv.core.reaping import Case, Obstacle, Said
from tests.property.causality_oracle import Violation
from tests.property.reaping_reaper import Rules
from tests.property.reaping_world import CALM, STORM, World

SEEDS = 500
SEEDS_BROKEN = 2000

# The rare acts that a rule is about, more often: lending and handing off; crashes with little synced.
LENDING = (4, 60, 40, 40, 10, 30, 0, 30, 0.1, 15, 5, 0.0, 0.0, 0.0, 0.0, 0.0)
CRASHING = (8, 60, 20, 60, 2, 1, 1, 20, 1, 15, 5, 0.0, 0.0, 1, 0.1, 0.0)


class PrimariesMayDiffer(Case):
    def _in_the_way(self, member: str, said: Said) -> Obstacle | None:
        obstacle = super()._in_the_way(member, said)
        return None if obstacle is not None and obstacle.kind == "differs" else obstacle


class OnlyPrimariesMatter(Case):
    def _in_the_way(self, member: str, said: Said) -> Obstacle | None:
        return super()._in_the_way(member, said) if member in self._primaries else None


class HintsDoNotMatter(Case):
    def _in_the_way(self, member: str, said: Said) -> Obstacle | None:
        return None if said.state == "hinted" else super()._in_the_way(member, said)


class OneRoundIsEnough(Case):
    """It waits for the quiet time, and does not look again."""

    def ask_again(self, now: float) -> bool:
        if super().ask_again(now):
            self._awaited.clear()
            self.proved = True
        return False


class AllPrimariesMayDiffer(World):
    rules = Rules(case=PrimariesMayDiffer)


class OthersAreNotAsked(World):
    rules = Rules(case=OnlyPrimariesMatter)


class HintsAreIgnored(World):
    rules = Rules(case=HintsDoNotMatter)


class NobodyWaits(World):
    rules = Rules(quiet=0)


class NobodyLooksTwice(World):
    rules = Rules(case=OneRoundIsEnough)
    moods = (STORM, LENDING, LENDING)


class AnswersDoNotWaitForTheDisk(World):
    rules = Rules(waits_for_disk=False)
    moods = (STORM, CRASHING, CRASHING)


class NobodyLooksBeforeItDrops(World):
    rules = Rules(looks=False)


def test_nothing_comes_back_and_what_can_go_goes() -> None:
    reaped = 0
    for seed in range(SEEDS):
        world = World(seed)
        try:
            world.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        reaped += world.reaper.reaped
    assert reaped > SEEDS


@pytest.mark.parametrize("moods", [(STORM, LENDING, LENDING), (STORM, CRASHING), (STORM,), (CALM,)])
def test_nothing_comes_back_in_other_moods(moods: tuple[tuple[float, ...], ...]) -> None:
    tuned = type("Tuned", (World,), {"moods": moods})
    for seed in range(SEEDS // 5):
        tuned(seed).run()


@pytest.mark.parametrize(
    "broken",
    [
        AllPrimariesMayDiffer,
        OthersAreNotAsked,
        HintsAreIgnored,
        NobodyWaits,
        NobodyLooksTwice,
        AnswersDoNotWaitForTheDisk,
        NobodyLooksBeforeItDrops,
    ],
    ids=lambda world: world.__name__,
)
def test_the_oracle_turns_red_when(broken: type[World]) -> None:
    with pytest.raises(Violation):
        _run_seeds(broken)


def _run_seeds(kind: type[World]) -> None:
    for seed in range(SEEDS_BROKEN):
        kind(seed).run()


class Story(World):
    """Not a random run: one copy of an old value that is always where nobody looks."""

    def lend_around(self) -> None:
        """f4 holds an old value and owes it to p1, which has the deletion. While node 0 asks, f4's copy is lent to f3
        after f3 has answered, and handed off and dropped before f4 answers; in the second round the other way round."""
        self._write(4, (), frozenset(), deletes=False)
        self._settle(4)
        old = self._in_hand(4)
        self._read([4], 4)
        self._write(0, *self.seen[-1], deletes=True)
        for member in self.members[:3]:
            self._applied(member.number, self._in_hand(0), None)()
            member.owed = frozenset()
            self._settle(member.number)
        self.members[4].owed = frozenset({1})
        self._settle(4)
        for first, last in ((3, 4), (4, 3)):
            self.reaper.go_on()
            for number in (0, 1, 2, first):
                self._answer(number)
            self._applied(first, old, 1)()
            self.members[last].owed = frozenset()
            self.members[last].drop()
            self.oracle.dropped(last)
            self._answer(last)
            self.now += self.rules.quiet
        assert self.reaper.case is not None
        self.obstacle = self.reaper.case.obstacle
        self.reaper.go_on()
        for frame in self.frames:
            frame.arrive()
        self._look()

    def _settle(self, number: int) -> None:
        self.frames.clear()
        self._sync(number)

    def _answer(self, number: int) -> None:
        """The question for this node arrives, and its answer at node 0."""
        question = next(frame for frame in self.frames if frame.target == number)
        self.frames.remove(question)
        question.arrive()
        before = len(self.frames)
        self._sync(number)
        answers, self.frames = self.frames[before:], self.frames[:before]
        for answer in answers:
            answer.arrive()


class MarksDoNotMatter(Case):
    def _moved(self, member: str, said: Said) -> Obstacle | None:
        super()._moved(member, said)
        return None


class WithoutMarks(Story):
    rules = Rules(case=MarksDoNotMatter)


def test_a_copy_lent_around_the_questions_is_noticed() -> None:
    story = Story(0)
    story.lend_around()
    assert story.reaper.reaped == 0
    assert story.obstacle is not None
    assert story.obstacle.kind == "being confirmed"
    with pytest.raises(Violation):
        WithoutMarks(0).lend_around()
