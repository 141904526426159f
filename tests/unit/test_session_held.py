"""Reads in a session hold what they show: r replicas have it before the answer."""

import pytest

from dynkv.core.errors import QuorumUnmet
from dynkv.peer.messages import Apply
from dynkv.peer.transport import Failure
from tests.unit.cluster_in_memory import HOLD, Caller, Cluster, Verdict, run
from tests.unit.visitors import Visitor

KEY = b"k"


def away_for(c: Cluster, *names: str) -> None:
    c.away = set(names)


def test_what_replicas_differ_in_is_held_by_r_before_it_is_shown() -> None:
    async def main() -> None:
        c = Cluster(3)
        away_for(c, "n2", "n3")
        await c.put("n1", KEY, b"v", levels=c.levels(w=1))
        away_for(c)
        s = Visitor(c)
        assert await s.get("n1", KEY) == [b"v"]
        assert len(c.holders(KEY)) >= 2
        assert c.nodes["n1"].counters.written_back == 1
        c.calls.clear()
        assert await s.get("n1", KEY) == [b"v"]
        assert not [call for call in c.calls if isinstance(call.message, Apply)], "where they agree it costs nothing"

    run(main)


def test_who_is_led_from_one_key_to_another_finds_what_the_other_was_written_after() -> None:
    """Across keys: one session reads a value that one replica has, and then writes another key."""

    async def main() -> None:
        c = Cluster(3)
        other = b"other"
        away_for(c, "n2", "n3")
        await c.put("n1", KEY, b"v", levels=c.levels(w=1))
        away_for(c, "n3")
        s = Visitor(c)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) and call.message.key == KEY else None
        c.nodes["n1"].around.loop.call_later(0.05, c.release)
        assert await s.get("n1", KEY, sloppy=False) == [b"v"]
        c.held.clear()  # what was still on its way to others is lost
        await s.put("n1", other, b"I have read it")
        away_for(c, "n1")
        reader = Visitor(c)
        assert await reader.get("n3", other, sloppy=False) == [b"I have read it"]
        assert await reader.get("n3", KEY, sloppy=False) == [b"v"]

    run(main)


def test_who_hangs_with_it_is_passed_over() -> None:
    async def main() -> None:
        c = Cluster(3)
        away_for(c, "n2", "n3")
        await c.put("n1", KEY, b"v", levels=c.levels(w=1))
        away_for(c)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) and call.target == "n2" else None
        assert await Visitor(c).get("n1", KEY) == [b"v"]
        assert c.holders(KEY) == {"n1", "n3"}

    run(main)


def test_a_fallback_stands_in_with_a_hint() -> None:
    async def main() -> None:
        c = Cluster(4)
        one, two, three = c.plan(KEY).primaries
        (fallback,) = c.plan(KEY).fallbacks
        away_for(c, two, three, fallback)
        await c.put(one, KEY, b"v", levels=c.levels(w=1))
        away_for(c)

        def rule(call: Caller) -> Verdict:
            return HOLD if isinstance(call.message, Apply) and call.target in (two, three) else None

        c.rule = rule
        assert await Visitor(c).get(one, KEY) == [b"v"]
        assert c.holders(KEY) == {one, fallback}
        assert any(c.debtors(KEY, name) == {one, fallback} for name in (two, three))

    run(main)


def test_a_stand_in_that_fails_is_stood_in_for() -> None:
    async def main() -> None:
        c = Cluster(6)
        (one, *others), (near, *far) = c.plan(KEY).primaries, c.plan(KEY).fallbacks
        away_for(c, *(name for name in c.names if name != one))
        await c.put(one, KEY, b"v", levels=c.levels(w=1))
        away_for(c)
        lost = Failure("connection lost", reached=True)
        c.rule = lambda call: lost if isinstance(call.message, Apply) and call.target in (*others, near) else None
        assert await Visitor(c).get(one, KEY, r=3) == [b"v"]
        assert c.holders(KEY) == {one, *far}
        owed = {name: c.debtors(KEY, name) for name in others}
        assert set(far) <= set.union(*owed.values()), "each has somebody that it owes it to"

    run(main)


def test_no_fallback_is_given_what_only_a_primary_would_do_for() -> None:
    async def main() -> None:
        c = Cluster(5)
        (one, *others), (_, far) = c.plan(KEY).primaries, c.plan(KEY).fallbacks
        away_for(c, *(name for name in c.names if name != one))
        await c.put(one, KEY, b"v", levels=c.levels(w=1))
        away_for(c)
        lost = Failure("connection lost", reached=True)
        c.rule = lambda call: lost if isinstance(call.message, Apply) and call.target in others else None
        with pytest.raises(QuorumUnmet, match="r=2 got 2, pr=2 got 1"):
            await Visitor(c).get(one, KEY, pr=2)
        assert c.held_by(far, KEY) is None

    run(main)


def test_too_few_can_hold_it() -> None:
    async def main() -> None:
        c = Cluster(3)
        away_for(c, "n2", "n3")
        await c.put("n1", KEY, b"v", levels=c.levels(w=1))
        away_for(c)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        with pytest.raises(QuorumUnmet, match="held by too few replicas to be shown") as caught:
            await Visitor(c).get("n1", KEY)
        assert caught.value.got == {"r": 1, "pr": 1}
        assert caught.value.replicas["n1"] == "ok"

    run(main)


def test_pr_is_of_primaries_here_too() -> None:
    async def main() -> None:
        c = Cluster(4)
        one, two, three = c.plan(KEY).primaries
        (fallback,) = c.plan(KEY).fallbacks
        away_for(c, two, three)
        await c.put(one, KEY, b"v")
        assert c.holders(KEY) == {one, fallback}
        away_for(c)
        assert await Visitor(c).get(one, KEY, pr=2) == [b"v"]
        assert len(c.holders(KEY) & {one, two, three}) >= 2

    run(main)
