"""The end of a run: wait until the replicas say that they agree, then read everything from every node.

Reading repairs, so whoever reads first to see whether all is well has changed it. What the nodes say is asked first.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from dynkv.check.history import Op
from dynkv.cli import agreement
from dynkv.cli.call import answers, call
from dynkv.cli.checking.places import Place
from dynkv.cli.checking.recorder import Recorder
from dynkv.cli.checking.workloads import Workload
from dynkv.cli.failure import Failure
from dynkv.client.errors import ClientError
from dynkv.client.requests import Level

CONVERGE_S = 60.0
POLL_S = 0.1
RUN_AGAIN_S = 5.0
PART = 500
ATTEMPTS = 5
LEVELS: tuple[Level, ...] = (1, "all")


def wait_converged(urls: Mapping[str, str], limit_s: float = CONVERGE_S) -> str:
    """Until all nodes are ready, nothing is owed, and all replicas have been compared since and agree; "" then, else
    what was the matter when the time was over."""
    deadline = time.monotonic() + limit_s
    why = ""
    for still in (_not_ready, _owing):
        while why := still(urls):
            if time.monotonic() > deadline:
                return why
            time.sleep(POLL_S)
    url = next(iter(urls.values()))
    since_ms = time.time_ns() // 1_000_000
    compared = 0.0
    while True:
        if time.monotonic() - compared > RUN_AGAIN_S:
            compared = time.monotonic()
            _compare(url)
        why = _differing(url, since_ms)
        if not why or time.monotonic() > deadline:
            return why
        time.sleep(POLL_S)


def _not_ready(urls: Mapping[str, str]) -> str:
    waiting = [node for node, url in urls.items() if not answers(url, "/health/ready")]
    return f"not ready: {', '.join(waiting)}" if waiting else ""


def _owing(urls: Mapping[str, str]) -> str:
    owed = []
    for node, url in urls.items():
        try:
            targets = call(url, "GET", "/hints", timeout_s=5.0).json()["targets"]
        except Failure as failure:
            return str(failure)
        owed += [f"{node} owes {target} {hints['count']}" for target, hints in targets.items() if hints["count"]]
    return f"hints not paid: {', '.join(owed)}" if owed else ""


def _compare(url: str) -> None:
    try:
        agreement.run(url, None, None)
    except Failure:
        pass  # the next look says what is the matter


def _differing(url: str, since_ms: int) -> str:
    try:
        view = agreement.overview(agreement.look(url))
    except Failure as failure:
        return str(failure)
    verdict = view.verdict
    if verdict.state == "nothing" or (verdict.state == "agree" and (verdict.as_of_ms or 0) >= since_ms):
        return ""
    return f"the replicas do not say that they agree: {verdict.state}"


async def read_all(workload: Workload, places: Sequence[Place], recorder: Recorder) -> None:
    """Read every key from every node, from one replica and from all."""
    keys = workload.keys
    for place in places:
        for level in LEVELS:
            for at in range(0, len(keys), PART):
                await _read(workload, place, level, keys[at : at + PART], recorder)


async def _read(workload: Workload, place: Place, level: Level, keys: list[str], recorder: Recorder) -> None:
    left = keys
    for attempt in range(ATTEMPTS):
        invoke = recorder.time()
        results = await workload.last(place, left, level)
        end, failed = recorder.time(), []
        for key, result in zip(left, results, strict=True):
            op = Op(-1, "final", key, invoke, node=place.node, level=str(level))
            if not isinstance(result, ClientError):
                recorder.ops.append(replace(op, ok=end, saw=result))
            elif attempt + 1 < ATTEMPTS:
                failed.append(key)
            else:
                recorder.ops.append(replace(op, fail=end, error=str(result)[:300]))
        left = failed
        if not left:
            return
        await asyncio.sleep(POLL_S * 2**attempt)
