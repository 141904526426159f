"""The page's packaged files, under /page/: read once at start, sent with a strong ETag, revalidated at every use.

What is served is what was in the folder then, by name; a request's path never reaches the file system.
"""

from functools import cache
from hashlib import blake2b
from importlib.resources import files

from multidict import istr

from dynkv.http.paths import parameters
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route

TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
IF_NONE_MATCH = istr("If-None-Match")

# Scripts, styles, images and connections of this node alone; no markup made from strings anywhere.
SECURITY = (
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
)


@cache
def packaged() -> dict[str, tuple[str, bytes]]:
    """By name: the header and the bytes of each file."""
    found = {}
    for file in files("dynkv.http").joinpath("page").iterdir():
        kind = TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            etag = blake2b(body, digest_size=12).hexdigest()
            found[file.name] = (
                f'Content-Type: {kind}\r\nETag: "{etag}"\r\nCache-Control: no-cache\r\n{SECURITY}',
                body,
            )
    return found


@cache
def page_markup() -> str:
    """The page itself, with places for what it says."""
    return files("dynkv.http").joinpath("page", "index.html").read_text("utf-8")


class Assets:
    """GET /page/{name}."""

    def __init__(self) -> None:
        self._files = packaged()

    async def get(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        parameters(query, ())
        request.refuse_body()
        found = self._files.get(path.removeprefix("/page/"))
        if found is None:
            return no_route(request.target)
        head, body = found
        asked = request.headers.get(IF_NONE_MATCH)
        if asked is not None and _etag(head) in asked:
            return Reply(304, head)
        return Reply(200, head, body)


def _etag(head: str) -> str:
    return head.partition("ETag: ")[2].partition("\r\n")[0]
