"""What a session has seen of a key, as a version vector, and whether a read covers it. Pure.

A vector says actor -> counter and so covers that actor's writes 1 to counter. A read falls behind if its vector lacks a
write that the session has made (its dot), or met in a read (that read's vector).

Records with one ETag are equal, so a read whose ETag is known to cover what was seen needs no look at its vector. A
write's answer gives the ETag of the record that it made at its coordinator. That record's vector is not said, and need
not be: replicas only ever take in whole records, so whoever covers the write's dot covers all of it.
"""

from collections.abc import Mapping

from dynkv.client.entry import Entry, Receipt

ETAGS_MAX = 4
"""Of a key: replicas that agree have one; while they do not, there are few."""


class Seen:
    """Of one key. context: for the session's next write of it; None if it has to read first to have one that covers all
    that was seen. gone: the newest thing seen is that there is nothing."""

    __slots__ = ("_etags", "context", "gone", "vector")

    def __init__(self) -> None:
        self.vector: dict[str, int] = {}
        self.context: str | None = ""
        self.gone = True
        self._etags: list[str] = []

    def knows(self, etag: str) -> bool:
        """Whether a record with this ETag is known to cover all that was seen."""
        return etag in self._etags

    def covered_by(self, vector: Mapping[str, int]) -> bool:
        """Whether a record with this vector has all that was seen."""
        return all(vector.get(actor, 0) >= counter for actor, counter in self.vector.items())

    def read(self, entry: Entry, vector: Mapping[str, int] | None = None) -> None:
        """A read that covers what was seen is given out. `vector`: its own, None if it was known by its ETag."""
        if vector is not None and vector != self.vector:
            self._etags.clear()  # those records may lack what is new in this one
            self._join(vector)
        self._remember(entry.etag)
        self.context, self.gone = entry.context, not entry.found

    def wrote(self, receipt: Receipt, *, covers: bool, deletes: bool) -> None:
        """A write of the session was applied, with a dot. covers: its context covered all that was seen."""
        actor, _, counter = receipt.dot.partition("-")
        self._join({actor: int(counter)})
        self._etags.clear()
        if covers:
            self._remember(receipt.etag)
        self.context = receipt.context if covers and receipt.context else None
        self.gone = deletes

    def _join(self, vector: Mapping[str, int]) -> None:
        for actor, counter in vector.items():
            if self.vector.get(actor, 0) < counter:
                self.vector[actor] = counter

    def _remember(self, etag: str) -> None:
        if etag and etag not in self._etags:
            self._etags.append(etag)
            del self._etags[:-ETAGS_MAX]
