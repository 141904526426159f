"""What sessions were told, and whether it can be: the four guarantees, checked from what clients see and nothing else.

A value names the write that wrote it, so no two writes write the same. Of each the writer says what it means to
replace: all that stood behind the context that it sent, and, in a session, its own earlier values. A set of siblings
*stands for* those values, for all that they replaced, and so on: who shows the newest word knows the ones before.

    read your writes, monotonic reads       what a read shows stands for all that its session wrote and was shown before
    nothing comes back                      nothing is shown beside what has replaced it
    monotonic writes, writes follow reads   what holds a write of a session stands for all that the session had seen

A write that failed with an open outcome counts for what it is once somebody sees it, and is asked of nobody before. If
it was then tried at another node under the same write id it may have two dots. A later write replaces the one that its
coordinator knows of; should the other turn up after that, the value is there once more, beside its successor. No
guarantee is broken by that, and no vector can prevent it.
"""

from collections.abc import Collection, Iterable

NOTHING: frozenset[bytes] = frozenset()


class Told:
    """The writes of one key."""

    def __init__(self) -> None:
        self._stands_for: dict[bytes, frozenset[bytes]] = {}
        self._must: dict[bytes, frozenset[bytes]] = {}
        self._repeated: set[bytes] = set()

    def writes(self, value: bytes, replaced: Collection[bytes], seen: Collection[bytes] = ()) -> None:
        """A write of `value` is about to be sent, once or more often; what a copy that has it must stand for."""
        self._stands_for[value] = frozenset((value,)).union(*(self._stands_for[other] for other in replaced))
        self._must[value] = frozenset(seen)

    def repeats(self, value: bytes) -> None:
        """That write has two dots."""
        self._repeated.add(value)

    def behind(self, shown: Iterable[bytes]) -> frozenset[bytes]:
        """All that `shown` stands for. AssertionError if something in it was never written."""
        return NOTHING.union(*(self._stands_for[value] for value in shown))

    def check(self, where: str, shown: Collection[bytes]) -> frozenset[bytes]:
        """What `shown`, at one copy or in one read, stands for; AssertionError if it is not possible."""
        known = self.behind(shown)
        replaced = [value for value in shown if any(value in self._stands_for[other] for other in known - {value})]
        back = set(replaced) - self._repeated
        assert not back, f"{where}: {back} is back beside what has replaced it"
        for value in known:
            lost = self._must[value] - known
            assert not lost, f"{where}: has {value!r} and not what its session had seen: {sorted(lost)}"
        return known


class TellTale:
    """One session: what it has written and been shown, by key."""

    def __init__(self) -> None:
        self.wrote: dict[str, frozenset[bytes]] = {}
        self.seen: dict[str, frozenset[bytes]] = {}

    def is_shown(self, told: Told, key: str, shown: Collection[bytes]) -> frozenset[bytes]:
        """A read of the session shows this. AssertionError if a guarantee is broken; else what stands behind it."""
        known = told.check(f"a read of {key}", shown)
        lost = self.seen.get(key, NOTHING) - known
        own = lost & self.wrote.get(key, NOTHING)
        assert not own, f"read your writes: {key} shows {sorted(shown)} and not {sorted(own)}"
        assert not lost, f"monotonic reads: {key} shows {sorted(shown)} and not {sorted(lost)}"
        self.seen[key] = known
        return known

    def has_written(self, key: str, value: bytes) -> None:
        """A write of the session was acknowledged."""
        self.wrote[key] = self.wrote.get(key, NOTHING) | {value}
        self.seen[key] = self.seen.get(key, NOTHING) | {value}
