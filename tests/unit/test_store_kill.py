"""kill -9 in the middle of writes, again and again: every acknowledged write is there, and the start is never refused.

The child says "SYNCED n" once the n-th batch is durable; what it said before it died must be found. Its memtables are
small, so it dies in the middle of table files being written and merged too.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from dynkv.runtime import SystemClock
from dynkv.storage.rocks import RocksStore, Tuning

TUNING = Tuning(memtable_bytes=64 << 10, cache_bytes=1 << 20)
ROUNDS = 6

CHILD = """
import asyncio, sys
from pathlib import Path
from dynkv.runtime import SystemClock
from dynkv.storage.rocks import RocksStore
from tests.unit.test_store_kill import TUNING, batch

async def main():
    path, number = Path(sys.argv[1]), int(sys.argv[2])
    store = RocksStore.open(
        path, "synced", create=not path.exists(), clock=SystemClock(), renew=lambda _: None, tuning=TUNING
    )
    while True:
        futures = []
        for _ in range(8):
            number += 1
            store.write(batch(number))
            futures.append(asyncio.get_running_loop().create_future())
            store.when_durable(futures[-1].set_result)
        for future in futures:
            assert await future is None
        print("SYNCED", number, flush=True)

asyncio.run(main())
"""


def batch(number: int) -> list[tuple[bytes, bytes | None]]:
    """The changes of the `number`-th write: a record, a marker beside it, and now and then an old record deleted."""
    changes: list[tuple[bytes, bytes | None]] = [
        (b"record%08d" % number, b"%d," % number * 100),
        (b"marker%08d" % number, b"%d" % number),
    ]
    if number % 4 == 0:
        changes.append((b"marker%08d" % (number - 3), None))
    return changes


def _check(path: Path, synced: int) -> None:
    async def main() -> None:
        store = RocksStore.open(path, "synced", create=False, clock=SystemClock(), renew=lambda _: None, tuning=TUNING)
        expected: dict[bytes, bytes | None] = {}
        for number in range(1, synced + 1):
            expected.update(batch(number))
        wrong = [key for key, value in expected.items() if store.get(key) != value]
        # Batches after the last acknowledgement may be there, whole: one of them may delete a marker from before it.
        later = [key for number in range(synced + 1, synced + 40) for key, value in batch(number) if value is None]
        assert [key for key in wrong if key not in later] == []
        assert store.get(b"record%08d" % (synced + 1_000)) is None
        await store.close()

    asyncio.run(main())


def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "db"
    synced = 0
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", CHILD, str(path), str(synced)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(40):
            said = child.stdout.readline()
            assert said.startswith("SYNCED"), "the child ended by itself"
            synced = int(said.split()[1])
        child.kill()
        for said in child.stdout.read().splitlines(keepends=True):
            if said.endswith("\n"):
                synced = int(said.split()[1])
        child.stdout.close()
        child.wait()
        _check(path, synced)
