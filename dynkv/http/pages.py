"""GET /: what can be asked here, for a person with a browser or curl."""

from html import escape

from dynkv.http.paths import parameters
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route

# What it takes, where, what it is, and what a click on it asks for.
ROUTES = (
    ("GET, HEAD, PUT, DELETE", "/kv/{bucket}/{key}", "a value: r, w, pr, pw, timeout, sloppy, explain=true", ""),
    ("GET, PUT", "/buckets/{bucket}", "a bucket's n, r, w and conflict policy", "/buckets/default"),
    ("GET", "/nodes", "the nodes, and whom this one suspects", "/nodes"),
    ("GET", "/ring", "preference lists; ?bucket=&key= for one key", "/ring"),
    ("GET", "/hints", "what is owed to whom", "/hints"),
    ("GET", "/metrics", "metrics for Prometheus", "/metrics"),
    ("GET", "/health/live", "whether the process answers", "/health/live"),
    ("GET", "/health/ready", "whether it should get requests", "/health/ready"),
)


_HEAD = (
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
)


class Pages:
    """The index of routes. It shows nothing that changes."""

    def __init__(self, node_id: str) -> None:
        rows = "".join(
            f"<tr><td>{methods}<td>{_linked(path, link)}<td>{escape(text)}\n" for methods, path, text, link in ROUTES
        )
        self._index = (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'><title>dynkv</title>"
            "<style>body{font:16px/1.5 system-ui;margin:2rem;max-width:60rem}td{padding:.2rem 1rem .2rem 0}</style>"
            f"<h1>dynkv node {escape(node_id)}</h1>\n<table>\n{rows}</table>\n"
            "<p>Errors come as application/problem+json (RFC 9457).\n"
        ).encode()

    async def index(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != "/":
            return no_route(request.target)
        parameters(query, ())
        request.refuse_body()
        return Reply(200, _HEAD, self._index)


def _linked(path: str, link: str) -> str:
    code = f"<code>{escape(path)}</code>"
    return f'<a href="{link}">{code}</a>' if link else code
