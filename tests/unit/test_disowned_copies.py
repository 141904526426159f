"""A node whose directory is an old copy sets it aside: once it knows, it acknowledges nothing that is written there."""

from tests.unit.cluster_in_memory import Cluster, run

KEY = b"k"


def test_what_is_about_to_be_set_aside_counts_for_nobodys_w() -> None:
    async def test() -> None:
        c = Cluster()
        first, second, third = c.plan(KEY).primaries
        c.nodes[first].replica.disown("an old copy")
        by_itself = await c.put(first, KEY, b"1")
        assert by_itself.replicas[first] != "ok"
        assert by_itself.replicas[second] == by_itself.replicas[third] == "ok"
        by_another = await c.put(second, KEY, b"2", levels=c.levels(w=2))
        assert by_another.replicas.get(first, "") != "ok"
        assert by_another.replicas[third] == "ok"

    run(test)
