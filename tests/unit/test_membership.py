"""The member map and bucket settings: order-free, kept, fixed once formed, and honest about going back in time."""

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from dynkv.core.bucket import BucketSettings, Setting
from dynkv.core.errors import BadConfig, BadParameter, NotFormed, QuorumUnmet
from dynkv.core.write import Write
from dynkv.identity import Identity
from dynkv.membership import Membership
from dynkv.peer.gossip_messages import Extent, Gossip, MemberEntry
from dynkv.runtime import SystemClock
from dynkv.storage.keys import meta_key
from dynkv.storage.memory import MemoryDisk, MemoryStore
from tests.unit.cluster_in_memory import BUCKET, Cluster, lives, run

NAMES = ("n1", "n2", "n3")


def entry(name: str, start_count: int = 1, life: int = 0, zone: str = "", weight: float = 1.0) -> MemberEntry:
    return MemberEntry(name, start_count, 7, lives(start_count, life), "127.0.0.1:1", weight, "", zone, "")


class One:
    """n1's membership over a disk that outlives it."""

    def __init__(
        self, disk: MemoryDisk | None = None, names: tuple[str, ...] = NAMES, n: int = 3, own: MemberEntry | None = None
    ) -> None:
        self.disk = disk or MemoryDisk()
        own = own or entry("n1")
        self.identity = Identity("n1", own.incarnation, own.start_count, own.lives)
        self.back: list[int] = []
        self.short: list[bool] = []
        store = MemoryStore(self.disk, "synced", clock=SystemClock(), renew=lambda why: None)
        self.map = Membership(
            store,
            self.identity,
            own,
            names,
            partitions=16,
            defaults=BucketSettings(n, 1, 1),
            went_back=self.back.append,
            fell_short=lambda: self.short.append(self.identity.confirmed),
        )

    def hear(self, *entries: MemberEntry, settings: tuple[Setting, ...] = ()) -> None:
        self.map.take(Gossip(entries, settings, whole=True, confirmed=True), "n2")


def on_a_loop(test: object) -> None:
    async def main() -> None:
        assert callable(test)
        test()

    asyncio.run(main())


def test_a_cluster_forms_when_all_were_heard_of_and_never_before() -> None:
    def test() -> None:
        one = One()
        with pytest.raises(NotFormed, match="n2, n3"):
            one.map.plan(BUCKET, b"k", 3)
        one.hear(entry("n2"))
        assert one.map.unheard() == ["n3"]
        one.hear(entry("n3"))
        plan = one.map.plan(BUCKET, b"k", 2)
        assert sorted((*plan.primaries, *plan.fallbacks)) == list(NAMES)
        assert len(plan.primaries) == 2

    on_a_loop(test)


def test_labels_decide_and_a_node_alone_remembers_them() -> None:
    def test() -> None:
        one = One(own=entry("n1", zone="a"), n=2)
        one.hear(entry("n2", zone="a"), entry("n3", zone="b"))
        for number in range(50):
            assert "n3" in one.map.plan(BUCKET, b"%d" % number, 2).primaries
        again = One(one.disk, own=entry("n1", 2, zone="a"), n=2)
        assert again.map.plan(BUCKET, b"k", 2) == one.map.plan(BUCKET, b"k", 2)
        again.hear(entry("n2", 2, zone="z"))
        assert again.map.members["n2"].zone == "a"  # fixed: moving partitions is not there

    on_a_loop(test)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"names": ("n1", "n2")}, "members"),
        ({"names": ("n1", "n2", "n3", "n4")}, "members"),
        ({"n": 2}, "cluster.n"),
        ({"own": entry("n1", 2, zone="elsewhere")}, "labels"),
        ({"own": entry("n1", 2, weight=2.0)}, "labels"),
    ],
)
def test_a_configuration_that_contradicts_the_formed_cluster_is_refused(changed: dict[str, object], why: str) -> None:
    def test() -> None:
        one = One()
        one.hear(entry("n2"), entry("n3"))
        with pytest.raises(BadConfig, match=why):
            One(one.disk, **changed)  # type: ignore[arg-type]  # a table
        One(one.disk)

    on_a_loop(test)


@pytest.mark.parametrize(
    ("said", "back"),
    [
        (entry("n1", 5), False),
        (entry("n1", 4), False),
        (entry("n1", 6), True),  # an old copy of the directory was restored
        (entry("n1", 5, life=77), True),  # a copy of it, or one made anew, that has come as far as the original
        (entry("n1", 4, life=77), True),  # a copy that was started more often since
    ],
)
def test_a_directory_that_went_back_is_found_out_and_counts_under_no_old_actor(said: MemberEntry, back: bool) -> None:
    def test() -> None:
        one = One(own=entry("n1", 5))
        assert not one.identity.confirmed
        one.hear(said)
        assert one.back == ([said.start_count] if back else [])
        assert one.identity.confirmed is not back
        assert one.identity.complete is not back
        one.hear(entry("n1", 5))  # a peer that knows less
        assert one.identity.confirmed is not back

    on_a_loop(test)


def test_a_new_incarnation_within_a_start_is_believed_of_the_member_itself() -> None:
    def test() -> None:
        one = One()
        one.hear(entry("n2", 3), entry("n3"))
        renewed = msgspec.structs.replace(entry("n2", 3), incarnation=8)
        one.map.take(Gossip((renewed,), ()), "n3")
        assert one.map.members["n2"].incarnation == 7
        one.map.take(Gossip((renewed,), ()), "n2")
        assert one.map.members["n2"].incarnation == 8
        one.map.take(Gossip((msgspec.structs.replace(renewed, lives=(99,)),), ()), "n2")
        assert one.map.members["n2"] == renewed, "it is another life"

    on_a_loop(test)


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_peer_whose_map_began_anew_is_no_evidence(confirmed: bool) -> None:
    def test() -> None:
        one = One(own=entry("n1", 5))
        own, n3 = entry("n1", 5), entry("n3")
        one.map.take(Gossip((own, n3), (), whole=False, confirmed=confirmed), "n3")
        assert (one.identity.confirmed, one.map.settled) == (False, False)
        one.map.take(Gossip((own, entry("n2")), (), whole=True), "n2")
        assert (one.identity.confirmed, one.map.settled) == (True, True), "both others were heard"

    on_a_loop(test)


def test_all_others_together_are_evidence_whatever_becomes_of_their_maps() -> None:
    def test() -> None:
        one, own = One(own=entry("n1", 5)), entry("n1", 5)
        for name in ("n2", "n3"):
            one.map.take(Gossip((own, entry(name)), ()), name)
        assert one.identity.confirmed
        assert one.map.gossip("n2").whole

    on_a_loop(test)


@pytest.mark.parametrize(("confirmed", "whole"), [(True, True), (False, False)])
def test_a_map_becomes_whole_by_that_of_a_confirmed_peer_and_stays_so(confirmed: bool, whole: bool) -> None:
    def test() -> None:
        one = One()
        assert not one.map.gossip("n2").whole
        one.map.take(Gossip((entry("n1"), entry("n2")), (), whole=True, confirmed=confirmed), "n2")
        assert one.identity.confirmed, "it would have known"
        assert one.map.gossip("n2").whole is whole
        again = One(one.disk, own=entry("n1", 2))
        assert again.map.gossip("n2").whole is whole
        assert not again.map.settled

    on_a_loop(test)


def test_settings_are_order_free_and_kept() -> None:
    def test() -> None:
        settings = [
            Setting("x", 1, "n1", 3, 1, 1, "siblings"),
            Setting("x", 2, "n2", 3, 2, 2, "lww"),
            Setting("x", 2, "n3", 3, 3, 1, "siblings"),
        ]
        summaries = set()
        for order in itertools.permutations(settings):
            one = One()
            one.hear(entry("n2"), entry("n3"))
            for setting in order:
                one.hear(settings=(setting,))
            summaries.add(one.map.summary)
            assert One(one.disk).map.bucket("x") == BucketSettings(3, 3, 1, "siblings")
        assert len(summaries) == 1

    on_a_loop(test)


BAD_MEMBERS: list[dict[str, Any]] = [
    {"weight": float("nan")},
    {"weight": float("inf")},
    {"weight": 1e9},
    {"zone": "no such label!"},
    {"start_count": -1},
    {"start_count": 2**63},
]
BAD_SETTINGS: list[dict[str, Any]] = [
    {"n": 0},
    {"n": 4},
    {"r": 4},
    {"w": 0},
    {"counter": 2**63},
    {"counter": 0},
    {"bucket": "-"},
]


def test_impossible_gossip_is_left_out_and_the_rest_taken() -> None:
    def test() -> None:
        for number, changes in enumerate([*BAD_MEMBERS, *BAD_SETTINGS]):
            one = One()
            good, bad = entry("n2"), entry("n3")
            fine = wrong = Setting("x", 1, "n2", 3, 2, 2, "lww")
            if number < len(BAD_MEMBERS):
                bad = msgspec.structs.replace(bad, **changes)
            else:
                wrong = msgspec.structs.replace(wrong, **{"bucket": "y", "counter": 2, **changes})
            one.hear(bad, good, settings=(wrong, fine))
            assert set(one.map.settings) == {"x"}
            assert one.map.settings["x"] == fine
            assert "n2" in one.map.members
            assert ("n3" in one.map.members) == (number >= len(BAD_MEMBERS))
            one.hear(entry("n3"))
            assert one.map.placement is not None

    on_a_loop(test)


def test_n_changes_only_while_the_bucket_is_empty_and_all_say_so() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.away.add("n3")
        with pytest.raises(QuorumUnmet, match="nothing was changed"):
            await c.nodes["n1"].buckets.put(BUCKET, BucketSettings(2, 1, 1))
        await c.nodes["n1"].buckets.put(BUCKET, BucketSettings(3, 1, 1))  # r and w: most members suffice
        c.away.clear()
        await c.nodes["n1"].buckets.put(BUCKET, BucketSettings(2, 1, 1))
        assert all(node.membership.bucket(BUCKET).n == 2 for node in c.nodes.values())
        c.nodes["n3"].replica.coordinate(Write(BUCKET, b"k", (), b"v", "", b"i"), "siblings", ())
        with pytest.raises(BadParameter, match="n3"):
            await c.nodes["n1"].buckets.put(BUCKET, BucketSettings(3, 1, 1))
        c.away.update(("n2", "n3"))
        with pytest.raises(QuorumUnmet) as unmet:
            await c.nodes["n1"].buckets.put(BUCKET, BucketSettings(2, 2, 1))
        assert unmet.value.outcome == "ambiguous"

    run(main)


def test_what_a_reopened_store_lost_of_the_map_is_saved_again() -> None:
    async def main() -> None:
        c = Cluster(3)
        node = c.nodes["n1"]
        node.store.when_durable(lambda error: None)
        await c.until(lambda: not c.disks["n1"].tail)
        c.disks["n1"].sync_error = OSError("EIO")
        node.membership.set_bucket("x", BucketSettings(3, 3, 3))
        node.store.when_durable(lambda error: None)
        await c.until(lambda: not node.store.status().healthy)
        c.disks["n1"].sync_error = None
        await c.until(lambda: node.store.status().healthy, "the store takes writes up again")
        assert node.store.get(meta_key("settings")) in (None, b"\x90")
        c.gossip()
        assert node.store.get(meta_key("settings")) not in (None, b"\x90")
        node = c.restart("n1")
        assert node.membership.bucket("x") == BucketSettings(3, 3, 3)

    run(main)


def test_the_evidence_against_a_copy_is_kept_however_often_the_copy_was_started() -> None:
    async def main() -> None:
        one = One()
        original = entry("n2", 4, life=77)
        one.hear(original)
        one.hear(entry("n2", 6))  # of its fourth start it remembers another life
        assert one.map.members["n2"] == original
        # Found out, it counts on from there with no history that could contradict.
        found_out = MemberEntry("n2", 7, 7, (88,), "127.0.0.1:1", 1.0, "", "", "")
        one.hear(found_out)
        assert one.map.members["n2"] == found_out

    asyncio.run(main())


def test_a_node_hears_that_it_fell_short_before_it_is_confirmed() -> None:
    """Not a single answer of it may count in between."""

    def test() -> None:
        one = One(own=entry("n1", 5))
        database = one.map.extents._opened.database
        heard = (Extent(4, database, 1_000),)
        one.map.take(Gossip((entry("n1", 5), entry("n2")), (), whole=True, confirmed=True, heard=heard), "n2")
        assert one.short == [False]
        assert one.identity.confirmed

    on_a_loop(test)
