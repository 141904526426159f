"""Sessions: reads that never fall behind what the session itself has written and read, at whatever node.

    read your writes       a read shows the session's writes of the key, or what has replaced them
    monotonic reads        a read shows what earlier ones showed, or what has replaced it
    monotonic writes       who has a write of the session has its earlier ones of the key
    writes follow reads    who has a write of the session has what it had read of the key

The nodes keep these; all that is here is the token in which they write down what the session has seen. It goes with
every request (`Dynkv-Session`), and the answer's takes its place. Requests side by side each get a token of their own,
which all go with the next: a node takes up to four, so no more requests of a session are under way at once.

A request that cannot be served without breaking a guarantee is tried at every node. Then it fails with SessionError,
or with `wait` is tried again and again until it can be, or the wait is over.

The token is a few hundred characters, authenticated, and says nothing secret: hand it to another process, or put it
into a cookie, and go on there with `client.session(token)`.
"""

import asyncio
from collections.abc import Callable

from dynkv.client.caller import Ask, Turn
from dynkv.client.core import Core
from dynkv.client.errors import NotDynkv, SessionError
from dynkv.client.operations import KeyOperations
from dynkv.client.requests import KeyRequests
from dynkv.client.transport import Answer
from dynkv.core.session import NEW, TOKENS_MAX
from dynkv.runtime import pause

SESSION = "Dynkv-Session"
# Between two tries of a request that waits for replicas.
PAUSE_MAX_S = 0.25


class AsyncSession(KeyOperations):
    """Made by `AsyncClient.session`. Tasks may share it: what one has seen, the others do not fall behind."""

    def __init__(self, core: Callable[[], Core], token: str, wait_s: float) -> None:
        self._core_of = core
        self._wait_s = wait_s
        self._tokens = [token] if token else []
        self._turns = asyncio.Semaphore(TOKENS_MAX)

    @property
    def token(self) -> str:
        """What the session has seen so far, to go on with elsewhere. Fit for a cookie: letters, digits, `-`, `_`, and a
        dot between the tokens of requests that went side by side (four at most; the next request makes one of them)."""
        return ".".join(self._tokens) or NEW

    def _core(self) -> Core:
        return self._core_of()

    def _requests(self) -> KeyRequests:
        core = self._core_of()
        return KeyRequests(core.codecs, self._send, core.follow)

    async def _send(self, ask: Ask, deadline: float) -> Answer:
        core = self._core_of()
        now, caller = core.clock.now, core.caller
        tries = caller.tries(ask.write_id)
        async with Turn(self._turns, tries, deadline - now()):
            until = min(now() + self._wait_s, deadline)
            bound = core.options.pause_s
            while True:
                sent = list(self._tokens)
                headers = {**ask.headers, SESSION: ", ".join(sent) or NEW}
                try:
                    answer = await caller.call(ask._replace(headers=headers), deadline, tries)
                except SessionError:
                    wait_s = core.random.uniform(bound / 2, bound)
                    if now() + wait_s >= until:
                        raise
                    await pause(wait_s)
                    bound = min(bound * 2, PAUSE_MAX_S)
                else:
                    self._heard(sent, answer)
                    return answer

    def _heard(self, sent: list[str], answer: Answer) -> None:
        """The answer's token has all that those sent had. NotDynkv if it has none: the guarantees would be void."""
        token = answer.headers.get(SESSION)
        if not token:
            raise NotDynkv(f"an answer without {SESSION}: this node knows no sessions")
        self._tokens = [one for one in self._tokens if one not in sent] + [token]
