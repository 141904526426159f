"""The requests about one key that everything else is made of. How one is sent, its maker says: a session adds to it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple

from dynkv.client.answers import FOUND, WRITTEN, Values, check_missing, check_siblings, entry_of, receipt_of
from dynkv.client.caller import ATTEMPT, Ask
from dynkv.client.codecs import CBOR, Codecs
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import Contended, NotDynkv
from dynkv.client.keys import Key, path_of
from dynkv.client.transport import Answer

Level = int | Literal["one", "quorum", "all"]
Levels = Mapping[str, str]
Send = Callable[[Ask, float], Awaitable[Answer]]
Follow = Callable[[Receipt, Level, float | None], Any]
"""What `Receipt.replicated` does: a client that blocks has another than one that does not."""

TOO_LARGE = "Dynkv-Context-Too-Large"
TYPED = frozenset((200, 404))
UPDATED = frozenset((200, 204))
# How often a value and its description are asked for until both are of the same record.
DESCRIBED_TRIES = 5


def levels_of(**given: Level | bool | None) -> dict[str, str]:
    """The quorum parameters that are not None, as a request says them; the node checks them."""
    said = {name: value for name, value in given.items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}


class Body(NamedTuple):
    """What is written; `data` None deletes."""

    data: bytes | None
    content_type: str = ""


class KeyRequests:
    """All raise ClientError. `deadline`: by the clock of whoever sends."""

    def __init__(self, codecs: Codecs, send: Send, follow: Follow) -> None:
        self._codecs = codecs
        self._send = send
        self._follow = follow

    async def read(self, bucket: str, key: Key, levels: Levels, deadline: float, *, raw: bool = False) -> Entry:
        """What is there now, unresolved."""
        values = Values(self._codecs, raw=raw)
        for _ in range(DESCRIBED_TRIES):
            answer = await self._ask("GET", bucket, key, levels, deadline, {"Accept": CBOR}, FOUND)
            entry = entry_of(bucket, key, answer, values)
            if TOO_LARGE not in answer.headers or entry.context:
                return entry
            etag, context = await self._described(bucket, key, levels, deadline)
            if etag == entry.etag:
                entry.context = context
                return entry
        raise Contended(f"{bucket}/{key.text}: its context is too long for a header, and changes too fast to be asked")

    async def _described(self, bucket: str, key: Key, levels: Levels, deadline: float) -> tuple[str, str]:
        """ETag and context of a read that is told without values, in a body and so whatever their length."""
        query = {**levels, "explain": "true"}
        answer = await self._ask("GET", bucket, key, query, deadline, {"Accept": "application/json"}, FOUND)
        try:
            told = answer.json()
            return str(told["etag"] or ""), str(told["context"] or "")
        except (KeyError, TypeError) as error:
            raise NotDynkv(f"an explanation in a form that no node writes: {error!r}") from error

    async def exists(self, bucket: str, key: Key, levels: Levels, deadline: float) -> bool:
        answer = await self._ask("HEAD", bucket, key, levels, deadline, {}, FOUND)
        if answer.status == 404:
            check_missing(answer)
            return False
        check_siblings(answer)
        return True

    async def write(
        self, bucket: str, key: Key, body: Body, context: str | None, write_id: str, levels: Levels, deadline: float
    ) -> Receipt:
        headers = {"Idempotency-Key": write_id}
        if context:
            headers["Dynkv-Context"] = context
        if body.data is not None:
            headers["Content-Type"] = body.content_type
        method = "DELETE" if body.data is None else "PUT"
        answer = await self._ask(method, bucket, key, levels, deadline, headers, WRITTEN, body.data, write_id)
        return receipt_of(bucket, key, answer, write_id, self._follow)

    async def read_typed(self, kind: str, bucket: str, key: Key, levels: Levels, deadline: float) -> Answer:
        """200 with what `types` makes a value of, or 404."""
        path, place = path_of(bucket, key, f"/types/{kind}"), (bucket, key.data)
        ask = Ask("GET", path, levels, {"Accept": CBOR}, None, place, "", TYPED)
        return await self._send(ask, deadline)

    async def update_typed(
        self,
        kind: str,
        bucket: str,
        key: Key,
        body: bytes,
        seen: str | None,
        write_id: str,
        query: Levels,
        deadline: float,
        *,
        again: bool,
    ) -> Answer:
        """204, or 200 if the `query` asks for the value. `again`: the write was sent by a call before this one."""
        headers = {"Idempotency-Key": write_id, "Content-Type": CBOR, "Accept": CBOR}
        if seen is not None:
            headers["Dynkv-Context"] = seen
        if again:
            headers[ATTEMPT] = "2"
        path, place = path_of(bucket, key, f"/types/{kind}"), (bucket, key.data)
        return await self._send(Ask("POST", path, query, headers, body, place, write_id, UPDATED), deadline)

    async def _ask(
        self,
        method: str,
        bucket: str,
        key: Key,
        query: Levels,
        deadline: float,
        headers: Mapping[str, str],
        expects: frozenset[int],
        body: bytes | None = None,
        write_id: str = "",
    ) -> Answer:
        place = (bucket, key.data)
        ask = Ask(method, path_of(bucket, key), query, headers, body, place, write_id, expects)
        return await self._send(ask, deadline)
