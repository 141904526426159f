"""Reads in a session: they cover what the session has seen, or say that they cannot."""

import pytest

from dynkv.core.errors import QuorumUnmet, SessionBehind
from dynkv.core.session import KEYS_MAX
from dynkv.peer.messages import Read
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, run
from tests.unit.visitors import Visitor

KEY = b"k"


def away_for(c: Cluster, *names: str) -> None:
    c.away = set(names)


def forget(c: Cluster, key: bytes, *names: str) -> None:
    """These nodes hold nothing of the key any more."""
    for name in names:
        c.nodes[name].replica.drop(BUCKET, key)


def test_its_own_write_is_found_where_the_asked_replica_has_not_got_it() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        away_for(c)
        assert await Visitor(c).get("n3", KEY, r=1) == [], "somebody else's session has not seen it"
        assert await s.get("n3", KEY, r=1) == [b"mine"]
        await c.until(lambda: c.held_by("n3", KEY) == [b"mine"], "the replica that was behind is repaired")

    run(main)


def test_what_it_has_read_is_not_unread() -> None:
    async def main() -> None:
        c = Cluster(3)
        s, other = Visitor(c), Visitor(c)
        away_for(c, "n3")
        await other.put("n1", KEY, b"theirs")
        assert await s.get("n2", KEY, r=1) == [b"theirs"]
        away_for(c)
        assert await s.get("n3", KEY, r=1) == [b"theirs"]

    run(main)


def test_what_has_replaced_it_will_do() -> None:
    """Overwritten, or deleted, by somebody who had seen it: vectors are about events, not about values."""

    async def main() -> None:
        c = Cluster(3)
        s, other = Visitor(c), Visitor(c)
        written = await s.put("n1", KEY, b"mine")
        away_for(c, "n3")
        replaced = await other.put("n2", KEY, b"theirs", context=written.context)
        away_for(c)
        assert await s.get("n1", KEY) == [b"theirs"]
        away_for(c, "n1")
        await other.put("n2", KEY, None, context=replaced.context)
        away_for(c)
        assert await s.get("n2", KEY, r=1) == [None]

    run(main)


def test_nobody_can_help_and_the_error_says_which_guarantee_and_who_may_have_it() -> None:
    async def main() -> None:
        c = Cluster(3)
        s, reader = Visitor(c), Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        await reader.get("n1", KEY)
        away_for(c, "n1", "n2")
        with pytest.raises(SessionBehind, match=r"read your writes cannot be kept.*n1 \(unreachable\)") as caught:
            await s.get("n3", KEY, r=1)
        assert caught.value.guarantee == "read-your-writes"
        assert caught.value.outcome is None
        assert caught.value.replicas == {"n1": "unreachable", "n2": "unreachable", "n3": "not found"}
        with pytest.raises(SessionBehind) as caught:
            await reader.get("n3", KEY, r=1)
        assert caught.value.guarantee == "monotonic-reads"
        token = s.token
        away_for(c, "n2")
        assert await s.get("n3", KEY, r=1) == [b"mine"]
        assert s.token == token, "a failure has not changed the session"

    run(main)


def test_a_wait_is_over_as_soon_as_somebody_can_help() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        away_for(c, "n1", "n2")
        c.nodes["n3"].around.loop.call_later(0.05, c.away.clear)
        assert await s.get("n3", KEY, r=1, wait_ms=900) == [b"mine"]
        assert c.nodes["n3"].counters.session_searches == 1
        assert c.nodes["n3"].counters.session_behind == 0

    run(main)


def test_a_wait_ends() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        away_for(c, "n1", "n2")
        clock = c.nodes["n3"].clock
        began = clock.now()
        with pytest.raises(SessionBehind, match="within 60 ms"):
            await s.get("n3", KEY, r=1, wait_ms=60)
        assert 0.06 <= clock.now() - began < 0.9

    run(main)


def test_what_a_search_finds_is_durable() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        away_for(c)
        c.calls.clear()
        await s.get("n3", KEY, r=1)
        asked = [call.message for call in c.calls if isinstance(call.message, Read)]
        assert asked
        assert all(message.full and message.durable for message in asked)

    run(main)


def test_a_member_that_hangs_is_not_waited_for_if_another_helps() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        away_for(c)
        c.rule = lambda call: HOLD if call.target == "n1" else None
        clock = c.nodes["n3"].clock
        began = clock.now()
        assert await s.get("n3", KEY, r=1) == [b"mine"]
        assert clock.now() - began < 0.5

    run(main)


# --- fallbacks, and what is nowhere any more --------------------------------------------------------------------------


def test_a_fallback_has_it_and_no_primary_yet() -> None:
    """All primaries say "not found", and that is an answer that counts to r; it must not do for a session."""

    async def main() -> None:
        c = Cluster(5)
        plan = c.plan(KEY)
        s = Visitor(c)
        away_for(c, *plan.primaries)
        await s.put(plan.fallbacks[0], KEY, b"mine")
        away_for(c)
        for at in c.names:
            assert await Visitor(c).get(at, KEY) in ([], [b"mine"])
            assert await s.get(at, KEY) == [b"mine"], at

    run(main)


def test_strict_reads_ask_fallbacks_too() -> None:
    """They have no vote, but what they know is true."""

    async def main() -> None:
        c = Cluster(5)
        plan = c.plan(KEY)
        s = Visitor(c)
        away_for(c, *plan.primaries)
        await s.put(plan.fallbacks[0], KEY, b"mine")
        away_for(c)
        assert await s.get(plan.primaries[0], KEY, sloppy=False) == [b"mine"]
        held = [name for name in plan.primaries if c.held_by(name, KEY) == [b"mine"]]
        assert len(held) >= 2, "and r primaries hold it before it is shown"

    run(main)


def test_what_all_have_forgotten_is_not_asked_for_any_more() -> None:
    """A deletion that was reaped: every member says that it holds nothing."""

    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        written = await s.put("n1", KEY, b"mine")
        await s.put("n1", KEY, None, context=written.context)
        await c.until(lambda: len(c.holders(KEY)) == 3)
        forget(c, KEY, *c.names)
        away_for(c, "n3")
        with pytest.raises(SessionBehind):
            await s.get("n1", KEY)
        away_for(c)
        assert await s.get("n1", KEY) == []
        assert len(s.session) == 0
        searches = c.nodes["n1"].counters.session_searches
        assert await s.get("n1", KEY) == []
        assert c.nodes["n1"].counters.session_searches == searches, "it is forgotten in the session, too"

    run(main)


def test_a_new_record_after_a_reaping_is_the_new_truth() -> None:
    async def main() -> None:
        c = Cluster(3)
        s, other = Visitor(c), Visitor(c)
        await s.put("n1", KEY, b"old")
        await c.until(lambda: len(c.holders(KEY)) == 3)
        forget(c, KEY, *c.names)
        await other.put("n2", KEY, b"new")
        assert await s.get("n1", KEY) == [b"new"]
        await s.put("n1", KEY, b"newer")
        assert await s.get("n3", KEY) == [b"new", b"newer"]

    run(main)


def test_a_primary_that_is_being_refilled_proves_nothing() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        await s.put("n1", KEY, b"mine")
        await c.until(lambda: len(c.holders(KEY)) == 3)
        forget(c, KEY, *c.names)
        c.nodes["n2"].identity.complete = False
        with pytest.raises(SessionBehind, match=r"n2 \(is being refilled"):
            await s.get("n1", KEY)

    run(main)


def test_a_copy_that_is_handed_off_behind_the_questions_back_is_found() -> None:
    """A primary is asked before, and the fallback after the copy went from this to that: each says "nothing"."""

    async def main() -> None:
        c = Cluster(5)
        plan = c.plan(KEY)
        first, fallback = plan.primaries[0], plan.fallbacks[0]
        s = Visitor(c)
        away_for(c, *plan.primaries)
        await s.put(fallback, KEY, b"mine", levels=c.levels(w=1))
        away_for(c)
        await c.until(lambda: c.held_by(fallback, KEY) == [b"mine"])
        forget(c, KEY, *(name for name in plan.fallbacks if name != fallback))
        c.rule = lambda call: HOLD if isinstance(call.message, Read) and call.target == fallback else None
        asked = c.nodes[first].tasks.start("read", s.get(first, KEY))
        await c.until(lambda: c.held, "the fallback's turn")
        await c.pay()
        await c.until(lambda: c.held_by(fallback, KEY) is None)
        c.rule = lambda call: None
        c.release()
        assert await asked == [b"mine"]

    run(main)


# --- what is forgotten ------------------------------------------------------------------------------------------------


def test_a_forgotten_key_is_read_strictly() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        away_for(c, "n3")
        await s.put("n1", KEY, b"mine")
        for number in range(KEYS_MAX):
            await s.put("n1", b"other%d" % number, b"x")
        away_for(c)
        session = s.session
        assert session.forgot
        assert session.demand(BUCKET, KEY).vector == ()
        assert session.demand(BUCKET, KEY).forgotten
        assert not session.demand(BUCKET, b"other0").forgotten
        assert await s.get("n3", KEY, r=1) == [b"mine"], "a majority of primaries is asked"
        away_for(c, "n1", "n2")
        with pytest.raises(QuorumUnmet):
            await s.get("n3", b"never seen", r=1)
        assert await Visitor(c).get("n3", b"never seen", r=1) == []

    run(main)
