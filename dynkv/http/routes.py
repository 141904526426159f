"""An index of handlers by the first segment of the path: one dictionary look-up instead of a chain of patterns."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType

from dynkv.http.problems import problem
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.stats import HttpStats, RouteStats

Handler = Callable[[Request], Awaitable[Reply]]


class Route:
    """`open`: asked for no token. `bounded`: counts as work in progress, and is refused when there is too much.
    `writing`: methods whose answers say what became of a write. `allow`: by path, where not all take all methods."""

    __slots__ = ("_all", "_allow", "bounded", "handlers", "name", "open", "others", "rows", "writing")

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        stats: HttpStats,
        *,
        open: bool = False,
        bounded: bool = False,
        writing: Collection[str] = ("PUT", "DELETE"),
        allow: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.handlers = dict(handlers)
        if "GET" in self.handlers:
            self.handlers["HEAD"] = self.handlers["GET"]  # the connection leaves the body out
        self.open = open
        self.writing = writing
        self.bounded = bounded
        self.rows = {method: stats.route(name, method) for method in self.handlers}
        self.others = stats.route(name, "other")
        self._all = ", ".join(sorted(self.handlers))
        self._allow = allow

    def row(self, method: str) -> RouteStats:
        return self.rows.get(method, self.others)

    def writes(self, method: str) -> bool:
        """Whether such a request changes something, so that its answer says what became of it."""
        return method in self.writing

    def refuse_method(self, method: str, target: str) -> Reply:
        return wrong_method(method, target, self._allow.get(target.partition("?")[0], self._all))


def first_segment(target: str) -> str:
    """`nodes` of `/nodes?x=1`; empty for `/`."""
    path = target.partition("?")[0].partition("#")[0]
    return path[1:].partition("/")[0]


def wrong_method(method: str, target: str, allow: str) -> Reply:
    """For a path that takes only the methods that `allow` lists."""
    detail = f"{method} is not for {target.partition('?')[0][:200]!r}; it takes {allow}"
    return problem("method-not-allowed", 405, detail, f"Allow: {allow}\r\n")


def no_route(target: str) -> Reply:
    return problem("no-route", 404, f"nothing is at {target.partition('?')[0][:200]!r}")
