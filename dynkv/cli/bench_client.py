"""`dynkv bench --client`: what the Python client gives, one request a key and many keys a request, in one run; then
what an import gives, and a listing of all that it wrote.

One process, one event loop, as a program that uses the client. Single requests are asked by so many tasks as there are
connections, batches by a few. Rates are of keys.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from dynkv.cli.bench_transfer import Listed, imported, listed
from dynkv.cli.options import Output
from dynkv.cli.settings import TOKEN_ENV
from dynkv.cli.throwaway import ThrowawayCluster
from dynkv.runtime import SystemRandom

BATCH_KEYS = 100
BATCHES_AT_ONCE = 4


class ClientRun(msgspec.Struct, frozen=True):
    """One way of asking: keys a second, and that rate over the rate of single requests of the same kind."""

    name: str
    keys_per_s: float
    ratio: float


class ClientResult(msgspec.Struct, frozen=True):
    """All of them."""

    targets: list[str]
    connections: int
    value_bytes: int
    import_keys: int
    runs: list[ClientRun]
    listing: Listed


class Asked(NamedTuple):
    """seconds: of each rate. connections: single requests at once. size: bytes of a value. import_keys: how many are
    imported and listed."""

    seconds: float
    connections: int
    size: int
    import_keys: int


def run(urls: Sequence[str], nodes: int, durability: str, asked: Asked) -> ClientResult:
    """Measure the cluster at `urls`, or one of our own."""
    if urls:
        return asyncio.run(_measure(list(urls), asked))
    with ThrowawayCluster(nodes, ["--durability", durability]) as cluster:
        own = [f"http://{target}" for target in cluster.targets.values()]
        return asyncio.run(_measure(own, asked))


async def _measure(urls: list[str], asked: Asked) -> ClientResult:
    from dynkv.client import AsyncClient

    seconds, connections, size, import_keys = asked
    random = SystemRandom()
    value, prefix, bucket = random.token(size), random.token(4).hex(), "bench"
    token = os.environ.get(TOKEN_ENV, "")
    async with AsyncClient(urls, token=token) as client:
        count = 0

        def fresh(keys: int) -> list[str]:
            nonlocal count
            count += keys
            return [f"{prefix}-{number}" for number in range(count - keys, count)]

        async def put() -> int:
            await client.put(bucket, fresh(1)[0], value)
            return 1

        async def put_many() -> int:
            await client.put_many(bucket, dict.fromkeys(fresh(BATCH_KEYS), value))
            return BATCH_KEYS

        async def get() -> int:
            await client.get(bucket, f"{prefix}-{random.u64() % count}")
            return 1

        async def get_many() -> int:
            await client.get_many(bucket, [f"{prefix}-{random.u64() % count}" for _ in range(BATCH_KEYS)])
            return BATCH_KEYS

        runs: list[ClientRun] = []
        for single, many in ((put, put_many), (get, get_many)):
            alone = await _rate(single, seconds, connections)
            together = await _rate(many, seconds, BATCHES_AT_ONCE)
            runs.append(ClientRun(single.__name__, round(alone, 1), 1.0))
            runs.append(ClientRun(f"{many.__name__} of {BATCH_KEYS}", round(together, 1), round(together / alone, 2)))
    own = f"{bucket}-{prefix}"
    rate = await imported(urls[0], token, own, import_keys, size, random)
    runs.insert(2, ClientRun(f"import of {import_keys:,}", round(rate, 1), round(rate / runs[0].keys_per_s, 2)))
    return ClientResult(urls, connections, size, import_keys, runs, await listed(urls, own, import_keys))


async def _rate(ask: Callable[[], Awaitable[int]], seconds: float, tasks: int) -> float:
    """Keys a second that so many tasks get done, each asking again as soon as it was answered."""
    await ask()
    began = time.perf_counter()

    async def worker() -> int:
        keys = 0
        while time.perf_counter() - began < seconds:
            keys += await ask()
        return keys

    done = await asyncio.gather(*(worker() for _ in range(tasks)))
    return sum(done) / (time.perf_counter() - began)


def write(result: ClientResult, output: Output) -> None:
    """One JSON object, or a table, to standard output."""
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "keys/s", "to single"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for run in result.runs:
        table.add_row(run.name, f"{run.keys_per_s:,.0f}", f"{run.ratio:.2f}")
    console = Console(highlight=False)
    console.print(
        f"Python client, one process; values of {result.value_bytes} bytes; {result.connections} requests at once"
    )
    console.print(table)
    listing = result.listing
    console.print(
        f"\nA listing of {result.import_keys:,} keys: {listing.keys_per_s:,.0f} keys/s; "
        f"no node rose more than {listing.above_mb:.1f} MB above what it had before"
    )
