"""Where a connection's requests come from.

`Load.source` is called in the worker process with the number of a connection, 0 up to their count, and returns that
connection's own `Source`. It is pickled on its way there: make it of what `pickle` takes (the classes here, or any
function at the top of a module).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dynkv.cli.load.wire import header


class Source(Protocol):
    """The requests of one connection, one after another."""

    # Whether `answered` wants to be called: most need not know, and a call costs.
    listens: bool

    def next(self) -> bytes | None:
        """The next request; None if there is none left, which ends this connection's part."""
        ...

    def answered(self, response: bytes) -> None:
        """The whole response to the request that `next` gave last."""
        ...


SourceOf = Callable[[int], Source]


class _Deaf:
    """Part of a source that does not look at answers."""

    listens = False

    def answered(self, response: bytes) -> None:
        raise AssertionError("this source does not listen")


@dataclass(frozen=True)
class Cycling:
    """The same requests again and again; each connection begins at another one."""

    requests: Sequence[bytes]

    def __call__(self, connection: int) -> Source:
        return _Cycle(self.requests, connection * 7919)


class _Cycle(_Deaf):
    def __init__(self, requests: Sequence[bytes], at: int) -> None:
        self._requests = requests
        self._at = at % len(requests)

    def next(self) -> bytes:
        at = self._at
        self._at = at + 1 if at + 1 < len(self._requests) else 0
        return self._requests[at]


@dataclass(frozen=True)
class Counting:
    """`make(0)`, `make(1)`, ... each once over all `connections`, up to `count` of them or without end."""

    make: Callable[[int], bytes]
    connections: int
    count: int | None = None

    def __call__(self, connection: int) -> Source:
        return _Count(self.make, connection, self.connections, self.count)


class _Count(_Deaf):
    def __init__(self, make: Callable[[int], bytes], first: int, step: int, count: int | None) -> None:
        self._make = make
        self._at = first
        self._step = step
        self._end = count

    def next(self) -> bytes | None:
        at = self._at
        if self._end is not None and at >= self._end:
            return None
        self._at = at + self._step
        return self._make(at)


@dataclass(frozen=True)
class Mixing:
    """Requests of `first` and of `second`, evenly interleaved, `share` (0 to 1) of them of `first`."""

    first: SourceOf
    second: SourceOf
    share: float

    def __call__(self, connection: int) -> Source:
        # Connections begin at different points of the pattern, or all would send the rarer kind at the same moment.
        return _Mix(self.first(connection), self.second(connection), self.share, (connection * 0.618) % 1)


class _Mix:
    def __init__(self, first: Source, second: Source, share: float, debt: float) -> None:
        self._first = first
        self._second = second
        self._share = share
        self._debt = debt
        self._last = first
        self.listens = first.listens or second.listens

    def next(self) -> bytes | None:
        self._debt += self._share
        if self._debt >= 1:
            self._debt -= 1
            self._last = self._first
        else:
            self._last = self._second
        return self._last.next()

    def answered(self, response: bytes) -> None:
        if self._last.listens:
            self._last.answered(response)


@dataclass(frozen=True)
class Overwriting:
    """Writes the same keys again and again, each with the context that its last write returned.

    `make(key number, context)` builds the request (empty context: none yet). Each connection has `keys` keys of its
    own, so nobody else writes between two of its writes and no siblings arise.
    """

    make: Callable[[int, bytes], bytes]
    keys: int

    def __call__(self, connection: int) -> Source:
        return _Overwrite(self.make, connection * self.keys, self.keys)


class _Overwrite:
    listens = True

    def __init__(self, make: Callable[[int, bytes], bytes], first: int, keys: int) -> None:
        self._make = make
        self._first = first
        self._contexts = [b""] * keys
        self._at = -1

    def next(self) -> bytes:
        self._at = (self._at + 1) % len(self._contexts)
        return self._make(self._first + self._at, self._contexts[self._at])

    def answered(self, response: bytes) -> None:
        self._contexts[self._at] = header(response, b"dynkv-context") or self._contexts[self._at]
