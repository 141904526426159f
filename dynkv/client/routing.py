"""Whom to ask for a key: what is known of the ring, kept fresh, and the order in which nodes are tried.

    the key's primaries in their order, then its fallbacks, then other nodes, then addresses given that lead to none
    of them; those that failed a moment ago go last

While nothing is known yet, and where nothing can be (`route` off, a balancer), the addresses given are asked in turn:
every node takes every request. So no call ever waits for the ring, but for those that gain from one coordinator.

The ring is asked for beside the calls: by the first one, when it is older than `ring_age_s`, and soon after a node
failed, at most once in REFRESH_S.
"""

import asyncio
from collections.abc import Sequence

from dynkv.client.errors import ClientError, NotDynkv, Unreachable
from dynkv.client.health import Health
from dynkv.client.options import Options
from dynkv.client.problems import error_of, problem_of
from dynkv.client.ring_view import RingView, parse
from dynkv.client.transport import NoAnswer, NotSent, Transport
from dynkv.runtime import Clock, Tasks

REFRESH_S = 1.0
# Addresses asked who they are, at most: a user gives a few, not all of a large cluster.
SEEDS_ASKED_MAX = 16
_FIELDS = {"Accept": "application/json"}


class Routing:
    """Of one client, on its loop. `view`: what is known, None if nothing; `problem`: why, if the last try failed."""

    def __init__(
        self, seeds: Sequence[str], options: Options, health: Health, clock: Clock, transport: Transport, tasks: Tasks
    ) -> None:
        self.view: RingView | None = None
        self.problem: ClientError | None = None
        self._seeds = list(seeds)
        self._options = options
        self._health = health
        self._clock = clock
        self._transport = transport
        self._tasks = tasks
        self._turn = 0
        self._tried_at = float("-inf")
        self._known_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def order(self, place: tuple[str, bytes] | None) -> list[str]:
        """All URLs to try, each once, best first; without `place` any node is as good."""
        view = self.view
        if view is None:
            urls = self._rotated(self._seeds)
        elif place is None:
            urls = [*self._rotated(list(view.addresses.values())), *self._seeds]
        else:
            urls = [*view.order(*place), *view.addresses.values(), *self._seeds]
        return list(dict.fromkeys(urls))

    def _rotated(self, urls: list[str]) -> list[str]:
        if not urls:
            return urls
        self._turn += 1
        start = self._turn % len(urls)
        return urls[start:] + urls[:start]

    # --- knowing ------------------------------------------------------------------------------------------------------

    def look(self, *, doubt: bool = False) -> None:
        """Ask for the ring beside the calls, if it is time. `doubt`: a node failed, so what is known may be old."""
        if not self._options.route or self._asking is not None:
            return
        now = self._clock.now()
        old = now - self._known_at > self._options.ring_age_s
        if (old or doubt) and now - self._tried_at > REFRESH_S:
            self._begin()

    async def known(self, seconds: float) -> None:
        """If nothing is known, wait until something is or cannot be, for at most `seconds`."""
        if self.view is None and self._options.route:
            if self._asking is None:
                if self._clock.now() - self._tried_at <= REFRESH_S:
                    return
                self._begin()
            assert self._asking is not None
            await asyncio.wait((self._asking,), timeout=max(0.0, seconds))

    async def refresh(self) -> None:
        """Ask now, and wait for it. The last problem if it fails."""
        if self._asking is None:
            self._begin()
        assert self._asking is not None
        await asyncio.wait((self._asking,))
        if self.problem is not None:
            raise self.problem

    def _begin(self) -> None:
        self._tried_at = self._clock.now()
        self._asking = self._tasks.start("ring", self._ask())

    async def _ask(self) -> None:
        """Who the addresses lead to, then the ring from one that answered, or else from a node known before."""
        try:
            asked = await asyncio.gather(*(self._nodes(url) for url in self._asked()))
            told = [found for found in asked if found is not None]
            if not told:
                raise self.problem or Unreachable("no address answers")
            reached = {str(found["node"]): url for url, found in told if url in self._seeds}
            url, nodes = told[0]
            self.view = parse(await self._json(url, "/ring"), nodes, reached, url)
            self._known_at, self.problem = self._clock.now(), None
            self._health.only({*self._seeds, *self.view.addresses.values()})
        except ClientError as error:
            self.problem = error  # the calls go on with what was known, and `refresh` tells
        finally:
            self._asking = None

    def _asked(self) -> list[str]:
        """The addresses given; if all of them have failed lately, also nodes known of."""
        now = self._clock.now()
        seeds = self._seeds[:SEEDS_ASKED_MAX]
        if self.view is None or any(self._health.rank(url, now) == 0 for url in seeds):
            return seeds
        others = [url for url in self.view.addresses.values() if url not in seeds]
        return seeds + others[:SEEDS_ASKED_MAX]

    async def _nodes(self, url: str) -> tuple[str, dict[str, object]] | None:
        try:
            nodes = await self._json(url, "/nodes")
            if not isinstance(nodes, dict) or not isinstance(nodes.get("node"), str):
                raise NotDynkv(f"{url}/nodes does not say which node this is")
        except ClientError as error:
            self.problem = error
            return None
        return url, nodes

    async def _json(self, url: str, target: str) -> object:
        try:
            answer = await self._transport.send(url, "GET", target, _FIELDS, None, self._options.attempt_s)
        except (NotSent, NoAnswer) as error:
            raise Unreachable(f"{url}: {error}") from error
        if answer.status != 200:
            raise error_of(problem_of(answer.status, answer.headers, answer.body))
        return answer.json()
