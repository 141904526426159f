"""GET and PUT of a bucket's settings."""

import msgspec

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter
from dynkv.http.paths import bucket_name, parameters
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import BodyBudget, Request
from dynkv.http.routes import no_route
from dynkv.http.view import NodeView

BODY_BYTES_MAX = 4096
_decoder = msgspec.json.Decoder(BucketSettings)


class BucketRoutes:
    """A bucket exists by being named: GET answers the defaults for one that nobody has set."""

    def __init__(self, view: NodeView, budget: BodyBudget) -> None:
        self._view = view
        self._budget = budget

    async def get(self, request: Request) -> Reply:
        name = self._name(request)
        if name is None:
            return no_route(request.target)
        request.refuse_body()
        return self._settings(name)

    async def put(self, request: Request) -> Reply:
        """The body is JSON: any of n, r, w, conflict; what it leaves out has its default, whatever was set before."""
        name = self._name(request)
        if name is None:
            return no_route(request.target)
        data = await request.body(BODY_BYTES_MAX, "settings", self._budget)
        try:
            settings = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            limit = 'JSON such as {"n": 3, "r": 2, "w": 2, "conflict": "siblings"}'
            raise BadParameter("settings", str(error), limit) from None
        await self._view.set_bucket(name, settings)
        return self._settings(name)

    def _settings(self, name: str) -> Reply:
        return json_reply(200, {"bucket": name, **msgspec.to_builtins(self._view.bucket_settings(name))})

    @staticmethod
    def _name(request: Request) -> str | None:
        """The bucket in `/buckets/{bucket}`; None if the path is another."""
        path, _, query = request.target.partition("?")
        parameters(query, ())
        raw = path.removeprefix("/buckets").removeprefix("/")
        return bucket_name(raw) if raw and "/" not in raw else None
