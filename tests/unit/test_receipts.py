"""Receipts: which replicas have a write, durably, asked by its dot."""

from dynkv.coordinator.results import Receipt
from dynkv.peer.messages import Read
from tests.unit.cluster_in_memory import BUCKET, HOLD, Cluster, run
from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import RawClient

KEY = b"k"


async def asked(c: Cluster, at: str, dot: tuple[int, int], timeout_s: float = 1.0, enough: int = 3) -> Receipt:
    receipt = await c.nodes[at].coordinator.receipt(BUCKET, KEY, 3, dot, timeout_s, enough)
    return Receipt(sorted(receipt.have), sorted(receipt.lack), receipt.unknown)


def test_who_has_it_who_lacks_it_and_who_did_not_say() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.away = {"n3"}
        written = await c.put("n1", KEY, b"v")
        dot = (written.actor, written.counter)
        for at in ("n1", "n2"):
            assert await asked(c, at, dot) == Receipt(["n1", "n2"], [], {"n3": "unreachable"})
        c.away = set()
        for at in c.names:
            assert await asked(c, at, dot) == Receipt(["n1", "n2"], ["n3"], {})
        assert c.held_by("n3", KEY) is None, "looking heals nothing"
        await c.pay()
        assert await asked(c, "n2", dot) == Receipt(["n1", "n2", "n3"], [], {})

    run(main)


def test_who_knows_what_has_replaced_it_has_it() -> None:
    async def main() -> None:
        c = Cluster(3)
        written = await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        dot = (written.actor, written.counter)
        c.away = {"n3"}
        await c.put("n1", KEY, None, context=written.context)
        c.away = set()
        assert await asked(c, "n2", dot) == Receipt(["n1", "n2", "n3"], [], {})
        assert await asked(c, "n2", (dot[0], dot[1] + 1)) == Receipt(["n1", "n2"], ["n3"], {})
        assert await asked(c, "n2", (1, 1)) == Receipt([], ["n1", "n2", "n3"], {})

    run(main)


def test_any_node_can_be_asked_and_fallbacks_are_not_counted() -> None:
    async def main() -> None:
        c = Cluster(4)
        plan = c.plan(KEY)
        (stranger,) = plan.fallbacks
        c.away = {plan.primaries[2]}
        written = await c.put(plan.primaries[0], KEY, b"v", levels=c.levels(w=3))
        assert stranger in c.holders(KEY)
        c.away = set()
        c.calls.clear()
        receipt = await asked(c, stranger, (written.actor, written.counter))
        assert receipt == Receipt(sorted(plan.primaries[:2]), [plan.primaries[2]], {})
        full = [call for call in c.calls if isinstance(call.message, Read) and call.message.full]
        assert len(full) == 1, "one record is looked at, the others tell their digests"

    run(main)


def test_different_records_are_each_looked_at() -> None:
    async def main() -> None:
        c = Cluster(3)
        c.away = {"n2", "n3"}
        written = await c.put("n1", KEY, b"a", levels=c.levels(w=1))
        c.away = {"n1", "n3"}
        await c.put("n2", KEY, b"b", levels=c.levels(w=1))
        c.away = set()
        for at in c.names:
            assert await asked(c, at, (written.actor, written.counter)) == Receipt(["n1"], ["n2", "n3"], {})

    run(main)


def test_what_is_not_durable_is_not_had() -> None:
    async def main() -> None:
        c = Cluster(3)
        written = await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        c.disks["n2"].sync_seconds = c.disks["n1"].sync_seconds = 0.3
        more = c.nodes["n2"].replica, c.nodes["n1"].replica
        copy = more[0].read(c.plan(KEY).partition, BUCKET, KEY)
        assert copy is not None
        for replica in more:
            replica.apply(BUCKET, b"other key, same log", copy.record)
        receipt = await asked(c, "n1", (written.actor, written.counter), timeout_s=0.1)
        assert receipt == Receipt(["n3"], [], {"n1": "no answer yet", "n2": "no answer yet"})
        assert (await asked(c, "n1", (written.actor, written.counter))).have == ["n1", "n2", "n3"]

    run(main)


def test_a_failed_sync_and_a_hanging_node_are_unknown() -> None:
    async def main() -> None:
        c = Cluster(3)
        written = await c.put("n1", KEY, b"v", levels=c.levels(w=3))
        dot = (written.actor, written.counter)
        c.rule = lambda call: HOLD if call.target == "n3" else None
        receipt = await asked(c, "n1", dot, timeout_s=0.05)
        assert receipt == Receipt(["n1", "n2"], [], {"n3": "no answer yet"})
        clock = c.nodes["n1"].clock
        began = clock.now()
        assert (await asked(c, "n1", dot, timeout_s=5.0, enough=2)).have == ["n1", "n2"]
        assert clock.now() - began < 1, "who has asked for two does not wait for the third"

    run(main)


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_http() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        dot = (await client.ask("PUT", "/kv/b/a%2Fb", b"v")).fields["dynkv-dot"]
        first = await client.ask("GET", f"/kv/b/a%2Fb?receipt={dot}")
        assert first.status == 200
        assert first.json() == {
            "bucket": "b",
            "key": "a%2Fb",
            "dot": dot,
            "n": 3,
            "wait_for": 3,
            "replicated": False,
            "have": ["n1"],
            "lack": ["n2"],
            "unknown": {"n3": "unreachable"},
        }
        waited = await client.ask("GET", f"/kv/b/a%2Fb?receipt={dot}&wait=5000")
        assert waited.json()["replicated"]
        assert waited.json()["have"] == ["n1", "n2", "n3"]
        assert node.coordinator.inquiries == 3
        quorum = await client.ask("GET", f"/kv/b/a%2Fb?receipt={dot}&wait_for=quorum&timeout=100")
        assert quorum.json()["replicated"]
        assert quorum.json()["wait_for"] == 2
        nobody = await client.ask("GET", "/kv/b/none?receipt=00000000000000a1-7&wait=20&wait_for=1")
        assert (nobody.status, nobody.json()["replicated"], nobody.json()["have"]) == (200, False, [])

    play(story)


def test_http_refuses() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        dot = "00000000000000a1-1"
        digits = "999999999999999"  # beyond what a counter may be
        bad = {
            "receipt": (
                "",
                "x",
                "a1-1",
                dot.upper(),
                dot + "0" * 16,
                f"{dot[:-1]}0",
                f"{'0' * 16}-1",
                dot[:-1] + digits,
            ),
            "wait": (f"{dot}&wait=x", f"{dot}&wait=60001", f"{dot}&wait=-1"),
            "wait_for": (f"{dot}&wait_for=0", f"{dot}&wait_for=4", f"{dot}&wait_for=some"),
            "timeout": (f"{dot}&timeout=0",),
            "r": (f"{dot}&r=2",),
        }
        for field, queries in bad.items():
            for query in queries:
                answer = await client.ask("GET", f"/kv/b/k?receipt={query}")
                assert (answer.status, answer.kind) == (400, "bad-parameter"), query
                assert answer.json()["field"] == field, query
        assert (await client.ask("GET", f"/kv/b/k?xreceipt={dot}")).status == 400
        assert (await client.ask("PUT", f"/kv/b/k?receipt={dot}", b"v")).status == 400
        assert (await client.ask("GET", f"/kv/b/k?receipt={dot}", b"body")).status == 400

    play(story)
