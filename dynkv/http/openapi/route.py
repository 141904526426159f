"""GET /openapi.json."""

from hashlib import blake2b

import msgspec

from dynkv.http.assets import IF_NONE_MATCH
from dynkv.http.found import matches
from dynkv.http.openapi.document import document
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route
from dynkv.http.view import HttpLimits

PATH = "/openapi.json"


class OpenApiRoute:
    """Made when somebody first asks: most nodes of a cluster are never asked."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._made: tuple[str, bytes] | None = None

    async def get(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != PATH:
            return no_route(request.target)
        parameters(query, ())
        request.refuse_body()
        tag, body = self._made = self._made or _make(self._limits)
        head = f'Content-Type: application/json\r\nETag: "{tag}"\r\nCache-Control: no-cache\r\n'
        asked = request.headers.get(IF_NONE_MATCH)
        if asked is not None and matches(asked, f'"{tag}"'):
            return Reply(304, head)
        return Reply(200, head, body)


def _make(limits: HttpLimits) -> tuple[str, bytes]:
    """(ETag, body)."""
    body = msgspec.json.format(msgspec.json.encode(document(limits)), indent=2) + b"\n"
    return blake2b(body, digest_size=12).hexdigest(), body
