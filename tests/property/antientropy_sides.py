"""Two replicas in two dictionaries, and the loop that drives an exchange between them.

A key is four bytes: a number that orders it, then its leaf, so that the keys of a leaf are not neighbours. A record is
a set of events, as bits; merging is the union and the digest is the set itself. Nothing is ever only on its way: what
may happen in between happens where the loop says `pause`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from antientropy import (
    LEAVES,
    NODE_BYTES,
    Action,
    Answer,
    AskKeys,
    AskLeaves,
    AskRoot,
    Difference,
    Entry,
    Exchange,
    Finish,
    HashTree,
    Inner,
    Keys,
    Leaves,
    ListOwn,
    Repair,
    Result,
    Settle,
    answer_leaves,
    answer_root,
    pack_nodes,
    unpack_nodes,
)

SEED = 3
EVENTS = 8
LEAF_CHOICES = [0, 1, 31, 32, 500, LEAVES - 1]


def key_of(number: int, leaf: int) -> bytes:
    return number.to_bytes(2, "big") + leaf.to_bytes(2, "big")


def name_of(key: bytes) -> int | None:
    """None for what is no key here."""
    if len(key) != 4:
        return None
    leaf = int.from_bytes(key[2:], "big")
    return int.from_bytes(key[:2], "big") * LEAVES + leaf if leaf < LEAVES else None


def digest_of(record: int | None) -> bytes | None:
    return None if record is None else bytes([record])


KEYS = st.builds(key_of, st.integers(0, 5), st.sampled_from(LEAF_CHOICES))
RECORDS = st.dictionaries(KEYS, st.integers(1, 2**EVENTS - 1), max_size=24)


class Side:
    """A replica: records and the tree over them."""

    def __init__(self, records: dict[bytes, int]) -> None:
        self.records = dict[bytes, int]()
        self.tree = HashTree(SEED)
        for key, record in records.items():
            self.merge(key, record)

    def merge(self, key: bytes, record: int) -> None:
        name = name_of(key)
        assert name is not None
        old = self.records.get(key)
        self.records[key] = record | (old or 0)
        self.tree.update(name, digest_of(old), digest_of(self.records[key]))

    def stretch(self, leaves: tuple[int, ...], after: bytes, until: bytes) -> list[Entry]:
        """By looking at every key there is."""
        return [
            (key, bytes([self.records[key]]))
            for key in sorted(self.records)
            if int.from_bytes(key[2:], "big") in leaves and key > after and (not until or key <= until)
        ]

    def page(self, leaves: tuple[int, ...], after: bytes, until: bytes, limit: int) -> tuple[list[Entry], bytes]:
        """The first `limit` keys of a stretch, and how far they go."""
        entries = self.stretch(leaves, after, until)
        if len(entries) <= limit:
            return entries, until
        return entries[:limit], entries[limit - 1][0]


def apart(ours: Side, theirs: Side) -> list[Difference]:
    """The oracle: all keys of both."""
    keys = sorted(ours.records.keys() | theirs.records.keys())
    pairs = [(key, digest_of(ours.records.get(key)), digest_of(theirs.records.get(key))) for key in keys]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def nothing() -> None:
    """What happens in between when all is quiet."""


@dataclass
class Run:
    """One exchange between two sides, driven to its end, and what it cost."""

    ours: Side
    theirs: Side
    their_page: int = 1000
    our_page: int = 1000
    pause: Callable[[], None] = nothing
    found: list[Difference] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    node_bytes: int = 0
    """Of hashes and indexes of nodes, both ways."""
    entries: int = 0
    """Keys with digests that the peer sent."""

    def __post_init__(self) -> None:
        self._listed = dict[bytes, bytes]()  # the peer's keys of its newest page, as they were when it listed them

    def to_the_end(self) -> Result:
        exchange = Exchange(self.ours.tree, name_of)
        action = exchange.action
        while not isinstance(action, Finish):
            self.actions.append(action)
            self.pause()
            match action:
                case AskRoot() | AskLeaves() | AskKeys():
                    answer = self.answer(action)
                    self.pause()
                    action = exchange.heard(answer)
                case Settle():
                    action = exchange.settled()
                case ListOwn(leaves, after, until):
                    ours, covered = self.ours.page(leaves, after, until, self.our_page)
                    action = exchange.listed(ours, covered)
                    self._check(leaves, after, covered, dict(ours), action)
                case Repair(differences):
                    skipped = sum(not self._repair(one) for one in differences)
                    action = exchange.repaired(skipped)
        return action.result

    def answer(self, asked: AskRoot | AskLeaves | AskKeys) -> Answer:
        """As an honest peer; nodes go through bytes, as they travel."""
        match asked:
            case AskRoot(root):
                answer: Answer = answer_root(self.theirs.tree, unpack_nodes(pack_nodes([root]))[0])
                self.node_bytes += NODE_BYTES
            case AskLeaves(inner):
                answer = answer_leaves(self.theirs.tree, inner)
                self.node_bytes += len(inner)
            case AskKeys(leaves, after):
                entries, until = self.theirs.page(leaves, after, b"", self.their_page)
                self._listed = dict(self.theirs.stretch(leaves, after, until))
                self.entries += len(entries)
                self.node_bytes += 2 * len(leaves)
                return Keys(entries, until)
        if isinstance(answer, Inner | Leaves):
            data = pack_nodes(answer.nodes)
            self.node_bytes += len(data)
            answer = type(answer)(unpack_nodes(data))
        return answer

    def _check(
        self, leaves: tuple[int, ...], after: bytes, until: bytes, ours: dict[bytes, bytes], action: Action
    ) -> None:
        """What is found is what differed between the moments at which the two sides listed, no less and no more."""
        theirs = {key: digest for key, digest in self._listed.items() if key > after and (not until or key <= until)}
        expected = tuple(
            Difference(key, ours.get(key), theirs.get(key))
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        )
        assert (action.differences if isinstance(action, Repair) else ()) == expected
        self.found += expected

    def _repair(self, one: Difference) -> bool:
        """Merge both ways, unless either side moved on since it listed the key."""
        self.pause()
        our, their = self.ours.records.get(one.key), self.theirs.records.get(one.key)
        if (digest_of(our), digest_of(their)) != (one.ours, one.theirs):
            return False
        merged = (our or 0) | (their or 0)
        self.ours.merge(one.key, merged)
        self.theirs.merge(one.key, merged)
        return True
