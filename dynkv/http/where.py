"""`GET /kv/{bucket}/{key}?replicas=true`: what each member holds of the key, and who is behind.

    {"bucket", "key": percent-encoded, "partition", "primaries": [node, ...],
     "digest": of all that is known, null if no copy was found,
     "tombstone": null, or why the tombstone of a deleted key is still there,
     "replicas": [{"node", "role": "primary" | "fallback", "state": see `core.whereabouts`, "digest", "why",
                   "vector": [[actor, counter], ...],
                   "siblings": [{"dot", "time", "deleted", "content_type", "bytes"}, ...]}, ...]}

Values are not in it. It always answers 200: a key that nobody holds is one whose replicas are all absent. Looking heals
nothing.
"""

from typing import Any
from urllib.parse import quote

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter
from dynkv.core.levels import NAMES, resolve
from dynkv.core.whereabouts import Holder, Whereabouts
from dynkv.http.paths import flag, parameters
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import Request
from dynkv.http.values import describe
from dynkv.http.view import NodeView

PARAMETER = "replicas"
_KNOWN = (*NAMES, "explain", PARAMETER)
_BESIDE = "timeout"


class WhereRoute:
    """The other thing that a GET of a key may ask for."""

    def __init__(self, view: NodeView) -> None:
        self._view = view

    async def get(self, request: Request, bucket: str, key: bytes, query: str) -> Reply | None:
        """The answer to a GET with the parameter `replicas`; None if it is false. BadParameter, ServiceError."""
        found = parameters(query, _KNOWN)
        if not flag(found, PARAMETER):
            return None
        for name in found:
            if name != _BESIDE:
                raise BadParameter(name, f"has no meaning beside {PARAMETER}=true: every replica is asked", _BESIDE)
        request.refuse_body()
        timeout_s = resolve(BucketSettings(), found).timeout_ms / 1000
        return json_reply(200, _described(bucket, key, await self._view.where(bucket, key, timeout_s)))


def without(query: str) -> str:
    """`query` less the parameter that was false."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != PARAMETER)


def _described(bucket: str, key: bytes, found: Whereabouts) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": quote(key, safe=""),
        "partition": found.plan.partition,
        "primaries": list(found.plan.primaries),
        "digest": found.digest.hex() or None,
        "tombstone": found.tombstone,
        "replicas": [_holder(holder) for holder in found.holders],
    }


def _holder(holder: Holder) -> dict[str, Any]:
    record = holder.record
    return {
        "node": holder.node,
        "role": holder.role,
        "state": holder.state,
        "digest": holder.digest.hex() or None,
        "vector": [[f"{actor:016x}", counter] for actor, counter in (record.vector if record else ())],
        "siblings": [describe(sibling) for sibling in (record.siblings if record else ())],
        "why": holder.why,
    }
