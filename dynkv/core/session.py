"""Sessions: what one client has seen of the store, of several keys, as a token that it carries from request to request.

    Dynkv-Session: new          begins a session; every answer in it has a Dynkv-Session to send next time
    Dynkv-Session: T            goes on, at any node, in any process
    Dynkv-Session: T1, T2       goes on after requests that were sent side by side: all that either has seen (or T1.T2,
                                which may stand in a cookie as it is)

The guarantees are those of Terry, Demers, Petersen, Spreitzer, Theimer, Welch: "Session Guarantees for Weakly
Consistent Replicated Data", 1994, each for one key:

    read your writes        a read shows the session's own writes of the key, or what has replaced them
    monotonic reads         a read shows what earlier ones showed, or what has replaced it
    monotonic writes        a replica that has a write of the session knows the session's earlier ones of the key
    writes follow reads     a replica that has a write of the session knows what the session had read of the key

All that it takes is a vector for each key: a record that covers it knows those events, be they there still, overwritten
or deleted. What a read must cover is its key's vector; what a write must cover first, in the copy that coordinates it,
is the same (and then the whole-record rule, see `record`, carries it wherever the write goes).

A write replaces what its context covers, as always, *and the session's own earlier value of the key*: who writes twice
in a row means the second. It never replaces what the session has only read: that is what a context is for. Vectors
cannot say "this dot and none below", so own values that may still be there are kept as dots (`own`).

A token is a sequence of integers in MessagePack, sealed (`core.seal`):

    forgot, then for each key: its token,
            number of actors, (actor, counter)..., number of own dots, (place of its actor, counter)...

It holds the keys touched last, up to KEYS_MAX and as far as there is room: a dozen keys take about 400 characters.
What is pushed out is forgotten but for the fact (`forgot`): a key that is not in the token may then be one of those,
and is read and written under stricter conditions (see `coordinator.session`), which give the guarantees as far as what
was seen was on a majority of the key's primaries.

A key goes by its 64-bit token. Two keys with one token would ask too much of each other, never too little.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadSession
from dynkv.core.record import Actor, Counter, Record, Vector, union
from dynkv.core.seal import Broken, Seal
from ring.tokens import token

KEYS_MAX = 64

TOKEN_CHARS_MAX = 3072
"""The longest token: fits a cookie, and four of them a header field."""

TOKENS_MAX = 4
"""As many may come with one request."""

NEW = "new"
_BYTES_MAX = TOKEN_CHARS_MAX // 4 * 3 - 16  # without the seal

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, ...]).decode

Dots = Annotated[tuple[tuple[Actor, Counter], ...], Meta(max_length=1024)]


class Demand(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a session demands of a request for one key. It travels with forwarded writes.

    `vector`: what must be covered. `own`: dots of the session's own values, to be replaced by its next write.
    `forgotten`: more may have been seen than is known. `wait_ms`: how long to wait for what is missing.
    """

    vector: Dots
    own: Dots
    forgotten: bool
    wait_ms: Annotated[int, Meta(ge=0)]


class Seen(NamedTuple):
    """Of one key. Both ascend; the vector covers the dots."""

    vector: Vector
    own: Vector


NOTHING = Seen((), ())

Part = tuple[int, ...]
"""The same as it stands in a token, behind the key's. Only the part of the key in question is ever opened."""


def closed(seen: Seen) -> Part:
    vector, own = seen
    numbers = [len(vector)]
    for event in vector:
        numbers += event
    numbers.append(len(own))
    if own:
        actors = [actor for actor, _ in vector]
        for actor, counter in own:
            numbers += (actors.index(actor), counter)
    return tuple(numbers)


def opened(part: Part) -> Seen:
    end = 1 + 2 * part[0]
    vector = tuple(zip(part[1:end:2], part[2:end:2], strict=True))
    own = zip(part[end + 1 :: 2], part[end + 2 :: 2], strict=True)
    return Seen(vector, tuple((vector[place][0], counter) for place, counter in own))


class Session:
    """All that one session has seen, newest key first. Never changed: what is seen next makes another one."""

    __slots__ = ("forgot", "parts")

    def __init__(self, parts: Mapping[int, Part] | None = None, forgot: bool = False) -> None:
        self.parts: Mapping[int, Part] = {} if parts is None else parts
        self.forgot = forgot

    def __iter__(self) -> Iterator[tuple[int, Seen]]:
        return ((name, opened(part)) for name, part in self.parts.items())

    def __len__(self) -> int:
        return len(self.parts)

    def demand(self, bucket: str, key: bytes, wait_ms: int = 0) -> Demand:
        """What a request for this key must meet."""
        name = token(bucket, key)
        vector, own = self._of(name)
        return Demand(vector, own, self.forgot and name not in self.parts, wait_ms)

    def remembers(self, bucket: str, key: bytes) -> bool:
        """Whether all that the session has seen of this key is here."""
        return not self.forgot or token(bucket, key) in self.parts

    def after_read(self, bucket: str, key: bytes, record: Record | None) -> "Session":
        """With what a read of the key found, which met its demand: covers it, or proves that what it does not cover is
        nowhere any more."""
        name = token(bucket, key)
        if record is None:
            return Session({other: part for other, part in self.parts.items() if other != name}, self.forgot)
        own = self._of(name).own
        if own:
            alive = {(sibling.actor, sibling.counter) for sibling in record.siblings}
            own = tuple(dot for dot in own if dot in alive)
        return self._with(name, Seen(record.vector, own))

    def after_write(self, bucket: str, key: bytes, covering: Vector, dot: tuple[int, int] | None) -> "Session":
        """With a write that was applied: who covers `covering` has it. `dot`: None if it has since been overwritten."""
        name = token(bucket, key)
        vector, own = self._of(name)
        return self._with(name, Seen(union(vector, covering), own if dot is None else (dot,)))

    def _of(self, name: int) -> Seen:
        part = self.parts.get(name)
        return NOTHING if part is None else opened(part)

    def _with(self, name: int, seen: Seen) -> "Session":
        part = closed(seen)
        parts = {name: part, **self.parts}  # first, but with the old part if there was one
        parts[name] = part
        return Session(parts, self.forgot)


def joined(sessions: Sequence[Session]) -> Session:
    """All that any of them has seen."""
    if len(sessions) == 1:
        return sessions[0]
    seen: dict[int, Seen] = {}
    for row in zip_longest(*sessions):  # the newest of each before the second of any
        for name, (vector, own) in filter(None, row):
            before = seen.get(name, NOTHING)
            seen[name] = Seen(union(before.vector, vector), tuple(sorted({*before.own, *own})))
    return Session({name: closed(one) for name, one in seen.items()}, any(session.forgot for session in sessions))


class SessionTokens:
    """Makes and reads the session tokens of one cluster."""

    def __init__(self, key: bytes) -> None:
        """`key` is the cluster's secret."""
        self._seal = Seal(key, b"dynkv session 1", "was got from another cluster")

    def make(self, session: Session) -> str:
        """The token; what finds no room is forgotten."""
        numbers = [int(session.forgot)]
        for name, part in session.parts.items():
            numbers.append(name)
            numbers += part
        packed = _encode(numbers)
        if len(session) > KEYS_MAX or len(packed) > _BYTES_MAX:
            packed = _encode(_cut(session))
        return self._seal.close(packed)

    def parse(self, field: str) -> Session:
        """The session that a request's field tells of. BadSession."""
        said = [text for text in (part.strip() for part in field.replace(".", ",").split(",")) if text]
        if not said:
            raise BadSession("is empty")  # a client that lost its token would go on in another session, unawares
        texts = [text for text in said if text != NEW]
        if not texts:
            return Session()
        if len(texts) > TOKENS_MAX:
            raise BadSession(f"holds {len(texts)} tokens; at most {TOKENS_MAX} are taken together")
        return joined([self._parse(text) for text in texts])

    def _parse(self, text: str) -> Session:
        if len(text) > TOKEN_CHARS_MAX:
            raise BadSession(f"has {len(text)} characters; the longest token has {TOKEN_CHARS_MAX}")
        try:
            return _session(_decode(self._seal.open(text)))
        except Broken as error:
            raise BadSession(error.why) from error
        except (msgspec.MsgspecError, IndexError) as error:
            raise BadSession("is of another version of dynkv") from error


def _cut(session: Session) -> list[int]:
    """The sequence without the keys that find no room, the newest first."""
    room = _BYTES_MAX - 8  # for the length of the whole and `forgot`
    numbers = [int(session.forgot)]
    kept = 0
    for name, part in session.parts.items():
        size = len(_encode((name, *part)))
        if kept < KEYS_MAX and size <= room:
            numbers += (name, *part)
            kept += 1
            room -= size
        else:
            numbers[0] = 1
    return numbers


def _session(numbers: tuple[int, ...]) -> Session:
    """The session that the sequence tells of."""
    parts: dict[int, Part] = {}
    start = 1
    while start < len(numbers):
        owns = start + 2 + 2 * numbers[start + 1]
        end = owns + 1 + 2 * numbers[owns]
        parts[numbers[start]] = numbers[start + 1 : end]
        start = end
    return Session(parts, bool(numbers[0]))
