"""Listings across nodes: every key once, whoever is away, refilled, damaged or behind, and nothing left out unsaid."""

import asyncio
from collections.abc import Sequence
from zlib import crc32

import pytest

from dynkv.coordinator import page as page_module
from dynkv.coordinator import scan as scan_module
from dynkv.coordinator.page import sound
from dynkv.coordinator.results import Stretch
from dynkv.coordinator.scan import joined
from dynkv.core.errors import BadParameter, NotFormed
from dynkv.core.write import Write
from dynkv.peer.many_messages import ListRecords, Records
from dynkv.peer.messages import Failed, Read
from dynkv.peer.transport import Failure
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, HOLD, PARTITIONS, Caller, Cluster, Verdict, run
from tests.unit.listings import KEYS, all_of, delete, filled, primaries, scan

NO_TREES = crc32(b"\x92\x00\x90").to_bytes(4, "big") + b"\x92\x00\x90"  # as saved at the clean stop of an empty node


def plant(c: Cluster, key: bytes, value: bytes | None, *names: str) -> None:
    """A write that these nodes alone have."""
    first, *rest = names
    written = c.nodes[first].replica.coordinate(Write(BUCKET, key, (), value, "", b"id of " + key), "siblings", ())
    for name in rest:
        c.nodes[name].replica.apply(BUCKET, key, written.record)


def listings(c: Cluster) -> list[Caller]:
    return [call for call in c.calls if isinstance(call.message, ListRecords)]


# --- what is listed ---------------------------------------------------------------------------------------------------


def test_every_key_once_in_the_same_order_at_every_node_and_level() -> None:
    async def main() -> None:
        c = await filled()
        orders = [await all_of(scan(c, at, r=r)) for at in c.names for r in (1, 2, 3)]
        assert sorted(orders[0]) == sorted(KEYS)
        assert all(order == orders[0] for order in orders)
        places = [(c.plan(key).partition, key) for key in orders[0]]
        assert places == sorted(places)

    run(main)


@pytest.mark.parametrize("page", [1, 3, 1024])
def test_pages_of_any_size(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "PAGE_KEYS_MAX", page)

    async def main() -> None:
        c = await filled(5)
        assert sorted(await all_of(scan(c, "n5"))) == sorted(KEYS)
        assert sorted(await all_of(scan(c, "n5", b"k1"))) == sorted(key for key in KEYS if key.startswith(b"k1"))
        assert await all_of(scan(c, prefix=b"k119")) == [b"k119"]
        assert await all_of(scan(c, prefix=b"k1190")) == []

    run(main)


def test_deleted_keys_are_left_out_and_written_ones_come_back() -> None:
    async def main() -> None:
        c = await filled()
        for key in KEYS[:40]:
            await delete(c, "n2", key)
        for key in KEYS[:20]:
            await c.put("n3", key, b"again")
        assert sorted(await all_of(scan(c))) == sorted(KEYS[:20] + KEYS[40:])

    run(main)


def test_an_lww_bucket_goes_by_its_latest_sibling() -> None:
    async def main() -> None:
        c = Cluster(3)
        for key, values in ((b"deleted last", (b"v", None)), (b"written last", (None, b"v"))):
            for number, value in enumerate(values):
                await c.put("n1", key, value, write_id=b"%d" % number)
        assert await all_of(scan(c, conflict="lww")) == [b"written last"]
        assert sorted(await all_of(scan(c))) == [b"deleted last", b"written last"]

    run(main)


def test_other_buckets_are_other_keys() -> None:
    async def main() -> None:
        c = await filled()
        for bucket in ("a", "bb", "c"):
            await c.nodes["n1"].coordinator.put(Write(bucket, b"other", (), b"v", "", b"i"), c.levels(), "siblings")
        assert sorted(await all_of(scan(c))) == sorted(KEYS)

    run(main)


# --- who is asked -----------------------------------------------------------------------------------------------------


def test_a_member_away_costs_nothing_as_long_as_enough_are_left() -> None:
    async def main() -> None:
        c = await filled()
        c.away.add("n3")
        assert sorted(await all_of(scan(c))) == sorted(KEYS)
        scanner = scan(c, r=3)
        assert await all_of(scanner) == []
        assert [one.partition for one in scanner.missing] == list(range(PARTITIONS))
        assert scanner.rest() == (Stretch(0, PARTITIONS - 1, b""),)
        assert scanner.unmet is not None
        assert scanner.unmet.replicas == {"n3": "unreachable"}
        assert (scanner.unmet.needed, scanner.unmet.got) == ({"r": 3}, {"r": 0})

    run(main)


def test_what_is_missing_is_said_and_is_what_a_later_listing_lists() -> None:
    async def main() -> None:
        c = await filled(5)
        c.away |= {"n4", "n5"}
        missing = {partition for partition in range(PARTITIONS) if len(c.away & set(primaries(c, partition))) > 1}
        assert 0 < len(missing) < PARTITIONS
        scanner = scan(c)
        found = await all_of(scanner)
        assert {one.partition for one in scanner.missing} == missing
        assert sorted(found) == sorted(key for key in KEYS if c.plan(key).partition not in missing)
        c.away.clear()
        later = scan(c, "n5", stretches=scanner.rest())
        assert sorted(found + await all_of(later)) == sorted(KEYS)
        assert not later.rest()

    run(main)


def test_one_that_is_being_refilled_has_no_vote() -> None:
    async def main() -> None:
        c = await filled()
        plant(c, b"only at n2 and n3", b"v", "n2", "n3")
        identity = c.nodes["n1"].identity
        identity.complete = False
        for at in c.names:
            assert b"only at n2 and n3" in await all_of(scan(c, at))
        c.away.add("n3")
        scanner = scan(c, "n2")
        assert await all_of(scanner) == []
        assert scanner.unmet is not None
        assert scanner.unmet.replicas["n1"] == "is being refilled"
        identity.refilled = set(range(PARTITIONS))
        assert len(await all_of(scan(c, "n2"))) == len(KEYS) + 1

    run(main)


def test_a_damaged_record_takes_the_vote_of_its_replica_and_is_no_silence() -> None:
    async def main() -> None:
        c = await filled()
        for name in ("n1", "n2"):
            node = c.nodes[name]
            partition = node.replica.partition(BUCKET, KEYS[5])
            stored = record_key(partition, BUCKET, KEYS[5])
            value = node.store.get(stored)
            assert value is not None
            node.store.write(((stored, value[:-1] + bytes((value[-1] ^ 1,))),))
            node.trees.load(partition, NO_TREES, 1)
            assert node.trees.exact(partition)
            assert sorted(await all_of(scan(c))) == sorted(KEYS) or name == "n2"
            assert not node.trees.exact(partition), "what reads it first has the trees doubted"
        scanner = scan(c)
        found = await all_of(scanner)
        (missing,) = scanner.missing
        assert missing.partition == c.plan(KEYS[5]).partition
        assert "checksum" in missing.why
        assert sorted(found) == sorted(key for key in KEYS if c.plan(key).partition != missing.partition)

    run(main)


def test_a_block_that_cannot_be_read_fails_the_partition_and_not_the_listing() -> None:
    async def main() -> None:
        c = await filled()
        for name in ("n2", "n3"):
            c.disks[name].unreadable.add(record_key(c.plan(KEYS[5]).partition, BUCKET, KEYS[5]))
        scanner = scan(c)
        found = await all_of(scanner)
        assert [one.partition for one in scanner.missing] == [c.plan(KEYS[5]).partition]
        assert len(found) < len(KEYS)

    run(main)


# --- replicas that disagree -------------------------------------------------------------------------------------------


def test_a_key_that_one_of_those_asked_holds_is_listed() -> None:
    async def main() -> None:
        c = await filled()
        for name in c.names:
            plant(c, b"only at " + name.encode(), b"v", name)
        told = [set(await all_of(scan(c, at, r=3))) for at in c.names]
        assert all(keys == {*KEYS, b"only at n1", b"only at n2", b"only at n3"} for keys in told)

    run(main)


@pytest.mark.parametrize("known_at", ["n1", "n2"])
@pytest.mark.parametrize("again", [False, True])
def test_where_one_says_deleted_the_key_is_read(known_at: str, again: bool) -> None:
    """n1 and n2 are asked; one of them missed the delete, or the write after it."""

    async def main() -> None:
        c = await filled()
        key = KEYS[3]
        if again:
            await delete(c, "n1", key)
            await c.until(lambda: all(c.held_by(name, key) == [None] for name in c.names))
        record = (await c.get("n1", key)).record
        assert record is not None
        node = c.nodes[known_at]
        node.replica.coordinate(
            Write(BUCKET, key, record.vector, b"new" if again else None, "", b"last"), "siblings", ()
        )
        c.away.add("n3")
        assert (key in await all_of(scan(c))) == again
        assert any(isinstance(call.message, Read) and call.message.key == key for call in c.calls)

    run(main)


def test_a_disputed_key_that_cannot_be_read_fails_its_partition() -> None:
    async def main() -> None:
        c = await filled()
        key = KEYS[3]
        record = (await c.get("n1", key)).record
        assert record is not None
        c.nodes["n2"].replica.coordinate(Write(BUCKET, key, record.vector, None, "", b"last"), "siblings", ())
        c.away.add("n3")
        c.rule = lambda call: Failed("read failed", "", False) if isinstance(call.message, Read) else None
        scanner = scan(c)
        await all_of(scanner)
        assert [one.partition for one in scanner.missing] == [c.plan(key).partition]

    run(main)


# --- who is slow, or lies ---------------------------------------------------------------------------------------------


def test_one_that_is_silent_is_stood_in_for_and_asked_last_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "HEDGE_S", 0.02)

    async def main() -> None:
        c = await filled()
        silent = next(name for name in primaries(c, 0) if name != "n1")  # who is asked first
        c.rule = lambda call: HOLD if call.target == silent and isinstance(call.message, ListRecords) else None
        assert sorted(await all_of(scan(c))) == sorted(KEYS)
        assert [call.target for call in listings(c)].count(silent) == 1

    run(main)


def test_all_silent_ends_with_the_time_it_may_get_no_further() -> None:
    async def main() -> None:
        c = await filled()
        c.rule = lambda call: HOLD if isinstance(call.message, ListRecords) else None
        scanner = scan(c, timeout_ms=100)
        async with asyncio.timeout(2):
            assert await all_of(scanner) == []
        assert len(scanner.missing) == PARTITIONS
        assert "the deadline passed" in scanner.missing[0].why
        c.rule = lambda call: None
        assert sorted(await all_of(scan(c, stretches=scanner.rest()))) == sorted(KEYS)

    run(main)


def test_what_falls_silent_in_the_middle_leaves_the_rest_to_a_later_listing() -> None:
    async def main() -> None:
        c = await filled()
        scanner = scan(c, timeout_ms=100)
        found = list(await scanner.step())
        assert found
        c.rule = lambda call: HOLD if isinstance(call.message, ListRecords) else None
        found += await all_of(scanner)
        assert 0 < len(scanner.missing) < PARTITIONS
        c.rule = lambda call: None
        assert sorted(found + await all_of(scan(c, stretches=scanner.rest()))) == sorted(KEYS)

    run(main)


LIES = [
    Records((b"k2", b"k1"), (), b"", True),
    Records((b"k1", b"k1"), (), b"", True),
    Records((b"x",), (), b"", True),
    Records((b"k1", b"x"), (), b"", True),
    Records((b"k1",), (1,), b"", True),
    Records((b"k1",), (-1,), b"", True),
    Records((b"k5",), (), b"k4", True),
    Failed("read failed", "", False),
    Failure("connection lost", True),
]


@pytest.mark.parametrize("lie", LIES)
def test_a_page_that_cannot_be_is_no_answer(lie: Records | Failed | Failure) -> None:
    async def main() -> None:
        c = await filled()

        def lies(call: Caller) -> Verdict:
            return lie if call.target == "n2" and isinstance(call.message, ListRecords) else None

        c.rule = lies
        assert sorted(await all_of(scan(c, prefix=b"k"))) == sorted(KEYS)
        c.away.add("n3")
        scanner = scan(c, prefix=b"k")
        assert await all_of(scanner) == []
        assert len(scanner.missing) == PARTITIONS

    run(main)


def test_a_page_must_get_on() -> None:
    asked = ListRecords(0, "b", b"k", b"k5", 10, "siblings")
    assert sound(Records((b"k6",), (), b"k6", True), asked)
    assert sound(Records((), (), b"", True), asked)
    assert not sound(Records((b"k5",), (), b"", True), asked)
    assert not sound(Records((), (), b"k5", True), asked)


# --- parts of a listing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 64, 119, 120, 121])
def test_limits_and_what_is_left(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "PAGE_KEYS_MIN", 4)

    async def main() -> None:
        c = await filled()
        whole = await all_of(scan(c))
        told: list[bytes] = []
        stretches: Sequence[Stretch] | None = None
        parts = 0
        while stretches is None or stretches:
            scanner = scan(c, c.names[parts % 3], stretches=stretches, limit=limit)
            part = await all_of(scanner)
            stretches = scanner.rest()
            assert len(part) == limit or not stretches
            told += part
            parts += 1
        assert told == whole
        assert parts <= 120 // limit + 1

    run(main)


def test_partitions_that_are_not_there_and_clusters_that_are_not_formed() -> None:
    async def main() -> None:
        c = Cluster(3)
        with pytest.raises(BadParameter, match="cursor"):
            scan(c, stretches=(Stretch(0, PARTITIONS, b""),))
        c.nodes["n1"].membership.placement = None
        c.nodes["n1"].membership._plans.clear()
        with pytest.raises(NotFormed):
            scan(c)

    run(main)


def test_too_much_missing_in_too_many_places_ends_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "REST_BYTES_MAX", 20)

    async def main() -> None:
        c = await filled()

        def odd_ones_fail(call: Caller) -> Verdict:
            odd = isinstance(call.message, ListRecords) and call.message.partition % 2
            return Failed("read failed", "", False) if odd else None

        c.rule = odd_ones_fail
        scanner = scan(c)
        found = await all_of(scanner)
        assert [one.partition for one in scanner.missing] == [1, 3, 5]
        assert scanner.rest() == (Stretch(1, 1, b""), Stretch(3, 3, b""), Stretch(5, PARTITIONS - 1, b""))
        c.rule = lambda call: None
        assert sorted(found + await all_of(scan(c, stretches=scanner.rest()))) == sorted(KEYS)

    run(main)


def test_joined() -> None:
    parts = [Stretch(0, 0, b"a"), Stretch(1, 1, b""), Stretch(2, 2, b"x"), Stretch(3, 4, b""), Stretch(6, 6, b"")]
    assert joined(parts) == (Stretch(0, 1, b"a"), Stretch(2, 4, b"x"), Stretch(6, 6, b""))
