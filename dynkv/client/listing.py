"""The keys of a bucket, by pages of PAGE_KEYS: `GET /kv/{bucket}?prefix=&limit=&cursor=`.

A page is read whole before its first key is handed out. So one that breaks in the middle is asked for again from its
beginning, at another node, and no key comes twice; and a listing of any length is held a page at a time.

A page may say that some partitions are missing: its cursor goes on with just them, when all others are told. Asking
goes on, with pauses, until they come back or nothing new has come for `timeout`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from dynkv.client.caller import Ask
from dynkv.client.core import Core
from dynkv.client.errors import IncompleteListing, NotDynkv, Unavailable
from dynkv.client.keys import check_name, text_of
from dynkv.client.requests import Levels
from dynkv.client.transport import Answer
from dynkv.runtime import pause

PAGE_KEYS = 1000
# A page asks several partitions, maybe one after the other.
PATIENCE = 2
_LINES = "application/x-ndjson"
_EXPECTS = frozenset((200,))


class KeyListing:
    """An async iterator over keys. `cursor`: goes on behind the last key handed out that ended a page; None once all
    are told. Give it to `keys` to go on later, or elsewhere."""

    def __init__(
        self,
        core: Core,
        bucket: str,
        prefix: str | bytes,
        levels: Levels,
        *,
        limit: int | None,
        cursor: str | None,
        timeout_s: float | None,
    ) -> None:
        """ValueError, BadRequest."""
        if limit is not None and limit < 1:
            raise ValueError(f"limit: is {limit}; must be 1 or more")
        self.cursor = cursor
        self._core = core
        self._bucket = check_name(bucket)
        self._prefix = prefix.encode("utf-8", "surrogateescape") if isinstance(prefix, str) else prefix
        self._levels = levels
        self._limit = limit
        self._timeout_s = timeout_s
        core.caller.deadline(timeout_s)  # a timeout that is none fails here and not at the first key

    async def __aiter__(self) -> AsyncIterator[str]:
        async for page in self.pages():
            for key in page:
                yield key

    async def pages(self) -> AsyncGenerator[list[str], None]:
        """The same by pages of up to 1,000 keys. Of each, `cursor` is set when the next is asked for."""
        left = self._limit
        deadline = self._core.caller.deadline(self._timeout_s)
        waits = 0
        missing: Mapping[int, str] = {}
        while left is None or left > 0:
            try:
                keys, told = await self._page(PAGE_KEYS if left is None else min(left, PAGE_KEYS), deadline)
            except Unavailable as error:
                if missing and self.cursor is not None:
                    raise IncompleteListing(missing, self.cursor, error.attempts) from error
                raise
            missing = told["missing"]
            if keys:
                left = None if left is None else left - len(keys)
                yield keys
                deadline, waits = self._core.caller.deadline(self._timeout_s), 0  # however long that was looked at
            self.cursor = told["cursor"]
            if self.cursor is None:
                return
            if not keys:
                await self._wait(missing, self.cursor, deadline, waits)
                waits += 1

    async def _page(self, count: int, deadline: float) -> tuple[list[str], Mapping[str, Any]]:
        """Its keys, and what its end says. NotDynkv."""
        query: dict[str, str | bytes] = {**self._levels, "limit": str(count)}
        if self.cursor is not None:
            query["cursor"] = self.cursor
        if self._prefix:
            query["prefix"] = self._prefix
        ask = Ask("GET", f"/kv/{self._bucket}", query, {"Accept": _LINES}, None, None, "", _EXPECTS, PATIENCE)
        return _parsed(await self._core.caller.call(ask, deadline))

    async def _wait(self, missing: Mapping[int, str], cursor: str, deadline: float, waits: int) -> None:
        """IncompleteListing if there is no time for another try."""
        options, core = self._core.options, self._core
        bound = min(options.pause_max_s, options.pause_s * 2.0 ** min(waits, 16))
        wait_s = core.random.uniform(bound / 2, bound)
        if core.clock.now() + wait_s >= deadline:
            raise IncompleteListing(missing, cursor)
        await pause(wait_s)


def _parsed(answer: Answer) -> tuple[list[str], Mapping[str, Any]]:
    try:
        *lines, last, rest = answer.body.split(b"\n")
        keys = [text_of(unquote_to_bytes(json.loads(line)["key"])) for line in lines]
        told = json.loads(last)
        missing = {int(one["partition"]): str(one["why"]) for one in told["missing"]}
        cursor = None if told["cursor"] is None else str(told["cursor"])
        if rest or told["count"] != len(keys):
            raise ValueError(f"{len(keys)} keys instead of {told['count']}")
    except (KeyError, TypeError, ValueError) as error:
        raise NotDynkv(f"keys in a form that no node writes: {error!r}") from error
    return keys, {"missing": missing, "cursor": cursor}
