"""Any run of writes, reads, scans, clean stops and starts: both stores say what a plain dict says."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.runtime import SystemClock
from dynkv.storage.base import Store
from dynkv.storage.memory import MemoryDisk, MemoryStore
from dynkv.storage.rocks import RocksStore
from tests.unit.storage_forms import SMALL

KEYS = st.sampled_from([b"", b"\x00", b"a", b"a\x00", b"a\xff", b"b", b"ba", b"\xff", b"\xff\xff"])
BATCHES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=3)), max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), BATCHES),
        st.tuples(st.just("scan"), st.tuples(KEYS, KEYS, st.integers(1, 4))),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["rocks", "memory"])
def test_stores_agree_with_a_dict(kind: str) -> None:
    @settings(max_examples=60 if kind == "rocks" else 300, deadline=None)
    @given(STEPS)
    def holds(steps: list[tuple[str, object]]) -> None:
        with tempfile.TemporaryDirectory() as path:
            asyncio.run(_run(kind, Path(path) / "db", steps))

    holds()


async def _run(kind: str, path: Path, steps: list[tuple[str, object]]) -> None:
    disk = MemoryDisk()

    def start() -> Store:
        if kind == "memory":
            return MemoryStore(disk, "synced", clock=SystemClock(), renew=lambda _: None)
        return RocksStore.open(
            path, "synced", create=not path.exists(), clock=SystemClock(), renew=lambda _: None, tuning=SMALL
        )

    store = start()
    model: dict[bytes, bytes] = {}
    for step in steps:
        match step:
            case ("write", list(changes)):
                store.write(changes)
                for key, value in changes:
                    if value is None:
                        model.pop(key, None)
                    else:
                        model[key] = value
            case ("scan", (bytes(first), bytes(end), int(limit))):
                expected = sorted(pair for pair in model.items() if first <= pair[0] < end)[:limit]
                assert store.scan(first, end, limit) == expected
            case _:
                await store.close()
                store = start()
        assert store.get(b"a") == model.get(b"a")
    assert store.scan(b"", b"\xff\xff\xff", 100) == sorted(model.items())
    await store.close()
