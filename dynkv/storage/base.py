"""The seam to the disk: what a node asks of it, and nothing about how.

What may be seen before it is durable
-------------------------------------
`write` applies at once, `when_durable` says later that it is on disk. In between, `get` and `scan` show the new value.
That is meant: the next write of the same key must build on it, or its dot would be used twice. The rules that make it
safe:

- A node acknowledges a write, to a client or to a coordinator, only from a `when_durable` callback. What was merely
  seen counts for nobody's w.
- A reader at r=1 may see a value that then vanishes with the power of this one machine. Its write was not acknowledged
  by this replica; if w others acknowledged it they have it, else its writer was told "ambiguous" or not yet answered.
- A write whose sync failed stays visible until the store is reopened and may be gone after that. Its writer was told
  that it failed, so either is right. Because counters may go back with it, a reopened store is a new incarnation: the
  `renew` of whoever opened the store has run, durably, before another write is accepted.
- After a successful reopen everything that can be read has been written and synced anew.

Failures
--------
A failed write or sync makes the store read-only: writes are refused, waiting callbacks get the error, reads go on from
what is in memory and on disk. It is never retried into success on the same open files (after one failed fsync Linux
forgets which pages were dirty, and the next one succeeds over lost data). Instead the store, in the background, waits
until the disk has room and syncs again, closes, reopens, proves a write with its sync, renews the incarnation, and
takes writes up again. While it is closed, reads fail too. What it finds damaged stays read-only for good, and
`on_damaged` says so.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

SCAN_BYTES = 4 << 20
"""Bytes of values after which a step of a scan ends, unless it is told another number."""

Durability = Literal["synced", "relaxed"]
"""synced: `when_durable` waits for the disk. relaxed: it answers at once, and a sync runs every second."""

Change = tuple[bytes, bytes | None]
"""A key and its new value; None deletes. Deleting what is not there is allowed."""

Done = Callable[[Exception | None], None]
"""Told once, on the loop: None for success, or what went wrong."""

Renew = Callable[[str], None]
"""Takes a new incarnation, durable on return; the argument says why. Blocks, so it is called off the loop."""


class Durable(NamedTuple):
    """What tells a database from others, and from older copies of it.

    `database`: the id that it got when it was made. `sequence`: the number of its last change that is durable. Changes
    are numbered for as long as it lives, so an older copy has a smaller number, or lacks nothing. (Numbers of changes
    that were not durable, and went with the power, are given anew: a copy that holds such looks newer than it is.)
    """

    database: str
    sequence: int


class StoreStatus(msgspec.Struct, frozen=True):
    """What a store says about itself. Counts are since it was opened."""

    healthy: bool
    read_only: bool
    reason: str  # empty if healthy
    writes: int
    syncs: int
    sync_seconds: float  # in total, so the mean is sync_seconds / syncs
    sync_seconds_max: float
    sync_failures: int
    stalls: int  # writes refused with StoreBusy
    reopens: int
    bytes: int  # on disk and in memory, approximately; 0 if it cannot be told now


class Store(Protocol):
    """An ordered map of bytes with atomic batches. All methods are called on the event loop's thread only.

    Arguments may be kept but are never changed; results are the caller's. No method but `close` waits for the disk to
    sync; `get` and `scan` may read from it.
    """

    on_reopened: Callable[[], None] | None
    """Called on the loop after a failure was overcome, just before writes are accepted again. What was not yet durable
    may be gone and the incarnation is new: whoever keeps either in memory must read them again."""

    on_damaged: Callable[[str], None] | None
    """Called on the loop, once, with what was said, when files are known to be damaged: a `get` or `scan` is about to
    raise because of it, or a write or sync failed over it. An I/O error is damage only when it persists (see damage); a
    store that is closing or reopening is not damaged. The store goes on as it is: what can be read is served, and a
    block that cannot is asked for in vain. To heal it, its owner closes it and salvages the directory (see opening).
    The hook must not raise, nor call the store."""

    @property
    def durable(self) -> Durable:
        """Which database it is, and how much of it is known to be durable; after `close` too."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value, or None if there is none. StoreReadFailed if it cannot be known, which is not the same."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """`get` of each, in one look. StoreReadFailed if one of them cannot be known."""
        ...

    def write(self, changes: Sequence[Change]) -> None:
        """Apply all changes or none: visible on return, not yet durable. Later changes of one key win.

        StoreReadOnly and StoreBusy: nothing was applied. StoreWriteFailed: it may be on disk, and nobody may be told
        that it is; the store is read-only from then on.
        """
        ...

    def when_durable(self, done: Done) -> None:
        """Call `done(None)` once every `write` before this call is durable, `done(StoreWriteFailed)` if that failed.

        `done` runs on the loop, exactly once, in the order of the calls; perhaps before this call returns (nothing was
        left to sync; relaxed durability; read-only). It must not raise.
        """
        ...

    def scan(self, start: bytes, end: bytes, limit: int, bytes_max: int = SCAN_BYTES) -> list[tuple[bytes, bytes]]:
        """The first pairs with start <= key < end, ascending: `limit` of them at most, and no more once their values
        have `bytes_max` bytes together. Only an empty result means that there are no more.

        One small step: it holds the loop for about 2 µs a pair, so ask for tens, not thousands, and go on from
        `keys.after(last key)`. Nothing stays open in between; each step sees the map of its moment. StoreReadFailed if
        any part of the stretch cannot be read, so a result is never silently short.
        """
        ...

    def in_turn(self, work: Callable[[], None], done: Done) -> None:
        """Run `work`, which blocks on the disk, off the loop and when nothing else of this directory is written; then
        `done` on the loop, with its exception or None."""
        ...

    def status(self) -> StoreStatus:
        """Health and counts; cheap, never fails."""
        ...

    async def close(self) -> None:
        """Refuse further writes, sync what is left, answer all callbacks, let go of the disk. At most once.

        StoreWriteFailed (after letting go all the same) if not everything written is known to be durable: the stop
        was not a clean one.
        """
        ...
