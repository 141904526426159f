"""Writes in a session: they come after what it has seen, and replace its own earlier value, but nobody else's."""

import pytest

from dynkv.core import record as records
from dynkv.core.errors import QuorumUnmet, SessionBehind, TooManySiblings
from dynkv.core.session import KEYS_MAX
from dynkv.peer.messages import Apply, Forward
from dynkv.peer.transport import Failure
from dynkv.replica import ReplicaLimits
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, run
from tests.unit.visitors import Visitor

KEY = b"k"


def test_who_writes_twice_means_the_second() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        for number, at in enumerate(("n1", "n2", "n3", "n1")):
            await s.put(at, KEY, b"v%d" % number)
        assert await s.get("n2", KEY) == [b"v3"]
        for at in ("n1", "n2"):
            await c.put(at, b"other", at.encode())
        assert await s.get("n3", b"other") == [b"n1", b"n2"], "without a session two blind writes are siblings"

    run(main)


def test_the_own_value_goes_and_a_concurrent_one_stays_although_one_actor_counted_both() -> None:
    """No vector can say so: one that covers the session's dot covers the other one, below it, too."""

    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        await c.put("n1", KEY, b"theirs")
        await s.put("n1", KEY, b"mine")
        assert await s.get("n1", KEY) == [b"mine", b"theirs"]
        await s.put("n1", KEY, b"mine, again")
        assert await s.get("n2", KEY) == [b"mine, again", b"theirs"]
        await s.put("n2", KEY, b"mine, elsewhere")
        assert await s.get("n3", KEY) == [b"mine, elsewhere", b"theirs"]

    run(main)


def test_what_it_has_only_read_is_not_replaced() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        await c.put("n1", KEY, b"theirs")
        assert await s.get("n2", KEY) == [b"theirs"]
        await s.put("n2", KEY, b"mine")
        assert await s.get("n3", KEY) == [b"mine", b"theirs"]

    run(main)


def test_a_context_replaces_what_it_covers_and_the_own_value_is_replaced_besides() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        theirs = await c.put("n1", KEY, b"theirs")
        await s.put("n2", KEY, b"mine")
        await s.put("n3", KEY, b"both", context=theirs.context)
        assert await s.get("n1", KEY) == [b"both"]

    run(main)


def test_both_dots_of_a_retried_write_are_its_own() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        token = s.token
        c.away = {"n2", "n3"}
        first = await s.put("n1", KEY, b"mine", write_id=b"w", levels=c.levels(w=1))
        s.token, c.away = token, {"n1"}  # its answer was lost
        second = await s.put("n2", KEY, b"mine", write_id=b"w")
        assert first.actor != second.actor
        c.away = set()
        await s.get("n3", KEY, r=3)
        await c.until(lambda: c.held_by("n3", KEY) == [b"mine", b"mine"])
        await s.put("n3", KEY, b"next")
        assert await s.get("n1", KEY) == [b"next"]

    run(main)


def test_a_retry_of_what_was_overwritten_says_what_covers_it() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        token = s.token
        first = await s.put("n1", KEY, b"mine", write_id=b"w")
        s.token = token
        await c.put("n1", KEY, b"theirs", context=first.context)
        again = await s.put("n1", KEY, b"mine", write_id=b"w")
        assert again.counter == 0
        assert records.covers(s.session.demand(BUCKET, KEY).vector, first.actor, first.counter)
        assert await s.get("n2", KEY) == [b"theirs"]

    run(main)


def test_the_copy_that_coordinates_knows_first_what_the_session_has_seen() -> None:
    """So a replica that has this write has the earlier one too, or knows what became of it."""

    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        await c.put("n1", KEY, b"theirs", levels=c.levels(w=3))
        c.away = {"n3"}
        written = await s.put("n1", KEY, b"mine")
        c.away = set()
        await s.put("n3", KEY, b"next", levels=c.levels(w=1))
        copy = c.nodes["n3"].replica.read(c.plan(KEY).partition, BUCKET, KEY)
        assert copy is not None
        assert records.covers(records.decode(copy.record).vector, written.actor, written.counter)
        assert c.held_by("n3", KEY) == [b"next", b"theirs"]

    run(main)


def test_nothing_is_written_while_it_cannot_know() -> None:
    async def main() -> None:
        c = Cluster(3)
        s, reader = Visitor(c), Visitor(c)
        c.away = {"n3"}
        await s.put("n1", KEY, b"mine")
        await reader.get("n1", KEY)
        c.away = {"n1", "n2"}
        for visitor, guarantee in ((s, "monotonic-writes"), (reader, "writes-follow-reads")):
            with pytest.raises(SessionBehind) as caught:
                await visitor.put("n3", KEY, b"next", levels=c.levels(w=1))
            assert caught.value.guarantee == guarantee
            assert caught.value.outcome == "not_applied"
        assert c.held_by("n3", KEY) is None
        c.nodes["n3"].around.loop.call_later(0.05, c.away.clear)
        await s.put("n3", KEY, b"next", levels=c.levels(w=1), wait_ms=900)
        assert c.held_by("n3", KEY) == [b"next"]

    run(main)


# --- through other nodes ----------------------------------------------------------------------------------------------


def test_it_goes_along_with_a_forwarded_write() -> None:
    async def main() -> None:
        c = Cluster(4)
        (stranger,) = c.plan(KEY).fallbacks
        one, two, three = c.plan(KEY).primaries
        s = Visitor(c)
        c.away = {three}
        await s.put(one, KEY, b"mine", levels=c.levels(w=2))
        c.away = {one}  # the next one is coordinated by another copy
        await s.put(stranger, KEY, b"next")
        forwarded = [call.message for call in c.calls if isinstance(call.message, Forward)]
        assert forwarded[-1].demand is not None
        assert forwarded[-1].demand.own
        assert await s.get(stranger, KEY) == [b"next"]
        assert c.held_by(two, KEY) == [b"next"]

    run(main)


def test_a_forwarded_write_whose_session_is_ahead_is_refused_as_such() -> None:
    async def main() -> None:
        c = Cluster(4)
        (stranger,) = c.plan(KEY).fallbacks
        one, two, three = c.plan(KEY).primaries
        s = Visitor(c)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        await s.put(one, KEY, b"mine", levels=c.levels(w=1))
        c.away, c.rule = {one}, lambda call: None
        c.held.clear()
        for sloppy in (True, False):  # in the end it may coordinate the write itself, or not
            with pytest.raises(SessionBehind, match=r"^monotonic writes cannot be kept") as caught:
                await s.put(stranger, KEY, b"next", levels=c.levels(sloppy=sloppy))
            assert caught.value.guarantee == "monotonic-writes"
            assert caught.value.outcome == "not_applied"
            assert {two, three} & set(caught.value.replicas)
            assert c.holders(KEY) == {one}

    run(main)


def test_after_a_try_that_may_have_written_it_is_not_said_that_nothing_was() -> None:
    async def main() -> None:
        c = Cluster(4)
        (stranger,) = c.plan(KEY).fallbacks
        one, *_ = c.plan(KEY).primaries
        s = Visitor(c)
        c.rule = lambda call: HOLD if isinstance(call.message, Apply) else None
        await s.put(one, KEY, b"mine", levels=c.levels(w=1))
        c.held.clear()
        c.rule = lambda call: Failure("connection lost", reached=True) if call.target == one else None
        with pytest.raises(QuorumUnmet) as caught:
            await s.put(stranger, KEY, b"next")
        assert caught.value.outcome == "ambiguous"
        assert "is behind the session" in caught.value.replicas.values()

    run(main)


def test_a_fallback_that_coordinates_owes_what_it_caught_up_with() -> None:
    """Also if the write itself is then refused: a copy that nobody is told of would stay for good."""

    async def main() -> None:
        c = Cluster(5, limits=ReplicaLimits(siblings_warn=1, siblings_max=2))
        primaries, (near, far) = c.plan(KEY).primaries, c.plan(KEY).fallbacks
        s = Visitor(c)
        c.away = {near, *primaries}
        for number in range(2):
            await c.put(far, KEY, b"v%d" % number, levels=c.levels(w=1))
        assert await s.get(far, KEY, r=1) == [b"v0", b"v1"]
        c.away = set(primaries)
        with pytest.raises(TooManySiblings):
            await s.put(near, KEY, b"mine", levels=c.levels(w=1))
        assert c.held_by(near, KEY) == [b"v0", b"v1"]
        assert any(near in c.debtors(KEY, target) for target in primaries)

    run(main)


# --- what is forgotten ------------------------------------------------------------------------------------------------


def test_before_a_write_of_a_forgotten_key_a_majority_is_asked() -> None:
    async def main() -> None:
        c = Cluster(3)
        s = Visitor(c)
        c.away = {"n3"}
        written = await s.put("n1", KEY, b"mine")
        for number in range(KEYS_MAX):
            await s.put("n1", b"other%d" % number, b"x")
        c.away = set()
        await s.put("n3", KEY, b"next", levels=c.levels(w=1))
        copy = c.nodes["n3"].replica.read(c.plan(KEY).partition, BUCKET, KEY)
        assert copy is not None
        assert records.covers(records.decode(copy.record).vector, written.actor, written.counter)
        c.away = {"n1", "n2"}
        with pytest.raises(QuorumUnmet) as caught:
            await s.put("n3", b"never seen", b"x", levels=c.levels(w=1))
        assert caught.value.outcome == "not_applied"

    run(main)
