"""A record that turns out to be damaged on the disk while a sound copy of it is in memory."""

import pytest

from dynkv.core.errors import DamagedRecord
from dynkv.peer.messages import Apply, Failed
from dynkv.storage.keys import record_key
from tests.unit.cluster_in_memory import BUCKET, Cluster, run
from tests.unit.menders import keys_of, menders

EVEN = 4


def test_what_was_found_damaged_is_not_acknowledged_from_memory() -> None:
    async def main() -> None:
        c = Cluster(3)
        (key,) = keys_of(c, EVEN, 1)
        await c.put("n1", key, b"v", levels=c.levels(w=3))
        m = await menders(c)
        node = c.nodes["n1"]
        copy = node.replica.read(EVEN, BUCKET, key)
        assert copy is not None
        stored_key = record_key(EVEN, BUCKET, key)
        stored = node.store.get(stored_key)
        assert stored is not None
        node.store.write(((stored_key, stored[:-1] + bytes((stored[-1] ^ 1,))),))
        assert c.held_by("n1", key) == [b"v"], "it is still in memory"
        await m["n1"].scrub_all()
        with pytest.raises(DamagedRecord):
            c.held_by("n1", key)
        answers: list[object] = []
        node.inbound.handle("n2", Apply(BUCKET, key, copy.record, ""), 1e9, answers.append)
        assert [type(answer) for answer in answers] == [Failed]

    run(main)
