"""The second half of `dynkv bench --client`: many keys imported, and then listed, at one go.

The import is what `dynkv import` does, of a file made for it. The listing is one streamed answer, read line by line;
the memory of every node is watched meanwhile, and what counts is how far it rose above what the node had just before.
"""

import asyncio
import http.client
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dynkv.cli.call import authorization, call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.transfer import Silent, import_bucket, line_of
from dynkv.runtime import Random

LINES_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1
MEMORY = b"dynkv_resident_memory_bytes "
MIB = 1024 * 1024


class Listed(msgspec.Struct, frozen=True):
    """keys_per_s: of one streamed listing. memory_mb: by node's URL, just before; above_mb: the most that a node rose
    above that while it went on."""

    keys_per_s: float
    memory_mb: dict[str, float]
    above_mb: float


async def imported(url: str, token: str, bucket: str, keys: int, size: int, random: Random) -> float:
    """Keys a second that `dynkv import` writes into an empty bucket, of text values of so many bytes. Failure."""
    with tempfile.TemporaryDirectory(prefix="dynkv-bench-") as folder:
        file = Path(folder) / "keys.jsonl"
        with file.open("wb") as out:
            text = random.token(size // 2 + 1).hex()[:size].encode()
            out.writelines(line_of(b"key-%08d" % number, [("text/plain", text)]) for number in range(keys))
        began = time.perf_counter()
        await import_bucket(url, token, bucket, file, resume=False, bar=Silent())
        return keys / (time.perf_counter() - began)


async def listed(urls: Sequence[str], bucket: str, keys: int) -> Listed:
    """What a listing of them all costs the nodes. Failure if it does not have this many keys."""
    return await asyncio.to_thread(_listed, list(urls), bucket, keys)


def _listed(urls: list[str], bucket: str, keys: int) -> Listed:
    before = {url: _memory_mb(url) for url in urls}
    most = dict(before)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(LOOK_EVERY_S):
            for url in urls:
                most[url] = max(most[url], _memory_mb(url))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        began = time.perf_counter()
        found = _lines(urls[0], bucket)
        seconds = time.perf_counter() - began
    finally:
        stop.set()
        watcher.join()
    if found != keys:
        raise Failure(Exit.NO, f"{keys:,} keys were imported, and the listing has {found:,}")
    above = max(most[url] - before[url] for url in urls)
    return Listed(round(keys / seconds, 1), before, round(above, 1))


def _lines(url: str, bucket: str) -> int:
    """How many keys the listing has. Failure if it is not whole."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=LINES_TIMEOUT_S)
    try:
        connection.request("GET", f"/kv/{bucket}", headers={"Accept": "application/x-ndjson", **authorization()})
        response = connection.getresponse()
        if response.status != 200:
            raise Failure(Exit.UNAVAILABLE, f"the listing was answered with {response.status}")
        count, last = -1, b""  # the last line is no key: it says how the listing ended
        for line in response:
            count, last = count + 1, line
    except (OSError, http.client.HTTPException) as error:
        raise Failure(Exit.UNAVAILABLE, f"the listing broke off: {error!r}") from error
    finally:
        connection.close()
    if not msgspec.json.decode(last).get("complete"):
        raise Failure(Exit.UNAVAILABLE, f"the listing is not complete: {last[:200]!r}")
    return count


def _memory_mb(url: str) -> float:
    for line in call(url, "GET", "/metrics").body.splitlines():
        if line.startswith(MEMORY):
            return round(float(line.removeprefix(MEMORY)) / MIB, 1)
    raise Failure(Exit.UNAVAILABLE, f"{url}/metrics does not tell the node's memory")
