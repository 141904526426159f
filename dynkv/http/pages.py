"""GET /: the status page, with all that it says in it as plain HTML; its script takes over from there.

What the markup is made of is packaged (`page/index.html`, with a place for each part); what it says comes from the
overview, escaped. A node that cannot say how the cluster is has a page too, which says so.
"""

from html import escape
from string import Template

from dynkv.core.errors import DynkvError
from dynkv.core.overview_rows import Overview
from dynkv.http import tables
from dynkv.http.assets import SECURITY, page_markup
from dynkv.http.dates import http_date
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route
from dynkv.http.view import NodeView

# What it takes, where, what it is, and what a click on it asks for.
ROUTES = (
    ("GET, HEAD, PUT, DELETE", "/kv/{bucket}/{key}", "a value: r, w, pr, pw, timeout, sloppy, explain=true", ""),
    ("GET", "/kv/{bucket}", "its keys: prefix, limit, cursor, r, timeout", ""),
    ("GET, HEAD, POST", "/types/{type}/{bucket}/{key}", "a counter, set, flag, register or map, merged here", ""),
    ("POST", "/batch", "up to 1,000 gets, puts and deletes", ""),
    ("GET, PUT", "/buckets/{bucket}", "a bucket's n, r, w and conflict policy", "/buckets/default"),
    ("GET", "/nodes", "the nodes, and whom this one suspects", "/nodes"),
    ("GET", "/ring", "preference lists; ?bucket=&key= for one key", "/ring"),
    ("GET", "/hints", "what is owed to whom", "/hints"),
    ("GET", "/antientropy", "how far replicas agree; ?partition=, ?scope=node", "/antientropy"),
    ("POST", "/antientropy/run", "compare now; ?partition=, ?node=", ""),
    ("GET", "/events", "the same as events, for this page", ""),
    ("GET", "/metrics", "metrics for Prometheus", "/metrics"),
    ("GET", "/health/live", "whether the process answers", "/health/live"),
    ("GET", "/health/ready", "whether it should get requests", "/health/ready"),
    ("GET", "/openapi.json", "all of this, described as OpenAPI 3.1", "/openapi.json"),
)

_HEAD = f"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n{SECURITY}"


class Pages:
    """The page of one node."""

    def __init__(self, view: NodeView) -> None:
        self._view = view
        self._template = Template(page_markup())
        self._routes = "".join(
            f"<tr><td>{methods}</td><td>{_linked(path, link)}</td><td>{escape(text)}</td></tr>\n"
            for methods, path, text, link in ROUTES
        )

    async def index(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != "/":
            return no_route(request.target)
        parameters(query, ())
        request.refuse_body()
        try:
            parts = _parts(await self._view.overview())
        except DynkvError as error:
            parts = _without(self._view.node_id, str(error))
        now = http_date(self._view.clock.wall_ms() // 1000)
        return Reply(200, _HEAD, self._template.substitute(parts, now=now, routes=self._routes).encode())


def _parts(view: Overview) -> dict[str, str]:
    verdict = view.verdict
    return {
        "node": escape(view.node),
        "state": verdict.state,
        "text": escape(verdict.text),
        "also": "".join(f"<li>{escape(text)}</li>" for text in verdict.also),
        "estimate": tables.estimate(view.estimate),
        "about": tables.about(view),
        "nodes": tables.nodes(view),
        "pairs": tables.pairs(view),
        "hints": tables.hints(view),
        "log": tables.log(view),
    }


def _without(node: str, why: str) -> dict[str, str]:
    parts = dict.fromkeys(("also", "estimate", "nodes", "pairs", "hints", "log"), "")
    text = escape(f"unknown: this node cannot say how the cluster is: {why}")
    return parts | {"node": escape(node), "about": escape(node), "state": "unknown", "text": text}


def _linked(path: str, link: str) -> str:
    code = f"<code>{escape(path)}</code>"
    return f'<a href="{link}">{code}</a>' if link else code
