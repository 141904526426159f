"""What happens in a check, in order.

start      a cluster of our own that harm can be done to, or the one at the given URLs
work       the clients, each one operation at a time, and beside them the nemesis
heal       every fault is undone by the nemesis itself; wait until the replicas say that they agree
read       every key from every node, at r=1 and from all
decide     from the history, and write all down
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import uvloop

import dynkv
from dynkv.check.chances import KINDS, plan
from dynkv.check.history import BadHistory, Head, History, read
from dynkv.check.report import page
from dynkv.check.verdict import Verdict, decide
from dynkv.cli.checking.finals import read_all, wait_converged
from dynkv.cli.checking.nemesis import Nemesis
from dynkv.cli.checking.places import Places
from dynkv.cli.checking.recorder import Recorder
from dynkv.cli.checking.workloads import WORKLOADS, Workload
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.greeting import greet
from dynkv.cli.throwaway import ThrowawayCluster
from dynkv.runtime import SeededRandom

# Of a cluster of our own: comparing everything takes seconds instead of a minute.
OPTIONS = ("--partitions=64", "--set=antientropy.cycle_s=5")
REPORT_EVERY_S = 5.0


class Asked(msgspec.Struct, frozen=True):
    """What is to be run. rate: turns in a second, of all clients together."""

    workload: str
    seed: str
    faults: tuple[str, ...]
    seconds: float
    nodes: int
    urls: tuple[str, ...]
    clients: int
    rate: float
    out: Path


Say = Callable[[str], None]


def run(asked: Asked, say: Say) -> tuple[History, Verdict]:
    """Run it all, and write down what came of it. Failure."""
    if asked.urls:
        # A history of nothing but refused connections would read as a cluster that broke its word.
        greet(asked.urls)
        urls = {url.removeprefix("http://"): url for url in asked.urls}
        history = _work(asked, urls, None, say)
    else:
        say(f"starting {asked.nodes} nodes")
        with ThrowawayCluster(asked.nodes, OPTIONS, chaos_seed=f"{asked.seed} network") as cluster:
            try:
                urls = {node: f"http://{target}" for node, target in cluster.targets.items()}
                history = _work(asked, urls, cluster, say)
            finally:
                _keep_logs(cluster, asked.out)
    return history, conclude(history, asked.out)


def conclude(history: History, out: Path) -> Verdict:
    """Decide, and write history and report."""
    verdict = decide(history)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "history.jsonl").open("wb") as file:
        file.writelines(history.lines())
    (out / "report.html").write_text(page(history, verdict))
    return verdict


def reread(file: Path) -> History:
    """A history that was written before. Failure."""
    try:
        with file.open("rb") as lines:
            return read(lines)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{file}: {error.strerror}") from error
    except BadHistory as error:
        raise Failure(Exit.USAGE, f"{file}: {error}") from error


def _keep_logs(cluster: ThrowawayCluster, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for log in cluster.directory.glob("*.log"):
        shutil.copy(log, out / log.name)


def _work(asked: Asked, urls: Mapping[str, str], cluster: ThrowawayCluster | None, say: Say) -> History:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Story(asked, urls, cluster, say).tell())


class _Story:
    def __init__(self, asked: Asked, urls: Mapping[str, str], cluster: ThrowawayCluster | None, say: Say) -> None:
        self._asked = asked
        self._urls = urls
        self._cluster = cluster
        self._say = say
        self._recorder = Recorder()

    async def tell(self) -> History:
        asked, recorder = self._asked, self._recorder
        random = SeededRandom(asked.seed)
        bucket = f"check-{asked.workload}-{random.token(4).hex()}"
        notes: list[str] = []
        async with Places(self._urls, random) as places:
            workload = WORKLOADS[asked.workload](bucket, recorder, places, random)
            self._say(f"{asked.clients} clients in bucket {bucket}; seed {asked.seed}")
            broken = await self._harm(workload)
            seconds = recorder.time()
            self._say("all is healed; waiting until the replicas agree")
            converged = await asyncio.to_thread(wait_converged, self._urls)
            if broken:
                converged = "; ".join([*broken, converged]).removesuffix("; ")
            self._say(f"reading {len(workload.keys):,} keys from every node")
            await read_all(workload, places.pinned, recorder)
            if self._cluster is None:
                notes.append(f"bucket {bucket} was left as it is")
        head = Head(
            asked.workload,
            asked.seed,
            tuple(self._urls),
            asked.faults,
            round(seconds, 3),
            asked.workload != "session",
            converged,
            dynkv.__version__,
            tuple(notes),
        )
        recorder.ops.sort(key=lambda op: op.end)
        recorder.faults.sort(key=lambda fault: fault.begin)
        return History(head, recorder.ops, recorder.faults)

    async def _harm(self, workload: Workload) -> list[str]:
        """Clients and nemesis side by side; what the nemesis could not bring back."""
        asked = self._asked
        ends = time.monotonic() + asked.seconds
        clients = [self._client(workload, process, ends) for process in range(asked.clients)]
        if self._cluster is None:
            await asyncio.gather(*clients, self._tell_of_it(ends))
            return []
        nemesis = Nemesis(
            self._cluster, self._recorder, lambda text: self._say(f"{self._recorder.time():5.1f} s  {text}")
        )
        chance = SeededRandom(f"{asked.seed} faults")
        planned = plan(asked.faults, list(self._urls), asked.seconds, chance.uniform)
        await asyncio.gather(*clients, nemesis.run(planned), self._tell_of_it(ends))
        return nemesis.broken

    async def _client(self, workload: Workload, process: int, ends: float) -> None:
        """Turns at an even pace; one that took too long is not made up for."""
        pace = self._asked.clients / self._asked.rate
        await asyncio.sleep(pace * process / self._asked.clients)
        while (began := time.monotonic()) < ends:
            await workload.step(process)
            await asyncio.sleep(max(0.0, began + pace - time.monotonic()))

    async def _tell_of_it(self, ends: float) -> None:
        while time.monotonic() + REPORT_EVERY_S < ends:
            await asyncio.sleep(REPORT_EVERY_S)
            ops = self._recorder.ops
            done, doubtful = sum(op.ok is not None for op in ops), sum(op.info is not None for op in ops)
            self._say(f"{self._recorder.time():5.1f} s  {done:,} operations answered, {doubtful:,} in doubt")


def faults_of(text: str) -> tuple[str, ...]:
    """`kill,pause`; `all`; or nothing. Failure."""
    kinds = tuple(dict.fromkeys(kind.strip() for kind in text.split(",") if kind.strip()))
    if kinds == ("all",):
        return KINDS
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise Failure(Exit.USAGE, f"--faults: there is no {wrong[0]!r}; there are {', '.join(KINDS)}, or all")
    return kinds


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


__all__: Sequence[str] = ("Asked", "conclude", "faults_of", "reread", "run", "to_stderr")
