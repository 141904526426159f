"""The HTTP server of a node: listens, routes, admits, keeps the deadlines, drains.

A request's way: connection (parsed) -> `answer` (route, token, admission) -> handler -> reply. Whatever a handler
raises becomes an answer here. There is no chain of middlewares; what all requests need is written out below, once.

Admission: requests in progress and the bytes of their bodies are bounded. One more is refused at once, with an answer
that was built beforehand, so that refusing costs little when everybody is refused. Health, metrics and status are not
counted: they are wanted most when there is too much work.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from multidict import istr

from dynkv.coordinator.results import Coordinator
from dynkv.core.errors import AddressInUse, DynkvError, Overloaded
from dynkv.http.antientropy import ALLOW, AntiEntropyRoutes
from dynkv.http.assets import Assets
from dynkv.http.authorization import Gate
from dynkv.http.batch import BatchRoute
from dynkv.http.buckets import BucketRoutes
from dynkv.http.cluster import ClusterRoutes
from dynkv.http.connection import Connection
from dynkv.http.dates import http_date
from dynkv.http.events import Events
from dynkv.http.kv import KeyRoutes
from dynkv.http.listing import ListingRoutes
from dynkv.http.openapi.route import OpenApiRoute
from dynkv.http.pages import Pages
from dynkv.http.parsing import ClientError
from dynkv.http.paths import names_bucket, origin_form
from dynkv.http.problems import internal, of_client, of_error
from dynkv.http.reply import Reply
from dynkv.http.request import BodyBudget, Request
from dynkv.http.routes import Route, first_segment, no_route
from dynkv.http.session import Sessions
from dynkv.http.stats import HttpStats
from dynkv.http.terms import TermsReader
from dynkv.http.types import TypeRoutes
from dynkv.http.view import NodeView
from dynkv.runtime import Tasks, wait_until

log = structlog.get_logger("dynkv.http")

BACKLOG = 1024
SWEEP_S_MAX = 0.5
ERROR_LOG_S = 10.0  # at most one traceback of an unexpected error in this time; the others are counted

TRACEPARENT = istr("traceparent")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


class Listener(Protocol):
    """An address that is listened on."""

    @property
    def port(self) -> int:
        """The port that was taken."""
        ...

    def close(self) -> None:
        """Take no further connections. Those that are open stay."""
        ...


# (host, port, what makes a connection's protocol); AddressInUse.
Listen = Callable[[str, int, Callable[[], asyncio.Protocol]], Awaitable[Listener]]


class TcpListener:
    """A listening TCP socket."""

    def __init__(self, server: asyncio.Server) -> None:
        self.close = server.close
        self.port: int = server.sockets[0].getsockname()[1]


async def listen_tcp(host: str, port: int, make: Callable[[], asyncio.Protocol]) -> TcpListener:
    """AddressInUse."""
    try:
        return TcpListener(await asyncio.get_running_loop().create_server(make, host, port, backlog=BACKLOG))
    except OSError as error:
        raise AddressInUse(f"cannot listen for HTTP on {host}:{port}: {error.strerror or error}") from error


class HttpServer:
    """`start`, then `stop`; a stopped server is not started again."""

    def __init__(self, view: NodeView, coordinator: Coordinator, tasks: Tasks, stats: HttpStats) -> None:
        limits = view.limits
        self.view = view
        self.limits = limits
        self.stats = stats
        self.tasks = tasks
        self.now = view.clock.now
        self.date = ""
        self.draining = False
        self.budget = BodyBudget(limits.body_bytes_max)
        self.connections: dict[Connection, None] = {}  # in the order in which they came
        self._empty = asyncio.Event()
        self._listener: Listener | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._errors_logged_at = float("-inf")
        self._gate = Gate(limits.client_token) if limits.client_token else None
        sessions = Sessions(view.tokens.sessions)
        reader = TermsReader(view, sessions)
        keys = KeyRoutes(view, coordinator, stats, self.budget, sessions, reader)
        buckets, cluster, antientropy = BucketRoutes(view, self.budget), ClusterRoutes(view), AntiEntropyRoutes(view)
        events, assets, pages = Events(view, tasks, stats), Assets(), Pages(view)
        key_handlers = {"GET": keys.get, "PUT": keys.put, "DELETE": keys.delete}
        self._kv = Route("kv", key_handlers, stats, bounded=True)
        self._keys = Route("keys", {"GET": ListingRoutes(view, coordinator, stats).get}, stats)
        batch = BatchRoute(view, coordinator, stats, self.budget, self._operation_broken)
        self._batch = Route("batch", {"POST": batch.post}, stats, bounded=True, writing=("POST",))
        types = TypeRoutes(view, coordinator, stats, self.budget, sessions, reader)
        type_handlers = {"GET": types.get, "POST": types.post}
        others = (
            Route("types", type_handlers, stats, bounded=True, writing=("POST",)),
            Route("buckets", {"GET": buckets.get, "PUT": buckets.put}, stats),
            Route("nodes", {"GET": cluster.nodes}, stats),
            Route("ring", {"GET": cluster.ring}, stats),
            Route("hints", {"GET": cluster.hints}, stats),
            Route("antientropy", {"GET": antientropy.get, "POST": antientropy.run}, stats, allow=ALLOW),
            Route("events", {"GET": events.stream}, stats),
            Route("page", {"GET": assets.get}, stats),
            Route("metrics", {"GET": cluster.metrics}, stats),
            Route("health", {"GET": cluster.health}, stats, open=True),
            Route("openapi.json", {"GET": OpenApiRoute(limits).get}, stats),
            Route("", {"GET": pages.index}, stats),
        )
        self._index = {route.name: route for route in (self._kv, self._batch, *others)}
        self._unknown = Route("unknown", {}, stats)
        overloaded = Overloaded(f"{limits.requests_max} requests are in progress at this node")
        self._refusals = {writes: of_error(overloaded, writes=writes) for writes in (False, True)}

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int, listen: Listen | None = None) -> int:
        """Listen, on TCP unless told otherwise; the port that was taken (port 0 picks one). AddressInUse."""
        loop = asyncio.get_running_loop()
        self._listener = await (listen or listen_tcp)(host, port, lambda: Connection(self, loop))
        self._sweep()
        return self._listener.port

    async def stop(self, seconds: float) -> None:
        """Take no more connections and requests; those in progress get `seconds` to finish, then they are cut."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections and not await wait_until(self._empty, seconds):
            log.warning("requests cut at stop", connections=len(self.connections))
            for connection in list(self.connections):
                connection.abort()
            await wait_until(self._empty, 1.0)
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        """End what is past its deadline; keep the Date field right."""
        limits, now = self.limits, self.now()
        for connection in list(self.connections):
            if now >= connection.deadline:
                self.stats.expired += 1
                connection.expired()
        self.date = f"Date: {http_date(self.view.clock.wall_ms() // 1000)}\r\n"
        step = min(SWEEP_S_MAX, limits.header_s / 4, limits.body_s / 4, limits.idle_s / 4)
        self._sweeper = asyncio.get_running_loop().call_later(step, self._sweep)

    # --- connections --------------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> Reply | None:
        """None to serve it, or what to tell it before it is closed."""
        if len(self.connections) >= self.limits.connections_max:
            self.stats.connections_refused += 1
            return self._refusals[False]
        self.connections[connection] = None
        self.stats.connections = len(self.connections)
        return None

    def closed(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        self.stats.connections = len(self.connections)
        if self.draining and not self.connections:
            self._empty.set()

    def refuse(self, error: ClientError) -> Reply:
        """The answer to what never became a request. Counted, not logged: anybody can cause any number of these."""
        self.stats.refused_requests += 1
        return of_client(error)

    def broken(self, error: Exception) -> None:
        """A streamed answer failed in the middle; its connection is cut."""
        if isinstance(error, DynkvError):
            log.warning("a streamed answer was cut", reason=str(error))
        else:
            self._log_unexpected(self._unknown, "GET", error)

    # --- requests -----------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Reply:
        """The answer to a request, whatever happens."""
        route = self._unknown
        try:
            route = self._route(request)
            reply = await self._routed(route, request)
        except DynkvError as error:
            reply = of_error(error, writes=route.writes(request.method))
        except ClientError as error:
            reply = self.refuse(error)
        except Exception as error:  # noqa: BLE001 - the edge: a client gets an answer, the log the error
            self._log_unexpected(route, request.method, error)
            reply = internal(writes=route.writes(request.method))
        if TRACEPARENT in request.headers:
            reply = _traced(reply, request.headers[TRACEPARENT])
        route.row(request.method).add(reply.status, self.now() - request.arrived)
        return reply

    def _route(self, request: Request) -> Route:
        target = request.target
        if not target.startswith("/kv/"):
            if not target.startswith("/"):
                target = request.target = origin_form(target)
            route = self._index.get(first_segment(target), self._unknown)
            if route is not self._kv:
                return route
        return self._keys if names_bucket(target) else self._kv

    async def _routed(self, route: Route, request: Request) -> Reply:
        if request.head.version.major != 1:
            raise ClientError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        if self._gate is not None and not route.open and (refusal := self._gate.refusal(request)) is not None:
            return refusal
        handler = route.handlers.get(request.method)
        if handler is None:
            if route is self._unknown:
                return no_route(request.target)
            return route.refuse_method(request.method, request.target)
        if not route.bounded:
            try:
                return await handler(request)
            finally:
                self.budget.held -= request.taken
        if self.stats.requests >= self.limits.requests_max:
            self.stats.overloaded += 1
            return self._refusals[route.writes(request.method)]
        self.stats.requests += 1
        try:
            return await handler(request)
        finally:
            self.stats.requests -= 1
            self.budget.held -= request.taken

    def _operation_broken(self, error: Exception) -> None:
        """One operation of a batch failed for no reason that anybody foresaw."""
        self._log_unexpected(self._batch, "POST", error)

    def _log_unexpected(self, route: Route, method: str, error: Exception) -> None:
        self.stats.errors += 1
        now = self.now()
        if now - self._errors_logged_at >= ERROR_LOG_S:
            self._errors_logged_at = now
            log.error(
                "request failed unexpectedly",
                route=route.name,
                method=method,
                error=repr(error),
                errors_total=self.stats.errors,
                exc_info=error,
            )


def _traced(reply: Reply, traceparent: str) -> Reply:
    """A copy of `reply` that says whose trace it belongs to; an invalid field is ignored, as its standard asks."""
    if _TRACEPARENT.match(traceparent) is None:
        return reply
    return Reply(reply.status, f"{reply.head}traceparent: {traceparent}\r\n", reply.body, reply.close, reply.source)
