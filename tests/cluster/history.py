"""What clients were told, and what must be true of the values at the end.

A value is identified by its bytes; a test never writes the same bytes twice. Of each key the history knows:

    attempted   values that a write was sent for, with the values its writer had seen
    applied     those that were acknowledged

    must        applied, and seen by no attempted write: nobody had the right to replace it
    must not    seen by an applied write: it was replaced for good

A write whose outcome is unknown may have replaced what its writer had seen, so those values may be there or not, and
its own value likewise. The checker, not the test's eye, decides.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable


class KeyHistory:
    """The history of one key."""

    def __init__(self) -> None:
        self.attempted: dict[bytes, frozenset[bytes]] = {}
        self.applied: set[bytes] = set()

    def must(self) -> set[bytes]:
        seen_by_any = set().union(*self.attempted.values()) if self.attempted else set()
        return self.applied - seen_by_any

    def must_not(self) -> set[bytes]:
        return set().union(*(self.attempted[value] for value in self.applied)) if self.applied else set()


class History:
    """The histories of all keys. Any thread may add to it."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyHistory] = defaultdict(KeyHistory)
        self._lock = threading.Lock()

    def attempt(self, key: str, value: bytes, seen: Collection[bytes] = ()) -> None:
        """A write of `value` is about to be sent, by somebody who has read `seen`."""
        with self._lock:
            history = self._keys[key]
            assert value not in history.attempted, "a test wrote the same bytes twice"
            history.attempted[value] = frozenset(seen)

    def applied(self, key: str, value: bytes) -> None:
        """The write of `value` was acknowledged."""
        with self._lock:
            self._keys[key].applied.add(value)

    def refused(self, key: str, value: bytes) -> None:
        """The write of `value` certainly did not happen."""
        with self._lock:
            del self._keys[key].attempted[value]

    def acknowledged_keys(self) -> list[str]:
        """All keys with an acknowledged write, sorted."""
        with self._lock:
            return sorted(key for key, history in self._keys.items() if history.applied)

    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        with self._lock:
            return sum(len(history.applied) for history in self._keys.values())

    def faults(self, key: str, values: Iterable[bytes]) -> list[str]:
        """What is wrong with `values` as the final values of `key`, one line each."""
        with self._lock:
            history = self._keys[key]
            found = set(values)
            lost, back = history.must() - found, history.must_not() & found
            invented = found - history.attempted.keys()
        return [
            *(f"{key}: acknowledged {value!r} is lost" for value in sorted(lost)),
            *(f"{key}: overwritten {value!r} is back" for value in sorted(back)),
            *(f"{key}: {value!r} was never written" for value in sorted(invented)),
        ]
