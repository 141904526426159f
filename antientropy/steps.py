"""What an exchange asks for, what it is told, and how it ends: its whole vocabulary, plain values.

Node hashes and indexes are integers here; `pack_nodes` and `unpack_nodes` make bytes of hashes. A *page* is a listing
of the stretch of keys (after, until], in the order in which keys are stored; an empty `until` is to the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from antientropy.difference import Difference, Entry

PAGE_KEYS_MAX = 4096
"""Keys in one page. A longer one is refused, so that a peer cannot make us hold more."""

PAGES_MAX = 1 << 16
"""Pages of one exchange. A page may be empty and still lead on (a listing that looked at enough keys of other leaves);
a peer that leads on forever is left after so many."""


# --- actions: what whoever drives the exchange is to do, one at a time ------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskRoot:
    """Send the peer our root. Answered by Same, Inner or Unknown."""

    root: int


@dataclass(frozen=True, slots=True)
class AskLeaves:
    """Ask the peer for the leaves under these inner nodes, ascending. Answered by Leaves or Unknown."""

    inner: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait as long as a write may be under way between two replicas, then call `settled`."""


@dataclass(frozen=True, slots=True)
class AskKeys:
    """Ask the peer for its keys of these leaves (ascending) beyond `after`. Answered by Keys or Unknown."""

    leaves: tuple[int, ...]
    after: bytes


@dataclass(frozen=True, slots=True)
class ListOwn:
    """List our keys of these leaves in (after, until], then call `listed`."""

    leaves: tuple[int, ...]
    after: bytes
    until: bytes


@dataclass(frozen=True, slots=True)
class Repair:
    """Make these keys equal on both sides, then call `repaired`. What changed on either side since is skipped."""

    differences: tuple[Difference, ...]


# --- answers of the peer ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Same:
    """My root is yours."""


@dataclass(frozen=True, slots=True)
class Inner:
    """My root is another; these are the nodes under it."""

    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leaves:
    """32 leaves for each inner node asked, in the order asked."""

    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """My keys of the leaves asked, ascending, in the stretch from the `after` asked to `until`, `until` included."""

    entries: Sequence[Entry]
    until: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """I cannot say: my tree, or what it stands for, is not to be trusted now."""

    why: str


Answer = Same | Inner | Leaves | Keys | Unknown


# --- the end ----------------------------------------------------------------------------------------------------------


class Outcome(Enum):
    """How an exchange ended. A check that could not be made is unknown or failed, never in step."""

    IN_STEP = "in step"
    """No key differed, or only while writes were under way."""
    REPAIRED = "repaired"
    """Keys differed, and every one of them was made equal."""
    SKIPPED = "skipped"
    """Keys differed, and some were passed over: they changed meanwhile, or could not be made equal."""
    UNKNOWN = "unknown"
    """One side cannot answer for its data."""
    FAILED = "failed"
    """It broke off: no answer, or one that breaks the rules."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far an exchange has got."""

    settled: int = 0
    """Leaves that differed at first and no more after the wait."""
    leaves: int = 0
    """Leaves that differed both times, so that their keys were listed. With no key that differs in them, either writes
    landed in between, or, if it happens again and again, one of the two trees is not exact."""
    keys: int = 0
    """Keys found to differ. Those neither repaired nor skipped are in work, or were when it broke off."""
    repaired: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """`why`: words for an outcome that is not a comparison, else empty."""

    outcome: Outcome
    why: str
    counts: Counts

    @property
    def whole(self) -> bool:
        """Every key was compared, and what differed was made equal."""
        return self.outcome in (Outcome.IN_STEP, Outcome.REPAIRED)


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more to do."""

    result: Result


Action = AskRoot | AskLeaves | Settle | AskKeys | ListOwn | Repair | Finish
