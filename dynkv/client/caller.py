"""A call: attempts at one node after another, under one deadline and one write id, until one has answered for good.

- Wait for a turn (`concurrency` requests at once).
- Ask the best node, for at most `attempt_s`, and tell it how long we wait.
- An answer for good (success, not found, or a refusal that no repeating changes) ends the call.
- Silence makes the node go last for a moment; a 503 holds it for as long as it said.
- If there is no time for another attempt, the call fails at once: waiting the deadline out helps nobody, and an attempt
  too short for an answer would only put in doubt what is known.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from dynkv.client.errors import ClientError, NotDynkv
from dynkv.client.health import Health
from dynkv.client.options import Options
from dynkv.client.problems import SESSION_BEHIND, passes, problem_of
from dynkv.client.routing import Routing
from dynkv.client.transport import Answer, NoAnswer, NotSent, Transport
from dynkv.client.tries import Tries
from dynkv.runtime import Clock, Random, pause

# A node is told to give up a little before we do, so that it is it who says what became of the request.
MARGIN_S = 0.25
MARGIN_SHARE = 0.1
TIMEOUT_MS_MAX = 60_000
ATTEMPT_S_MIN = 0.05
ATTEMPT = "Dynkv-Attempt"


def until_timeout(milliseconds: int) -> Mapping[str, int]:
    """Requests are cut off by their `timeout`."""
    return {"timeout": milliseconds}


class Ask(NamedTuple):
    """A request, whoever gets it. place: (bucket, key) of its key. write_id: empty if it writes nothing. expects: the
    statuses that are answers for good beside refusals. patience: how many `attempt_s` one node is waited for. timing:
    the parameters that tell the node so, of the milliseconds that it has."""

    method: str
    path: str
    query: Mapping[str, str | bytes]
    headers: Mapping[str, str]
    body: bytes | None
    place: tuple[str, bytes] | None
    write_id: str
    expects: frozenset[int]
    patience: int = 1
    timing: Callable[[int], Mapping[str, int]] = until_timeout

    def target(self, timeout_s: float) -> str:
        """Path and query for an attempt that is waited for so long."""
        node_s = timeout_s - min(MARGIN_S, timeout_s * MARGIN_SHARE)
        timeout_ms = max(1, min(TIMEOUT_MS_MAX, int(node_s * 1000)))
        return f"{self.path}?{urlencode({**self.query, **self.timing(timeout_ms)}, quote_via=quote)}"


class Caller:
    """Of one client, on its loop."""

    def __init__(
        self, options: Options, transport: Transport, routing: Routing, health: Health, clock: Clock, random: Random
    ) -> None:
        self.options = options
        self.transport = transport
        self.routing = routing
        self.clock = clock
        self.random = random
        self.health = health
        self._turns = asyncio.Semaphore(options.concurrency)

    def deadline(self, timeout_s: float | None) -> float:
        """ValueError if it is not above 0."""
        seconds = self.options.timeout_s if timeout_s is None else timeout_s
        if not seconds > 0:
            raise ValueError(f"timeout: is {seconds}; must be above 0 seconds")
        return self.clock.now() + seconds

    def tries(self, write_id: str = "") -> Tries:
        return Tries(self.options, self.health, self.random, write_id)

    async def call(self, ask: Ask, deadline: float, tries: Tries | None = None) -> Answer:
        """An answer with one of the statuses that `ask` expects; ClientError. `tries`: if this goes on with some."""
        tries = tries or self.tries(ask.write_id)
        while True:
            url = await self.next(tries, ask.place, deadline)
            answer = await self._attempt(tries, url, ask, deadline)
            if answer is None:
                continue
            if answer.status in ask.expects:
                return answer
            problem = problem_of(answer.status, answer.headers, answer.body)
            if not passes(answer.status):
                raise tries.error()
            if problem.kind != SESSION_BEHIND:
                self.health.hold(url, self.clock.now() + problem.retry_after_s)
            elif tries.asked_all(self.routing.order(ask.place)):
                raise tries.error()  # each node has asked all others: only time helps

    async def next(self, tries: Tries, place: tuple[str, bytes] | None, deadline: float) -> str:
        """Pause, and say whom to ask next. What `tries` has come to, as an error, if time does not allow it."""
        now = self.clock.now()
        url, wait_s = tries.next(self.routing.order(place), now)
        if now + wait_s >= deadline - (ATTEMPT_S_MIN if tries.count > 1 else 0.0):
            raise tries.error()
        if wait_s > 0:
            await pause(wait_s)
        return url

    async def _attempt(self, tries: Tries, url: str, ask: Ask, deadline: float) -> Answer | None:
        """None if nothing came; `tries` and the health of the node know."""
        clock, health = self.clock, self.health
        async with self.turn(tries, deadline):
            started = clock.now()
            timeout_s = min(self.options.attempt_s * ask.patience, deadline - started)
            if timeout_s <= 0:
                raise tries.error()
            self.routing.look()
            health.asked(url, started)
            headers = ask.headers
            if ask.write_id and tries.arrived:
                headers = {**headers, ATTEMPT: str(tries.count)}  # some node may have it: see `core.types`, Retries
            try:
                answer = await self.transport.send(url, ask.method, ask.target(timeout_s), headers, ask.body, timeout_s)
            except (NotSent, NoAnswer) as error:
                self.lost(tries, url, error, started)
                return None
            except NotDynkv as error:
                error.outcome = tries.outcome and "ambiguous"
                raise
        health.answered(url)
        if answer.status not in ask.expects:
            problem = problem_of(answer.status, answer.headers, answer.body)
            tries.refused(url, problem, clock.now() - started)
        return answer

    def turn(self, tries: Tries, deadline: float) -> "Turn":
        """A place among the requests under way."""
        return Turn(self._turns, tries, deadline - self.clock.now())

    def lost(self, tries: Tries, url: str, error: NotSent | NoAnswer, started: float) -> None:
        """The node did not answer."""
        now = self.clock.now()
        self.health.failed(url, now)
        self.routing.look(doubt=True)
        tries.silent(url, str(error), now - started, arrived=isinstance(error, NoAnswer))


class Turn:
    """`async with`: waits for a place; what `tries` has come to, as an error, if none comes in time."""

    def __init__(self, turns: asyncio.Semaphore, tries: Tries, seconds: float) -> None:
        self._turns = turns
        self._tries = tries
        self._seconds = seconds

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise self._error() from None

    def _error(self) -> ClientError:
        return self._tries.error()

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()
