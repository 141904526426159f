"""What this node knows of the cluster, as JSON, and whether it should get requests."""

from collections.abc import Callable, Mapping
from typing import Any

from dynkv.core.bucket import check_bucket, check_key
from dynkv.core.errors import BadParameter
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import Request
from dynkv.http.routes import Handler, no_route
from dynkv.http.view import NodeView

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ClusterRoutes:
    """Status answers need no quorum and no peer: each is this node's own view, at once."""

    def __init__(self, view: NodeView) -> None:
        self._view = view
        self.nodes = self._facts("/nodes", view.nodes)
        self.hints = self._facts("/hints", view.hints)

    @staticmethod
    def _facts(path: str, ask: Callable[[], Mapping[str, Any]]) -> Handler:
        async def handler(request: Request) -> Reply:
            if not _is(request, path):
                return no_route(request.target)
            return json_reply(200, ask())

        return handler

    async def ring(self, request: Request) -> Reply:
        """All preference lists, or with `bucket` and `key` where that one key lives."""
        path, _, query = request.target.partition("?")
        if path != "/ring":
            return no_route(request.target)
        request.refuse_body()
        found = parameters(query, ("bucket", "key"))
        if not found:
            return json_reply(200, self._view.ring())
        for name, other in (("bucket", "key"), ("key", "bucket")):
            if name not in found:
                raise BadParameter(name, f"is missing beside {other}", "both or neither")
        bucket, key = check_bucket(found["bucket"]), check_key(found["key"].encode("latin-1"))
        return json_reply(200, self._view.locate(bucket, key))

    async def metrics(self, request: Request) -> Reply:
        if not _is(request, "/metrics"):
            return no_route(request.target)
        return Reply(200, f"Content-Type: {METRICS_TYPE}\r\n", self._view.metrics())

    async def health(self, request: Request) -> Reply:
        """live: the process answers; restart it if not. ready: it should get requests; 503 says why not."""
        if _is(request, "/health/live"):
            return json_reply(200, {"status": "live", "node": self._view.node_id})
        if not _is(request, "/health/ready"):
            return no_route(request.target)
        reasons = list(self._view.ready())
        if reasons:
            status = {"status": "not ready", "node": self._view.node_id, "reasons": reasons}
            return json_reply(503, status, "Retry-After: 1\r\n")
        return json_reply(200, {"status": "ready", "node": self._view.node_id, "reasons": []})


def _is(request: Request, path: str) -> bool:
    """Whether the request is for exactly `path`, which takes neither parameters nor a body."""
    ours, _, query = request.target.partition("?")
    if ours != path:
        return False
    parameters(query, ())
    request.refuse_body()
    return True
