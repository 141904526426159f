"""One exchange: two replicas of a partition find the keys in which they differ. Both sides; no clock, no socket.

Who began it runs an `Exchange`; the other side keeps nothing and answers questions: `answer_root`, `answer_leaves`, and
a listing of its keys. The way down:

    AskRoot      equal roots: in step, and that is all it costs
    AskLeaves    of the inner nodes that differ
    Settle       then AskLeaves again: a write under way between the two makes leaves differ for a moment, and only
                 those that differ both times are looked into
    AskKeys      a page of the peer's keys of those leaves, then ListOwn: ours of the same stretch, so that each side
                 holds one page at a time
    Repair       the keys that differ, then on with the stretch, and the next page, to the end

Both trees are live. Ours is read anew at each step and never remembered across one; a difference is true of the moment
at which both sides listed the key, and repairing it is the business of whoever drives this, who merges whole records
and passes over what changed since.

What the peer says is not trusted. An answer of the wrong kind, size or order, a key outside of what was asked, or a
listing that does not get on ends the exchange as failed, and raises nothing. (That its hashes and digests are true,
nobody can check; a peer that lies about them costs us work, or its own repair.) What the driver says is trusted, and
asserted: an event that does not fit the action is a defect.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from antientropy.difference import Entry, difference, misplaced
from antientropy.steps import (
    PAGE_KEYS_MAX,
    PAGES_MAX,
    Action,
    Answer,
    AskKeys,
    AskLeaves,
    AskRoot,
    Counts,
    Finish,
    Inner,
    Keys,
    Leaves,
    ListOwn,
    Outcome,
    Repair,
    Result,
    Same,
    Settle,
    Unknown,
)
from antientropy.tree import FANOUT, HashTree


class Exchange:
    """The side that began. Do `action`, report with the event it names, and go on with the action that returns.

    `tree`: ours, live. `name_of`: the name by which the tree knows a key, or None for bytes that are no key of this
    tree; it is asked about whatever the peer sends, and must not raise.
    """

    __slots__ = ("_covered", "_name_of", "_page_until", "_pages", "_theirs", "action", "counts", "leaves", "tree")

    def __init__(self, tree: HashTree, name_of: Callable[[bytes], int | None]) -> None:
        self.tree = tree
        self._name_of = name_of
        self.leaves: tuple[int, ...] = ()  # that differ: at first none are known, then at first sight, then both times
        self._theirs: Sequence[Entry] = ()  # what of the peer's page has not been held against ours yet
        self._page_until = b""
        self._covered = b""  # both sides have listed up to here
        self._pages = 0
        self.action: Action = AskRoot(tree.root)
        self.counts = Counts()

    # --- events -------------------------------------------------------------------------------------------------------

    def heard(self, answer: Answer) -> Action:
        """The peer's answer to AskRoot, AskLeaves or AskKeys."""
        asked = self.action
        assert isinstance(asked, AskRoot | AskLeaves | AskKeys), f"{answer} to {asked}, which asks for none"
        match asked, answer:
            case _, Unknown(why):
                return self._finish(Outcome.UNKNOWN, why)
            case AskRoot(), Same():
                return self._finish(Outcome.IN_STEP)
            case AskRoot(), Inner(nodes) if len(nodes) == FANOUT:
                return self._compare_inner(nodes)
            case AskLeaves(inner), Leaves(nodes) if len(nodes) == len(inner) * FANOUT:
                return self._compare_leaves(inner, nodes)
            case AskKeys(leaves, after), Keys(entries, until):
                why = self._fault(asked, entries, until)
                if why:
                    return self._finish(Outcome.FAILED, why)
                self._theirs, self._page_until = entries, until
                return self._go(ListOwn(leaves, after, until))
        return self._finish(Outcome.FAILED, "an answer that does not fit the question")

    def settled(self) -> Action:
        """The wait that Settle asked for is over."""
        assert isinstance(self.action, Settle)
        return self._go(AskLeaves(tuple(sorted({leaf // FANOUT for leaf in self.leaves}))))

    def listed(self, entries: Sequence[Entry], until: bytes | None = None) -> Action:
        """Our keys as ListOwn asked, ascending. `until`: how far they go, if not as far as asked (a page was full)."""
        asked = self.action
        assert isinstance(asked, ListOwn)
        until = asked.until if until is None else until
        assert until == asked.until or (asked.after < until and (until < asked.until or not asked.until))
        assert not misplaced(entries, asked.after, until), "our own listing is out of order, or not of this stretch"
        theirs = self._theirs
        if until != asked.until:
            theirs = [entry for entry in theirs if entry[0] <= until]
        self._theirs = self._theirs[len(theirs) :]
        self._covered = until
        found = tuple(difference(entries, theirs))
        if not found:
            return self._on()
        self.counts = replace(self.counts, keys=self.counts.keys + len(found))
        return self._go(Repair(found))

    def repaired(self, skipped: int = 0) -> Action:
        """Repair is done; `skipped` of its keys were passed over."""
        asked = self.action
        assert isinstance(asked, Repair)
        done = len(asked.differences) - skipped
        assert 0 <= done <= len(asked.differences)
        now = self.counts
        self.counts = replace(now, repaired=now.repaired + done, skipped=now.skipped + skipped)
        return self._on()

    def unknown(self, why: str) -> Action:
        """Our own side cannot answer for its data any more. At any time; without effect once finished."""
        return self._finish(Outcome.UNKNOWN, why)

    def failed(self, why: str) -> Action:
        """What was asked for could not be had. At any time; without effect once finished."""
        return self._finish(Outcome.FAILED, why)

    # --- the way down -------------------------------------------------------------------------------------------------

    def _compare_inner(self, theirs: Sequence[int]) -> Action:
        apart = tuple(node for node, our in enumerate(self.tree.inner()) if our != theirs[node])
        return self._go(AskLeaves(apart)) if apart else self._finish(Outcome.IN_STEP)

    def _compare_leaves(self, inner: tuple[int, ...], theirs: Sequence[int]) -> Action:
        ours = [leaf for node in inner for leaf in self.tree.leaves(node)]
        names = [node * FANOUT + child for node in inner for child in range(FANOUT)]
        apart = tuple(name for name, our, their in zip(names, ours, theirs, strict=True) if our != their)
        if not self.leaves:
            self.leaves = apart
            return self._go(Settle()) if apart else self._finish(Outcome.IN_STEP)
        suspects = set(self.leaves)
        self.leaves = tuple(leaf for leaf in apart if leaf in suspects)
        self.counts = Counts(settled=len(suspects) - len(self.leaves), leaves=len(self.leaves))
        return self._go(AskKeys(self.leaves, b"")) if self.leaves else self._finish(Outcome.IN_STEP)

    def _fault(self, asked: AskKeys, entries: Sequence[Entry], until: bytes) -> str:
        """What is wrong with a page of the peer's, or an empty string."""
        self._pages += 1
        if self._pages > PAGES_MAX or len(entries) > PAGE_KEYS_MAX:
            return "a listing that is too long"
        if until and until <= asked.after:
            return "a listing that does not get on"
        if misplaced(entries, asked.after, until):
            return "a listing out of order, or of another stretch"
        leaves = set(asked.leaves)
        for key, _ in entries:
            name = self._name_of(key)
            if name is None or self.tree.leaf_of(name) not in leaves:
                return "a key that was not asked for"
        return ""

    def _on(self) -> Action:
        """From the end of what both sides have listed."""
        if self._covered != self._page_until:
            return self._go(ListOwn(self.leaves, self._covered, self._page_until))
        if self._covered:
            return self._go(AskKeys(self.leaves, self._covered))
        if self.counts.skipped:
            return self._finish(Outcome.SKIPPED)
        return self._finish(Outcome.REPAIRED if self.counts.keys else Outcome.IN_STEP)

    def _go(self, action: Action) -> Action:
        self.action = action
        return action

    def _finish(self, outcome: Outcome, why: str = "") -> Action:
        if isinstance(self.action, Finish):
            return self.action
        return self._go(Finish(Result(outcome, why, self.counts)))


# --- the side that is asked: each answer from its tree alone ----------------------------------------------------------


def answer_root(tree: HashTree, root: int) -> Same | Inner:
    """To AskRoot."""
    return Same() if tree.root == root else Inner(tree.inner())


def answer_leaves(tree: HashTree, inner: Sequence[int]) -> Leaves | Unknown:
    """To AskLeaves; Unknown if these are not inner nodes, ascending, each once, as an honest peer asks for them."""
    if any(not 0 <= node < FANOUT for node in inner) or any(one >= next_ for one, next_ in pairwise(inner)):
        return Unknown("asked for nodes that are not there")
    return Leaves(tuple(leaf for node in inner for leaf in tree.leaves(node)))
