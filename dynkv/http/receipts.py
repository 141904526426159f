"""`GET /kv/{bucket}/{key}?receipt=DOT`: which replicas have the write with this dot, the `Dynkv-Dot` of its answer.

    GET /kv/{bucket}/{key}?receipt=DOT&wait=MS&wait_for=K&timeout=MS

    wait       0..60000 ms: until K replicas have it, but no longer; left out: not at all
    wait_for   1..n, quorum, all: K; left out: all
    timeout    how long to wait for what each replica says; left out: 5000, or 500 while it waits for more to have it

    {"bucket", "key": percent-encoded, "dot", "n": 3, "wait_for": 3, "replicated": false,
     "have": ["n1", "n2"], "lack": [], "unknown": {"n3": "unreachable"}}

`have`: primaries that know the write, durably: its value is there, or was overwritten or deleted by who had seen it.
`replicated`: whether there are `wait_for` of them. It is 200 also if not. A primary that lacks it may have a stand-in
that owes it. Looking heals nothing. A dot that was never given, and the write of a key long deleted and reaped, nobody
has.
"""

import re
from typing import Any
from urllib.parse import quote

from dynkv.coordinator.results import Coordinator, Receipt
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter
from dynkv.core.levels import TIMEOUT_MS_MAX, resolve
from dynkv.core.record import COUNTER_MAX
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import Request
from dynkv.http.values import dot as dot_text
from dynkv.http.view import NodeView
from dynkv.runtime import pause

PARAMETER = "receipt"
PARAMETERS = (PARAMETER, "wait", "wait_for", "timeout")
DOT = re.compile(r"([0-9a-f]{16})-([1-9][0-9]{0,14})\Z")
LOOK_S = 0.5
PAUSE_S = (0.01, 0.25)


class ReceiptRoute:
    """The third thing that a GET of a key may ask for."""

    def __init__(self, view: NodeView, coordinator: Coordinator) -> None:
        self._view = view
        self._coordinator = coordinator

    async def get(self, request: Request, bucket: str, key: bytes, query: str) -> Reply:
        """BadParameter, ServiceError."""
        found = parameters(query, PARAMETERS)
        dot = _dot(found.pop(PARAMETER))
        wait_s = _wait_ms(found.pop("wait", "0")) / 1000
        settings = self._view.bucket_settings(bucket)
        wait_for = _wait_for(found.pop("wait_for", "all"), settings)
        timeout_s = LOOK_S if wait_s and "timeout" not in found else resolve(settings, found).timeout_ms / 1000
        enough = wait_for if wait_s else settings.n
        request.refuse_body()
        clock = self._view.clock
        until = clock.now() + wait_s
        step, longest = PAUSE_S
        while True:
            receipt = await self._coordinator.receipt(bucket, key, settings.n, dot, timeout_s, enough)
            left = until - clock.now()
            if len(receipt.have) >= wait_for or left <= 0:
                return json_reply(200, _described(bucket, key, dot, settings.n, wait_for, receipt))
            await pause(min(step, left))
            step = min(2 * step, longest)


def _described(
    bucket: str, key: bytes, dot: tuple[int, int], n: int, wait_for: int, receipt: Receipt
) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": quote(key, safe=""),
        "dot": dot_text(*dot),
        "n": n,
        "wait_for": wait_for,
        "replicated": len(receipt.have) >= wait_for,
        "have": receipt.have,
        "lack": receipt.lack,
        "unknown": receipt.unknown,
    }


def _dot(text: str) -> tuple[int, int]:
    limit = "16 hex digits, '-', a number: the Dynkv-Dot of the answer to a write"
    found = DOT.match(text)
    if found is None:
        raise BadParameter(PARAMETER, f"{text[:40]!r} is no dot", limit)
    actor, counter = int(found[1], 16), int(found[2])
    if not actor or counter > COUNTER_MAX:
        raise BadParameter(PARAMETER, f"{text[:40]!r} is no dot", limit)
    return actor, counter


def _wait_ms(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= TIMEOUT_MS_MAX):
        raise BadParameter("wait", f"{text[:40]!r} is none", f"0..{TIMEOUT_MS_MAX} ms")
    return int(text)


def _wait_for(text: str, settings: BucketSettings) -> int:
    word = {"quorum": settings.n // 2 + 1, "all": settings.n, "one": 1}.get(text)
    if word is not None:
        return word
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= settings.n):
        raise BadParameter("wait_for", f"{text[:40]!r} is none", f"1..{settings.n}, one, quorum or all")
    return int(text)
