"""The attempts of one call: whom to ask next and when, what the call has come to, and the error if time runs out.

A pure object, fed with what became of each attempt. The next attempt goes to the node that was asked least often by
this call, and among those to the first in order that has not failed lately. Before it a random time passes, up to a
bound that doubles with each attempt; a node that said Retry-After is not asked before that, and waited for only if all
have said so.

What a call that failed has come to is told by its best informed attempt: a node's refusal rather than silence, the
latest rather than an earlier. Of a write the outcome sums up all attempts: "not_applied" only if every one of them
is known to have done nothing.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from dynkv.client.errors import Attempt, ClientError, Problem, Unreachable
from dynkv.client.health import Health
from dynkv.client.options import Options
from dynkv.client.problems import error_of
from dynkv.runtime import Random

TOLD_MAX = 16
DOUBLINGS_MAX = 16


class Next(NamedTuple):
    """Ask `url` after `wait_s` seconds."""

    url: str
    wait_s: float


class Tries:
    """Of one call. `write_id`: empty for a call that writes nothing. `arrived`: some attempt may have done its work."""

    def __init__(self, options: Options, health: Health, random: Random, write_id: str = "") -> None:
        self._options = options
        self._health = health
        self._random = random
        self.write_id = write_id
        self._asked: dict[str, int] = {}
        self._told: deque[Attempt] = deque(maxlen=TOLD_MAX)
        self._problem: Problem | None = None
        self._silence = ""
        self.arrived = False
        self.count = 0

    def next(self, order: Sequence[str], now: float) -> Next:
        """`order` has at least one URL."""
        health = self._health
        pause_s = self._pause()
        free = [url for url in order if health.held_until(url) <= now + pause_s] if self.count else order
        wait_s = pause_s
        if not free:
            free = [min(order, key=health.held_until)]
            wait_s += health.held_until(free[0]) - now
        url = min(free, key=lambda url: (self._asked.get(url, 0), health.rank(url, now)))
        self.count += 1
        self._asked[url] = self._asked.get(url, 0) + 1
        return Next(url, wait_s)

    def _pause(self) -> float:
        if not self.count:
            return 0.0
        doublings = min(self.count - 1, DOUBLINGS_MAX)
        bound = min(self._options.pause_max_s, self._options.pause_s * 2.0**doublings)
        return self._random.uniform(0.0, bound)

    def asked_all(self, order: Sequence[str]) -> bool:
        """Whether each of these was asked by this call."""
        return all(url in self._asked for url in order)

    # --- what became of an attempt ------------------------------------------------------------------------------------

    def silent(self, url: str, why: str, took_s: float, *, arrived: bool) -> None:
        """No answer. `arrived`: the request may have reached the node."""
        self.arrived = self.arrived or arrived
        self._silence = f"{url}: {why}"
        self._tell(url, why, took_s)

    def refused(self, url: str, problem: Problem, took_s: float) -> None:
        """A node, or something before it, said no."""
        self._problem = problem
        if problem.outcome == "ambiguous" or (problem.outcome is None and not 400 <= problem.status < 500):
            self.arrived = True  # or it does not say, as a proxy's 502, or what is no node's answer at all
        self._tell(url, problem.detail or f"status {problem.status}", took_s)

    def _tell(self, url: str, said: str, took_s: float) -> None:
        self._told.append(Attempt(url, said, round(took_s * 1000)))

    @property
    def told(self) -> tuple[Attempt, ...]:
        """The last attempts and what came of them."""
        return tuple(self._told)

    @property
    def outcome(self) -> str | None:
        """Of a write that was not answered with success."""
        if not self.write_id:
            return None
        return "ambiguous" if self.arrived else "not_applied"

    def error(self) -> ClientError:
        """What the call has come to."""
        if self._problem is not None:
            return error_of(self._problem, outcome=self.outcome, write_id=self.write_id, attempts=self.told)
        detail = f"no node answered in time ({self._silence})" if self._silence else "no turn came in time"
        return Unreachable(detail, outcome=self.outcome, write_id=self.write_id, attempts=self.told)
