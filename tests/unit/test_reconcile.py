"""Making many keys equal at once: what is asked, what is believed of the answer, and what one key costs the others."""

import pytest

from antientropy import Budget, Difference
from dynkv.core import record as records
from dynkv.core.write import Write
from dynkv.peer.many_messages import COPIES_BYTES, READ_MAX, AppliedMany, ApplyMany, Copies, Copy, ReadMany
from dynkv.peer.messages import Absent, Answer, Failed
from dynkv.peer.transport import Failure
from dynkv.repair import reconcile
from dynkv.repair.journal import Moved
from dynkv.repair.reconcile import GENTLY, SYNCED_TOGETHER, TOGETHER, Rate, Reconciler, Yielding
from dynkv.storage.keys import place_of, record_key
from tests.unit.cluster_in_memory import BUCKET, Caller, Cluster, Verdict, run
from tests.unit.menders import alter, keys_of, plant, remove

EVEN = 4


def reconciler(c: Cluster, rate: Rate | None = None, yielding: Yielding | None = None) -> Reconciler:
    node = c.nodes["n1"]
    unbounded = Rate(Budget(1e12, 1e12), Budget(1e12, 1e12))
    return Reconciler(node.replica, node.wire, node.clock, node.convergence, rate or unbounded, yielding)


def listed(c: Cluster, keys: list[bytes]) -> list[Difference]:
    """What an exchange of n1 with n2 would find of these keys, in its order."""

    def digest(name: str, key: bytes) -> bytes | None:
        copy = c.nodes[name].replica.read(EVEN, BUCKET, key)
        return None if copy is None else copy.digest

    places = {place_of(record_key(EVEN, BUCKET, key)): key for key in keys}
    return [Difference(place, digest("n1", key), digest("n2", key)) for place, key in sorted(places.items())]


def held_by_the_peer_alone(count: int) -> tuple[Cluster, list[bytes]]:
    c = Cluster(3)
    keys = keys_of(c, EVEN, count)
    for key in keys:
        plant(c, "n2", key, b"v")
    return c, keys


def plant_large(c: Cluster, name: str, key: bytes, size: int) -> None:
    c.nodes[name].replica.coordinate(Write(BUCKET, key, (), bytes(size), "", b"id"), "siblings", ())


def asked(c: Cluster, kind: type) -> list[int]:
    """How many keys each message of a kind was about."""
    found = []
    for call in c.calls:
        if isinstance(call.message, kind):
            message = call.message
            assert isinstance(message, ReadMany | ApplyMany)
            found.append(len(message.keys if isinstance(message, ReadMany) else message.records))
    return found


def test_many_keys_cost_few_messages_each_way() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 2 * TOGETHER + 1)
        for number, key in enumerate(keys):
            plant(c, f"n{number % 2 + 1}", key, b"v")
        moved = Moved()
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), moved) == 0
        assert asked(c, ReadMany) == [TOGETHER, TOGETHER, 1]
        assert sum(asked(c, ApplyMany)) == TOGETHER + 1
        assert len(asked(c, ApplyMany)) <= 3
        assert (moved.keys_pulled, moved.keys_pushed) == (TOGETHER, TOGETHER + 1)
        assert moved.bytes_pulled > TOGETHER
        for name in ("n1", "n2"):
            assert all(c.held_by(name, key) == [b"v"] for key in keys)

    run(main)


def test_an_answer_that_is_cut_short_is_asked_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynkv.inbound.COPIES_BYTES", 3000)

    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 10)
        for key in keys[:9]:
            plant_large(c, "n2", key, 1000)
        plant_large(c, "n2", keys[9], 9000)  # more than an answer holds: alone in one
        moved = Moved()
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), moved) == 0
        assert moved.keys_pulled == 10
        assert 5 <= len(asked(c, ReadMany)) <= 7
        assert all(c.held_by("n1", key) is not None for key in keys)

    run(main)


def test_keys_that_moved_on_are_not_asked_about_and_cost_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynkv.inbound.COPIES_BYTES", 1)  # a copy an answer

    async def main() -> None:
        c, keys = held_by_the_peer_alone(12)
        differences = listed(c, keys)
        ours_moved, theirs_moved = keys[1::3], keys[2::3]
        for key in ours_moved:
            plant(c, "n1", key, b"here")
        for key in theirs_moved:
            plant(c, "n2", key, b"there")
        assert await reconciler(c).repair("n2", EVEN, differences, Moved()) == 8
        assert len(asked(c, ReadMany)) > 4
        assert all(c.held_by("n1", key) == [b"v"] for key in keys[::3])
        assert all(c.held_by("n1", key) == [b"here"] for key in ours_moved)
        assert all(c.held_by("n1", key) is None for key in theirs_moved)

    run(main)


def test_a_record_that_one_side_cannot_read_is_passed_over_alone() -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 9)
        for key in keys:
            plant(c, "n1", key, b"old")
            plant(c, "n2", key, b"new")
        differences = listed(c, keys)
        alter(c, "n1", keys[2])
        alter(c, "n2", keys[5])
        assert await reconciler(c).repair("n2", EVEN, differences, Moved()) == 2
        assert sum(c.held_by("n1", key) == [b"new", b"old"] for key in keys if key != keys[2]) == 7

    run(main)


def test_what_is_there_again_or_gone_since_is_passed_over() -> None:
    async def main() -> None:
        c = Cluster(3)
        missing_here, missing_there = keys_of(c, EVEN, 2)
        plant(c, "n2", missing_here, b"v")
        record = plant(c, "n1", missing_there, b"v")
        differences = listed(c, [missing_here, missing_there])
        remove(c, "n2", missing_here)
        c.nodes["n2"].replica.apply(BUCKET, missing_there, record)
        moved = Moved()
        assert await reconciler(c).repair("n2", EVEN, differences, moved) == 2
        assert moved == Moved()
        assert not asked(c, ApplyMany)

    run(main)


LIES = [
    "silence",
    "refusal",
    "another kind",
    "no copies",
    "copies of other keys too",
    "a record that does not match its digest",
    "another record",
    "no record",
    "nothing held",
    "unreadable",
    "not taken",
    "too few taken",
    "taken as another",
    "not merged",
]


def lies(c: Cluster, key: bytes) -> dict[str, tuple[type, Answer | Failure]]:
    """Answers that no honest peer gives, and failures, by what is wrong with them."""
    replica = c.nodes["n2"].replica
    copy = replica.read(EVEN, BUCKET, key)
    assert copy is not None
    flipped = copy.record[:-1] + bytes((copy.record[-1] ^ 1,))
    return {
        "silence": (ReadMany, Failure("timed out", True)),
        "refusal": (ReadMany, Failed("overloaded", "", False)),
        "another kind": (ReadMany, Absent(True)),
        "no copies": (ReadMany, Copies(())),
        "copies of other keys too": (ReadMany, Copies((Copy(copy.digest, copy.record),) * 9)),
        "a record that does not match its digest": (ReadMany, Copies((Copy(copy.digest, flipped),) * 2)),
        "another record": (ReadMany, Copies((Copy(records.digest(flipped), flipped),) * 2)),
        "no record": (ReadMany, Copies((Copy(copy.digest, b""),) * 2)),
        "nothing held": (ReadMany, Copies((Copy(b"", b""),) * 2)),
        "unreadable": (ReadMany, Copies((None, None))),
        "not taken": (ApplyMany, Failed("store failed", "", False)),
        "too few taken": (ApplyMany, AppliedMany((b"d",))),
        "taken as another": (ApplyMany, AppliedMany((b"d", b"d"))),
        "not merged": (ApplyMany, AppliedMany((b"", b""))),
    }


@pytest.mark.parametrize("what", LIES)
def test_what_a_peer_says_wrongly_is_not_taken_for_done(what: str) -> None:
    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 2)
        for key in keys:
            plant(c, "n1", key, b"ours")
            plant(c, "n2", key, b"theirs")
        kind, answer = lies(c, keys[0])[what]
        c.rule = lambda call: answer if type(call.message) is kind else None
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), Moved()) == 2
        taken = [b"ours", b"theirs"] if kind is ApplyMany else [b"ours"]
        assert all(c.held_by("n1", key) == taken for key in keys)
        assert all(c.held_by("n2", key) == [b"theirs"] for key in keys)

    run(main)


def test_after_a_failure_the_peer_is_not_asked_for_the_rest() -> None:
    async def main() -> None:
        c, keys = held_by_the_peer_alone(4 * TOGETHER)
        c.rule = lambda call: Failure("timed out", True)
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), Moved()) == len(keys)
        assert asked(c, ReadMany) == [TOGETHER]

    run(main)


def test_what_is_not_durable_here_is_not_done() -> None:
    async def main() -> None:
        c, keys = held_by_the_peer_alone(SYNCED_TOGETHER + TOGETHER)
        c.disks["n1"].sync_error = OSError(5, "EIO")
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), Moved()) == len(keys)
        assert sum(asked(c, ReadMany)) == SYNCED_TOGETHER

    run(main)


def test_what_became_durable_before_the_disk_failed_is_done() -> None:
    async def main() -> None:
        c, keys = held_by_the_peer_alone(SYNCED_TOGETHER + TOGETHER)

        def rule(call: Caller) -> Verdict:
            if isinstance(call.message, ReadMany) and len(asked(c, ReadMany)) * TOGETHER > SYNCED_TOGETHER:
                c.disks["n1"].sync_error = OSError(5, "EIO")
            return None

        c.rule = rule
        assert await reconciler(c).repair("n2", EVEN, listed(c, keys), Moved()) == TOGETHER

    run(main)


def test_it_keeps_to_its_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def pause(seconds: float) -> None:
        rests.append(seconds)

    async def main() -> None:
        c = Cluster(3)
        keys = keys_of(c, EVEN, 3 * TOGETHER)
        for key in keys:
            plant_large(c, "n2", key, 1000)
        monkeypatch.setattr(reconcile, "pause", pause)
        moved = Moved()
        slow = reconciler(c, Rate(Budget(1.0, 0), Budget(1e12, 0)))
        assert await slow.repair("n2", EVEN, listed(c, keys[:TOGETHER]), moved) == 0
        assert max(rests) > TOGETHER - 1
        rests.clear()
        slow = reconciler(c, Rate(Budget(1e12, 0), Budget(100.0, 0)))
        assert await slow.repair("n2", EVEN, listed(c, keys[TOGETHER:]), moved) == 0
        assert max(rests) > 2 * TOGETHER * 1000 / 100 - 1

    run(main)


@pytest.mark.parametrize(("clients", "urgent"), [(False, False), (True, False), (True, True)])
def test_beside_clients_it_asks_for_few_keys_at_a_time_and_rests_longer_unless_it_is_urgent(
    monkeypatch: pytest.MonkeyPatch, clients: bool, urgent: bool
) -> None:
    rests: list[float] = []

    async def pause(seconds: float) -> None:
        rests.append(seconds)

    async def main() -> None:
        c, keys = held_by_the_peer_alone(TOGETHER)
        monkeypatch.setattr(reconcile, "pause", pause)
        quick, slow = Rate(Budget(100.0, 0), Budget(1e12, 1e12)), Rate(Budget(1.0, 0), Budget(1e12, 1e12))
        mending = reconciler(c, quick, Yielding(lambda: clients, slow))
        differences = listed(c, keys)
        assert await mending.repair("n2", EVEN, differences, Moved(), urgent=urgent) == 0
        gently = clients and not urgent
        assert asked(c, ReadMany) == ([GENTLY] * (TOGETHER // GENTLY) if gently else [TOGETHER])
        # Nobody rests here, so debts add up.
        assert max(rests) == pytest.approx(TOGETHER / (1.0 if gently else 100.0), abs=0.05)
        assert quick.records.spend(0, 1e-9) <= TOGETHER / 100  # what is urgent is kept waiting by no more than this

    run(main)


def test_it_rests_once_more_when_the_loop_is_late_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    class LateClock:
        time = 0.0

        def now(self) -> float:
            return self.time

        def wall_ms(self) -> int:
            return 0

    async def main() -> None:
        c = Cluster(3)
        (key,) = keys_of(c, EVEN, 1)
        plant(c, "n2", key, b"v")
        node, clock = c.nodes["n1"], LateClock()

        async def pause(seconds: float) -> None:
            rests.append(round(seconds, 3))
            clock.time += seconds + 0.01

        monkeypatch.setattr(reconcile, "pause", pause)
        rate = Rate(Budget(1.0, 0), Budget(1e12, 0))
        mending = Reconciler(node.replica, node.wire, clock, node.convergence, rate)
        assert await mending.repair("n2", EVEN, listed(c, [key]), Moved()) == 0
        assert rests == [1.0, 0.04, 0.0, 0.04]

    run(main)


# --- the side that is asked -------------------------------------------------------------------------------------------


def told(c: Cluster, *keys: tuple[str, bytes]) -> Answer:
    answers: list[Answer] = []
    c.nodes["n2"].inbound.handle("n1", ReadMany(keys), 1e9, answers.append)
    (answer,) = answers
    return answer


def test_copies_come_in_the_order_asked_as_many_as_fit() -> None:
    async def main() -> None:
        c = Cluster(3)
        record = plant(c, "n2", b"k", b"v")
        damaged = b"damaged"
        plant(c, "n2", damaged, b"v")
        alter(c, "n2", damaged)
        k = Copy(records.digest(record), record)
        assert told(c, (BUCKET, b"none"), (BUCKET, damaged), (BUCKET, b"k"), ("other", b"k")) == Copies(
            (Copy(b"", b""), None, k, Copy(b"", b""))
        )
        plant_large(c, "n2", b"large", COPIES_BYTES)
        for keys, count in (((b"large", b"k"), 1), ((b"k", b"large"), 1), ((b"k",) * READ_MAX, READ_MAX)):
            answer = told(c, *((BUCKET, key) for key in keys))
            assert isinstance(answer, Copies)
            assert len(answer.copies) == count
        refused = told(c, (BUCKET, b"k"), ("\u00e9", b"k"))
        assert isinstance(refused, Failed)
        assert refused.code == "bad request"

    run(main)


def test_reading_many_keeps_none_of_them_in_memory() -> None:
    async def main() -> None:
        c = Cluster(3)
        plant(c, "n2", b"k", b"v")
        node = c.nodes["n2"]
        node.replica._cache.clear()
        told(c, (BUCKET, b"k"))
        stored_key = record_key(node.replica.partition(BUCKET, b"k"), BUCKET, b"k")
        assert node.replica._cache.get(stored_key) is None

    run(main)
