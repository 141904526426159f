"""When has a request heard enough? Two decision objects, fed with answers, that never wait and never talk.

Vocabulary of counts: a *vote* is an answer that counts to r (or w); a vote by a primary also counts to pr (or pw).

Who has a vote in a read (`ReadQuorum`):

    answer                          primary      fallback
    record or its digest            vote         vote if sloppy
    not found                       vote         never: it was not written to yet, so it knows nothing
    incomplete copy (being refilled)   never     never
    error, time-out, unreachable    never        never

A digest is a vote only once the record behind it is known: equal digests mean equal records, so one full record
speaks for all that sent its digest; a digest that nobody's record explains makes the coordinator fetch that record
(`unexplained`). So when `enough` holds, the merge of `records` covers everything that the voters hold.

Who has a vote in a write (`WriteQuorum`): a primary that has the record durably; a fallback that has it durably with
a hint for a primary, if sloppy. A hint that the coordinator keeps beside its own copy is no second copy and no vote.

Sources: DeCandia et al., Dynamo (2007), sections 4.5-4.6; Riak's `riak_kv_get_core` and `riak_kv_put_core` for the
separation of deciding and waiting.
"""

from collections.abc import Collection
from typing import Literal

Outcome = Literal["applied", "ambiguous", "not_applied"]


class ReadQuorum:
    """Counts the answers of one read. Nodes may answer more than once; the last answer of a node stands."""

    __slots__ = ("_complete", "_digests", "absent", "pr", "primaries", "r", "records", "refused", "sloppy")

    def __init__(self, r: int, pr: int, primaries: Collection[str], sloppy: bool) -> None:
        self.r = r
        self.pr = pr
        self.primaries = primaries
        self.sloppy = sloppy
        self.records: dict[bytes, bytes] = {}  # digest -> record
        self.absent: list[str] = []
        self.refused: dict[str, str] = {}  # node -> why it has no answer
        self._digests: dict[str, bytes] = {}  # node -> digest of what it holds
        self._complete: dict[str, bool] = {}

    def found(self, node: str, digest: bytes, record: bytes, complete: bool) -> None:
        """`node` holds a record with this digest; `record` is empty if it sent the digest alone."""
        self._digests[node] = digest
        self._complete[node] = complete
        self.refused.pop(node, None)
        if node in self.absent:
            self.absent.remove(node)
        if record:
            self.records[digest] = record

    def not_found(self, node: str, complete: bool) -> None:
        """`node` holds nothing under the key."""
        if node not in self.absent:
            self.absent.append(node)
        self._digests.pop(node, None)
        self._complete[node] = complete

    def failed(self, node: str, why: str) -> None:
        """`node` gave no answer and will give none. A digest of it that nothing explains never will be explained."""
        self.refused[node] = why
        if self._digests.get(node) not in self.records:
            self._digests.pop(node, None)
        if node in self.absent and node not in self.primaries:
            self.absent.remove(node)

    def lent(self, node: str, digest: bytes) -> None:
        """`node`, a fallback that held nothing, has durably taken the record with this digest (a hint beside it)."""
        if node in self.absent:
            self.absent.remove(node)
        self._digests[node] = digest
        self._complete[node] = True

    def unexplained(self) -> list[str]:
        """Nodes whose digest no known record explains. Their records must be fetched before they have a vote."""
        return [node for node, digest in self._digests.items() if digest not in self.records]

    def votes(self) -> tuple[int, int]:
        """(votes to r, votes to pr)."""
        r = pr = 0
        for node, digest in self._digests.items():
            if digest in self.records and self._complete[node]:
                if node in self.primaries:
                    r += 1
                    pr += 1
                elif self.sloppy:
                    r += 1
        for node in self.absent:
            if node in self.primaries and self._complete[node]:
                r += 1
                pr += 1
        return r, pr

    def enough(self) -> bool:
        """Whether r and pr are met."""
        r, pr = self.votes()
        return r >= self.r and pr >= self.pr

    def holders(self, digest: bytes) -> list[str]:
        """Who was heard to hold the merged record `digest`, and has a vote."""
        return [node for node, held in self._digests.items() if held == digest and self._complete[node]]

    def behind(self, digest: bytes) -> list[str]:
        """Primaries whose answer differs from the merged record `digest`.

        Fallbacks are left alone: their copies are on the way to a primary, and a record sent after one was handed off
        would stay where nobody looks for it.
        """
        stale = [node for node, held in self._digests.items() if held != digest and node in self.primaries]
        return stale + [node for node in self.absent if node in self.primaries]

    def replicas(self) -> dict[str, str]:
        """What each node that was asked had to say, in words."""
        said = {node: "found" if self._complete[node] else "found, but it is being refilled" for node in self._digests}
        for node in self.absent:
            if node not in self.primaries:
                said[node] = "not found, but a fallback's not-found does not count"
            else:
                said[node] = "not found" if self._complete[node] else "not found, but it is being refilled"
        return said | {node: why for node, why in self.refused.items() if node not in said}


class WriteQuorum:
    """Counts the acknowledgements of one write."""

    __slots__ = ("_got_pw", "_got_w", "possible", "primaries", "pw", "replicas", "sloppy", "w")

    def __init__(self, w: int, pw: int, primaries: Collection[str], sloppy: bool) -> None:
        self.w = w
        self.pw = pw
        self.primaries = primaries
        self.sloppy = sloppy
        self.replicas: dict[str, str] = {}
        self.possible = False  # whether some node may have the write without having said so
        self._got_w = 0
        self._got_pw = 0

    def acknowledged(self, node: str) -> None:
        """`node` has the record durably."""
        if self.replicas.get(node) == "ok":
            return
        self.replicas[node] = "ok"
        if node in self.primaries:
            self._got_w += 1
            self._got_pw += 1
        elif self.sloppy:
            self._got_w += 1

    def failed(self, node: str, why: str, reached: bool) -> None:
        """`node` will not acknowledge. `reached`: it may have the write all the same."""
        if self.replicas.get(node) == "ok":
            return
        self.replicas[node] = why
        self.possible = self.possible or reached

    def enough(self) -> bool:
        """Whether w and pw are met."""
        return self._got_w >= self.w and self._got_pw >= self.pw

    def everywhere(self) -> bool:
        """Whether all primaries have it."""
        return self._got_pw == len(self.primaries)

    def got(self) -> dict[str, int]:
        return {"w": self._got_w, "pw": self._got_pw}

    def needed(self) -> dict[str, int]:
        return {"w": self.w, "pw": self.pw}

    def outcome(self) -> Outcome:
        """What became of the write as far as the coordinator can know."""
        if self.enough():
            return "applied"
        return "ambiguous" if self.possible or "ok" in self.replicas.values() else "not_applied"
