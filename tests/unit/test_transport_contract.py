"""What every Transport promises, over TCP on both kinds of loop and in memory."""

import asyncio

import pytest

from dynkv.peer.gossip_messages import Gossip, GossipReply
from dynkv.peer.messages import Absent, Answer, Applied, Apply, Failed, Found, Read, Request
from dynkv.peer.transport import Failure, Outcome
from dynkv.runtime import SystemClock
from tests.unit.peers import Cluster, bounded, clustered, greeting_of, until

READ = Read("bucket", b"key", True)

every_form = pytest.mark.parametrize("form", ["tcp", "uvloop", "loopback"])


@every_form
def test_a_call_is_answered(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: Found(b"digest", b"record", True)
        before = SystemClock().now()
        assert await one.ask("n2", READ, 5.0) == Found(b"digest", b"record", True)
        ((node, request, deadline),) = two.calls
        assert (node, request) == ("n1", READ)
        assert before + 4.5 < deadline < SystemClock().now() + 5.01

    clustered(test, form)


@every_form
def test_many_calls_answered_in_another_order_find_their_callers(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        keys = [b"%d" % number for number in range(300)]
        calls = [asyncio.ensure_future(one.ask("n2", Read("b", key, False))) for key in keys]
        await until(lambda: len(two.replies) == len(keys))
        for (_, request, _), reply in reversed(list(zip(two.calls, two.replies, strict=True))):
            assert isinstance(request, Read)
            reply(Found(request.key, b"", True))
        assert await asyncio.gather(*calls) == [Found(key, b"", True) for key in keys]
        assert two.network.counters.frames_in < 100, "one frame holds all that is said in one turn of the loop"

    clustered(test, form)


@every_form
def test_a_node_that_is_not_there_fails_at_once_and_was_not_reached(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one = cluster.peers["n1"]
        assert await one.ask("nobody", READ) == Failure("unreachable", False)
        await cluster.peers["n2"].network.close()
        await one.sees("n2", up=False)
        assert await one.ask("n2", READ) == Failure("unreachable", False)
        assert one.network.peers()["n2"].state == "down"
        assert not one.network.available("nobody")
        assert not one.network.sluggish("nobody")

    clustered(test, form)


@every_form
def test_a_call_without_an_answer_times_out_once(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        outcomes: list[Outcome] = []
        began = SystemClock().now()
        one.network.request("n2", READ, 0.1, outcomes.append)
        await until(lambda: outcomes)
        assert 0.1 <= SystemClock().now() - began < 0.3
        two.replies[0](Absent(True))  # too late: nobody is told twice
        assert await one.ask("n2", Read("b", b"other", False), 0.05) == Failure("timed out", True)
        assert outcomes == [Failure("timed out", True)]
        assert one.network.counters.timeouts == 2
        await until(lambda: one.network.peers()["n2"].in_flight == 0)  # a heartbeat may be under way

    clustered(test, form)


@every_form
def test_a_call_without_time_is_not_sent(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        assert await one.ask("n2", READ, 0.0) == Failure("timed out", False)
        assert two.calls == []

    clustered(test, form)


@every_form
def test_a_lost_connection_fails_what_is_in_flight_and_comes_back(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        call = asyncio.ensure_future(one.ask("n2", READ))
        await until(lambda: two.replies)
        link = one.network._links["n2"]
        assert link.connection is not None
        link.connection.abort()
        unsent = asyncio.ensure_future(one.ask("n2", READ))
        assert await call == Failure("connection lost", True)
        assert await unsent in (Failure("connection lost", False), Failure("unreachable", False))
        assert not one.network.available("n2")
        await one.sees("n2")
        assert one.changes == [("n2", True), ("n2", False), ("n2", True)]
        assert one.network.peers()["n2"].reconnects == 1
        two.replies[0](Absent(True))  # the answer's connection is gone: nothing happens
        two.answer = lambda request: Absent(True)
        assert await one.ask("n2", READ) == Absent(True)

    clustered(test, form)


@every_form
def test_a_failed_call_may_be_made_again_from_its_callback(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        outcomes: list[Outcome] = []

        def again(outcome: Outcome) -> None:
            outcomes.append(outcome)
            one.network.request("n2", READ, 5.0, outcomes.append)

        one.network.request("n2", READ, 5.0, again)
        await until(lambda: two.replies)
        await two.network.close()
        await until(lambda: len(outcomes) == 2)
        assert outcomes == [Failure("connection lost", True), Failure("unreachable", False)]

    clustered(test, form)


@every_form
def test_hello_and_heartbeats_carry_what_peers_say_of_themselves(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        assert set(one.hellos) == {("n2", 2, 200)}
        assert set(two.hellos) == {("n1", 1, 100)}
        theirs, ours = ("n2", greeting_of("n2")), ("n1", greeting_of("n1"))
        await until(lambda: one.greetings.count(theirs) >= 4 and two.greetings.count(ours) >= 4)
        assert one.calls == two.calls == [], "heartbeats are answered by the transport itself"

    clustered(test, form)


@every_form
def test_bounded_calls_in_flight(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        calls = [asyncio.ensure_future(one.ask("n2", READ, 0.3)) for _ in range(50)]
        outcomes = await asyncio.gather(*calls)
        assert outcomes.count(Failure("overloaded", False)) >= 40
        assert outcomes.count(Failure("timed out", True)) + outcomes.count(Failure("overloaded", False)) == 50
        assert one.network.counters.overloads_out >= 40
        two.answer = lambda request: Absent(True)
        assert await one.ask("n2", READ) == Absent(True)

    clustered(test, form, settings={"n1": {"bounds": bounded(calls_max=10)}})


@every_form
def test_bounded_bytes_in_the_queue(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        large = Apply("bucket", b"key", bytes(60_000), "")
        outcomes = await asyncio.gather(*(one.ask("n2", large) for _ in range(5)))
        assert outcomes == [Absent(True)] + [Failure("overloaded", False)] * 4
        assert len(two.calls) == 1

    clustered(test, form, settings={"n1": {"bounds": bounded(queue_bytes_max=100_000)}})


@every_form
def test_bounded_work_for_one_peer(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        calls = [asyncio.ensure_future(one.ask("n2", READ)) for _ in range(8)]
        await until(lambda: sum(call.done() for call in calls) == 5)
        for reply in two.replies:
            reply(Absent(True))
        outcomes = await asyncio.gather(*calls)
        assert outcomes[:3] == [Absent(True)] * 3
        assert all(isinstance(outcome, Failed) and outcome.code == "overloaded" for outcome in outcomes[3:])
        assert two.network.counters.overloads_in == 5
        assert one.network.available("n2"), "heartbeats are answered whatever the load"

    clustered(test, form, settings={"n2": {"bounds": bounded(calls_max=3)}})


@every_form
def test_a_fault_in_a_handler_or_callback_stays_with_its_call(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]

        def handle(request: Request) -> Answer:
            if isinstance(request, Read) and request.key == b"bad":
                raise ValueError("a bug")
            return Absent(True)

        def careless(outcome: Outcome) -> None:
            raise ValueError("a bug")

        two.answer = handle
        one.network.request("n2", READ, 5.0, careless)
        one.network.request("nobody", READ, 5.0, lambda outcome: None)
        bad, good = await asyncio.gather(one.ask("n2", Read("b", b"bad", False)), one.ask("n2", READ))
        assert (bad, good) == (Failed("internal", "ValueError", True), Absent(True))
        assert (one.network.counters.faults, two.network.counters.faults) == (1, 1)

    clustered(test, form)


@every_form
def test_what_cannot_be_encoded_fails_alone(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]

        def answer(request: Request) -> Answer:
            return Applied(b"d") if isinstance(request, Apply) else Failed("\ud800", "", False)

        two.answer = answer
        bad, good, odd = await asyncio.gather(
            one.ask("n2", Apply("\ud800", b"k", b"", "")),
            one.ask("n2", Apply("b", b"k", b"", "")),
            one.ask("n2", READ),
        )
        assert isinstance(bad, Failed)
        assert (bad.code, bad.done) == ("unsendable", False)
        assert good == Applied(b"d")
        assert isinstance(odd, Failed)
        assert (odd.code, odd.done) == ("unsendable", True)

    clustered(test, form)


@every_form
def test_large_messages_and_many_of_them(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        record = bytes(range(256)) * 3000

        def answer(request: Request) -> Answer:
            assert isinstance(request, Apply)
            return Found(b"d", request.record, True)

        two.answer = answer
        calls = [one.ask("n2", Apply("b", b"k", record, "")) for _ in range(20)]
        assert await asyncio.gather(*calls) == [Found(b"d", record, True)] * 20
        assert two.network.counters.frames_in >= 20, "a frame ends at about a mebibyte"
        assert one.network.available("n2")

    clustered(test, form)


@every_form
def test_another_secret_is_refused_with_the_reason_on_both_sides(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        await until(lambda: one.network.peers()["n2"].refusal and two.network.peers()["n1"].refusal)
        for peer, other in ((one, "n2"), (two, "n1")):
            status = peer.network.peers()[other]
            assert "does not prove the cluster's secret" in (status.refusal or "")
            assert status.state == "down"
            assert peer.network.counters.refused >= 2
            assert peer.hellos == []

    clustered(test, form, settings={"n2": {"secret": b"another secret"}}, formed=False)


@every_form
def test_close_fails_what_is_in_flight_and_refuses_what_follows(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        two.answer = lambda request: None
        call = asyncio.ensure_future(one.ask("n2", READ))
        await until(lambda: two.replies)
        await one.network.close()
        assert await call == Failure("connection lost", True)
        assert await one.ask("n2", READ) == Failure("unreachable", False)
        await one.network.close()
        assert len(one.tasks) == 0

    clustered(test, form)


@every_form
def test_three_nodes_gossip_and_measure(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one = cluster.peers["n1"]
        cluster.peers["n3"].answer = lambda request: GossipReply((), ())
        assert await one.ask("n3", Gossip((), ())) == GossipReply((), ())
        for _ in range(40):
            assert await one.ask("n2", READ) == Absent(True)
        status = one.network.peers()["n2"]
        assert status.state == "up"
        assert status.latency_ms is not None
        assert 0 < status.latency_ms < 1000
        assert status.last_heard_s is not None
        assert 0.002 <= one.network.hedge_delay_s() <= 0.25
        assert one.network.peers()["n3"].latency_ms is None, "gossip takes as long as it takes: it is no sample"

    clustered(test, form, size=3)


@every_form
def test_a_peer_whose_oldest_call_waits_is_sluggish(form: str) -> None:
    async def test(cluster: Cluster) -> None:
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        for _ in range(40):
            await one.ask("n2", READ)
        two.answer = lambda request: None
        call = asyncio.ensure_future(one.ask("n2", READ))
        await until(lambda: one.network.sluggish("n2"))
        assert one.network.available("n2")
        two.replies[0](Absent(True))
        await call
        await until(lambda: not one.network.sluggish("n2"))

    clustered(test, form)
