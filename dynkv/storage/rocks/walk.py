"""All that can be read of a database with damaged files, in key order, and the stretches that cannot.

What RocksDB promises, and what was seen
----------------------------------------
A database is several sorted files, old and new ones, and an iterator merges them: of the versions of one key the newest
is shown. The question that decides everything here: the newest version (or the note that the key was deleted) lies in a
damaged block, an older one in a sound file of a lower level. Does the older one surface?

It does not, as long as one goes forward and believes the status. The merging iterator is valid only while all its parts
are: the moment one of them steps or is sought into a damaged block, the whole is invalid and `status` raises, whatever
the others hold. A seek is damaged for every target in the damaged block's share of the key space (from behind the last
key of the block before, up to a separator at or behind its own last key), sound behind it, and then each part stands at
or behind the target; so a key of the block is never shown by another file. Seen with rocksdict 0.3.29 (RocksDB 9): old
values compacted to level 6, newer ones and deletions over them in level 0, bits flipped in blocks of the latter, every
possible target sought: not one old value, and none through `get`, which asks newest first and raises at the first
damage. `tests/unit/test_store_salvage.py` repeats it.

So nothing in an unreadable stretch is shown, whichever file holds it, sound or not. It must be so: an old version is
mostly harmless where others hold newer ones, because its vector is covered by theirs and merging drops it; but if the
newest thing was "deleted, and the tombstone reaped by all", nobody holds anything that covers it, and it would be back
for good.

Going backward is no way around: `seek_for_prev` fails where a forward seek does not (the part with the damage has to
find the last key before the target, and that one is in the damaged block).

Finding the end of a stretch
----------------------------
Keys in a damaged block are unknown, so the first target behind it is searched in the space of all byte strings: read as
fractions in base 256, they can be halved. Bits may have been flipped in several places, and "a seek fails" is then no
single step in that space. But the message names the spot (file and offset of the block), and "fails with this very
spot" is: true through the block's share, false behind it. With parts damaged side by side one may hide the other, so
false may mean "fails with another spot"; the search goes on there, and what is skipped in between failed with either.

So sound blocks between damaged ones are kept, at 3 µs for each bit of a key and damaged block (about 1 ms). The search
ends two bytes behind the longest key known, and takes strings that differ in zeros at their end for one: keys so close
behind a boundary are lost with it.
"""

import re
from collections.abc import Iterator

import msgspec
from rocksdict import Rdict, ReadOptions

from dynkv.storage.damage import is_corruption, is_io_error
from dynkv.storage.keys import after

Pair = tuple[bytes, bytes]

PAGE_PAIRS = 512
PAGE_BYTES = 1 << 20
TRIES = 3
END = b"\xff"  # behind all keys: no kind of key begins with it

_SPOT = re.compile(r"[^/]*\.sst offset \d+")


class Stretch(msgspec.Struct, frozen=True):
    """Unreadable: all keys from `start` on and below `end`; `end` None: to the last. `why`: what RocksDB said."""

    start: bytes
    end: bytes | None
    why: str


class Walk:
    """One walk over a database that nobody writes to. Blocks on the disk; keeps no iterator between its steps."""

    def __init__(self, db: Rdict) -> None:
        self._db = db
        self._options = ReadOptions()
        self._options.fill_cache(False)  # type: ignore[call-arg]  # rocksdict's stub forgets the argument
        # The longest key known of: how finely the space of keys must be searched.
        self._longest = max((len(file[end]) for file in db.live_files() for end in ("start_key", "end_key")), default=0)

    def steps(self) -> Iterator[list[Pair] | Stretch]:
        """Everything in key order: pages of pairs (about PAGE_BYTES), and unreadable stretches where they lie.

        Neighbouring stretches may follow each other. An error that is no damage (too many open files) is raised as it
        is, and so is damage that comes and goes at one spot.
        """
        cursor = b""
        tries = 0
        while True:
            page, fault = self._read(cursor)
            if page:
                yield page
                cursor = after(page[-1][0])
                tries = 0
            elif fault is None:
                return
            else:
                end = self._beyond(cursor)
                if end == cursor:  # this time it could be read: once more from there
                    tries += 1
                    if tries == TRIES:
                        raise fault
                    continue
                yield Stretch(cursor, end, str(fault))
                if end is None:
                    return
                cursor = end

    def _read(self, cursor: bytes) -> tuple[list[Pair], Exception | None]:
        """The next pairs, and what ended them early: damage, or None (the page is full, or there are no more)."""
        page: list[Pair] = []
        size = 0
        iterator = None
        try:
            iterator = self._db.iter(self._options)
            iterator.seek(cursor)
            while len(page) < PAGE_PAIRS and size < PAGE_BYTES and iterator.valid():
                key, value = iterator.key(), iterator.value()
                page.append((key, value))
                self._longest = max(self._longest, len(key))
                size += len(key) + len(value)
                iterator.next()
            iterator.status()
        except Exception as error:  # noqa: BLE001 - `spot_of` raises what is no damage
            spot_of(error)
            return page, error.with_traceback(None)  # which would keep the iterator alive
        finally:
            del iterator
        return page, None

    def _beyond(self, start: bytes) -> bytes | None:
        """The first target behind the damage that a seek to `start` meets: `start` if it meets none, None if all of the
        rest fails there. A seek to the result succeeds, or meets other damage."""
        spot = self._probe(start)
        if spot is None:
            return start
        if self._probe(END) == spot:
            return None
        length = max(len(start), self._longest + 2)
        low, high = _fraction(start, length), _fraction(END, length)
        while high - low > 1:
            middle = (low + high) // 2
            if self._probe(_shortest(middle, length)) == spot:
                low = middle
            else:
                high = middle
        return _shortest(high, length)

    def _probe(self, target: bytes) -> str | None:
        """The spot at which a seek to `target` fails, or None."""
        iterator = None
        try:
            iterator = self._db.iter(self._options)
            iterator.seek(target)
            if iterator.valid():
                self._longest = max(self._longest, len(iterator.key()))
            iterator.status()
        except Exception as error:  # noqa: BLE001 - `spot_of` raises what is no damage
            return spot_of(error)
        finally:
            del iterator
        return None


def spot_of(error: Exception) -> str:
    """Which damage this is: the file and offset it names, or all that it says. Raises what is no damage."""
    said = str(error)
    if not (is_corruption(said) or is_io_error(said)):
        raise error
    found = _SPOT.search(said)
    return found[0] if found else said


def _fraction(text: bytes, length: int) -> int:
    """The string as a fraction, in units of 256 ** -length. Strings that differ only in zeros at their end are one."""
    return int.from_bytes(text.ljust(length, b"\x00"), "big")


def _shortest(fraction: int, length: int) -> bytes:
    """The first, in order, of the strings with this fraction."""
    return fraction.to_bytes(length, "big").rstrip(b"\x00")
