"""Links that break, fall silent in one or both directions, are slow or lossy; and this node standing still itself."""

import asyncio
import threading

import msgspec
import pytest

from dynkv.core.latency import DELAY_S_MAX
from dynkv.peer.gossip_messages import Gossip, GossipReply
from dynkv.peer.lateness import DRIFT, Lateness
from dynkv.peer.loopback import Weather
from dynkv.peer.messages import Absent, Read
from dynkv.peer.transport import Failure
from dynkv.runtime import SystemClock
from tests.unit.peers import QUICK, Cluster, Proxy, clustered, run, until

STEADY = msgspec.structs.replace(QUICK, silence_s_min=1.0, silence_s_max=2.0)
READ = Read("b", b"k", False)


def test_a_silent_peer_is_suspected_in_time_and_trusted_again_once_it_answers() -> None:
    async def main() -> None:
        cluster = Cluster("tcp")
        proxy = Proxy(cluster.addresses["n2"])
        await proxy.start()
        cluster.views["n1"] = {**cluster.addresses, "n2": proxy.address}
        try:
            await cluster.start()
            await cluster.formed()
            one, two = cluster.peers["n1"], cluster.peers["n2"]
            two.answer = lambda request: None
            call = asyncio.ensure_future(one.ask("n2", READ))
            await until(lambda: two.replies)
            proxy.cut()
            assert await call == Failure("timed out", True), "nothing waits for a peer that is suspected"
            silent_s = one.network.peers()["n2"].last_heard_s
            assert silent_s is not None
            assert QUICK.silence_s_min <= silent_s <= QUICK.silence_s_max + 1.0
            assert await one.ask("n2", READ) == Failure("unreachable", False)
            assert two.network.available("n1"), "the other direction is a connection of its own"
            await until(lambda: one.network.peers()["n2"].state == "down", "given up for a new one")
            proxy.heal()
            await one.sees("n2")
            two.answer = lambda request: Absent(True)
            assert await one.ask("n2", READ) == Absent(True)
            assert one.changes == [("n2", True), ("n2", False), ("n2", True)], "no flapping"
            assert one.network.counters.suspicions == 1
        finally:
            await cluster.stop()
            await proxy.stop()

    run(main)


def test_a_short_silence_is_outlived_on_the_same_connection() -> None:
    async def main() -> None:
        cluster = Cluster("tcp")
        proxy = Proxy(cluster.addresses["n2"])
        await proxy.start()
        cluster.views["n1"] = {**cluster.addresses, "n2": proxy.address}
        cluster.settings["n1"] = {"timing": msgspec.structs.replace(QUICK, renew_s=60.0)}
        try:
            await cluster.start()
            await cluster.formed()
            one, two = cluster.peers["n1"], cluster.peers["n2"]
            two.answer = lambda request: GossipReply((), ())
            proxy.cut()
            await one.sees("n2", up=False)
            assert one.network.peers()["n2"].state == "suspected"
            probe = asyncio.ensure_future(one.ask("n2", Gossip((), ()), 5.0))
            proxy.heal()
            assert await probe == GossipReply((), ()), "gossip goes to a suspected peer too"
            await one.sees("n2")
            assert one.network.peers()["n2"].reconnects == 0
        finally:
            await cluster.stop()
            await proxy.stop()

    run(main)


def test_with_one_direction_cut_both_sides_suspect_each_other() -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        cluster.loopback.cut("n1", "n2")
        await one.sees("n2", up=False)
        await two.sees("n1", up=False)
        cluster.loopback.cut("n1", "n2", cut=False)
        await cluster.formed()
        assert one.changes == [("n2", True), ("n2", False), ("n2", True)]
        assert two.changes == [("n1", True), ("n1", False), ("n1", True)]
        assert await one.ask("n2", READ) == Absent(True)

    clustered(test, "loopback")


def test_a_bridge_cuts_only_the_pair_without_a_link() -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one, two, three = (cluster.peers[name] for name in cluster.names)
        cluster.loopback.cut("n1", "n3")
        cluster.loopback.cut("n3", "n1")
        await one.sees("n3", up=False)
        await three.sees("n1", up=False)
        assert all(peer.network.available("n2") for peer in (one, three))
        assert two.network.available("n1")
        assert two.network.available("n3")
        cluster.loopback.cut("n1", "n3", cut=False)
        cluster.loopback.cut("n3", "n1", cut=False)
        await cluster.formed()
        assert len(two.changes) == 2, "never any doubt in the middle"

    clustered(test, "loopback", size=3)


@pytest.mark.parametrize("both_told", [True, False])
def test_a_reset_connection_is_back_at_once(both_told: bool) -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one = cluster.peers["n1"]
        if both_told:
            cluster.loopback.break_connections("n1", "n2")
        else:
            cluster.peers["n2"].network._incoming["n1"].abort()
        began = SystemClock().now()
        await until(lambda: one.changes == [("n2", True), ("n2", False), ("n2", True)])
        assert SystemClock().now() - began < 1.0

    clustered(test, "loopback")


def test_a_node_that_comes_back_is_connected_to_as_soon_as_it_connects() -> None:
    patient = msgspec.structs.replace(QUICK, backoff_s_min=30.0, backoff_s_max=30.0)

    async def test(cluster: Cluster) -> None:
        one = cluster.peers["n1"]
        await cluster.peers["n2"].network.close()
        await one.sees("n2", up=False)
        await cluster.start("n2")
        await one.sees("n2")  # within the deadline of `sees`, which is a third of the backoff

    clustered(test, "loopback", settings={"n1": {"timing": patient}})


def test_most_calls_get_through_a_bad_network() -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        bad = Weather(delay_s_min=0.001, delay_s_max=0.02, loss=0.05, repeat=1.0, reorder=True)
        cluster.loopback.set_weather("n1", "n2", bad)
        cluster.loopback.set_weather("n2", "n1", bad)
        outcomes = [await one.ask("n2", READ, 0.1) for _ in range(60)]
        assert outcomes.count(Absent(True)) > 30
        assert set(outcomes) <= {Absent(True), Failure("timed out", True), Failure("unreachable", False)}
        assert two.network.counters.bad_frames == one.network.counters.bad_frames == 0

    clustered(test, "loopback")


@pytest.mark.parametrize("request_lost", [True, False])
def test_a_read_whose_frame_was_lost_is_sent_again_and_answered_in_time(request_lost: bool) -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        way = ("n1", "n2") if request_lost else ("n2", "n1")
        cluster.loopback.set_weather(*way, Weather(loss=1.0))
        call = asyncio.ensure_future(one.ask("n2", READ, 5.0))
        gossip = asyncio.ensure_future(one.ask("n2", Gossip((), ()), 1.0))
        await until(lambda: one.network.counters.calls_out >= 2 and (request_lost or len(two.calls) == 2))
        cluster.loopback.set_weather(*way, Weather())
        assert await call == Absent(True)
        assert await gossip == Failure("timed out", True), "what may not be done twice, or need not be, is asked once"
        assert one.network.counters.repeats_out == 1

    clustered(test, "loopback", settings={"n1": {"timing": STEADY}, "n2": {"timing": STEADY}})


def test_a_slow_peer_is_sluggish_and_not_suspected() -> None:
    async def test(cluster: Cluster) -> None:
        assert cluster.loopback is not None
        one = cluster.peers["n1"]
        for _ in range(40):
            await one.ask("n3", READ)
        slow = Weather(delay_s_min=0.4, delay_s_max=0.4)
        cluster.loopback.set_weather("n2", "n1", slow)
        calls = [asyncio.ensure_future(one.ask("n2", READ)) for _ in range(10)]
        await until(lambda: one.network.sluggish("n2"))
        assert await asyncio.gather(*calls) == [Absent(True)] * 10
        assert one.network.available("n2")
        assert one.network.hedge_delay_s() < DELAY_S_MAX / 2, "the quick peer says how long to wait"

    clustered(test, "loopback", size=3, settings={"n1": {"timing": STEADY}})


def test_a_node_that_stood_still_suspects_nobody() -> None:
    async def test(cluster: Cluster) -> None:
        threading.Event().wait(2 * QUICK.silence_s_max)  # holds the loop, and with it every node here
        one, two = cluster.peers["n1"], cluster.peers["n2"]
        heartbeats = len(one.greetings)
        await until(lambda: len(one.greetings) >= heartbeats + 6)
        assert one.changes == [("n2", True)]
        assert two.changes == [("n1", True)]
        assert await one.ask("n2", READ) == Absent(True)

    clustered(test, "tcp")


def test_a_listener_that_fails_takes_nothing_with_it() -> None:
    async def test(cluster: Cluster) -> None:
        one = cluster.peers["n1"]

        def careless(node: str, up: bool) -> None:
            raise ValueError("a bug")

        heard: list[bool] = []
        one.network.on_change(careless)
        one.network.on_change(lambda node, up: heard.append(up))
        await cluster.peers["n2"].network.close()
        await until(lambda: heard == [False])
        await cluster.start("n2")
        await until(lambda: heard == [False, True])
        assert one.network.counters.faults == 2

    clustered(test, "loopback")


def test_lateness_is_what_a_frame_took_longer_than_the_quickest() -> None:
    lateness = Lateness()
    assert lateness.of(100.0, 5.0) == 0.0, "the first one is all we know"
    assert lateness.of(101.0, 6.5) == pytest.approx(0.5, abs=0.01)
    assert lateness.of(102.0, 6.9) == 0.0, "a quicker one: what was taken for travel was waiting"
    assert lateness.of(103.0, 8.0) == pytest.approx(0.1, abs=0.01)
    # Lies in a buffer for a minute and a half: the allowance for drift does not hide it.
    assert lateness.of(104.0, 98.9) == pytest.approx(90.0, abs=0.1)


def test_clocks_that_drift_apart_make_nobody_late() -> None:
    lateness = Lateness()
    for minute in range(60 * 24 * 7):
        ours = minute * 60.0
        assert lateness.of(ours * (1 - DRIFT / 2), ours) < 0.001
