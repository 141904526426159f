"""What this node answers to a peer that compares partitions: from its trees, and from its records where they differ.

Nothing is remembered between two questions. A partition whose trees cannot be trusted, or that is itself being
refilled, is unknown and never in step; only a peer that lost data and asks what there is is answered even so.
"""

from collections.abc import Callable

from antientropy import HashTree, Inner, Unknown, answer_leaves, answer_root, pack_nodes
from dynkv.identity import Identity
from dynkv.peer.messages import (
    Answer,
    Compare,
    Compared,
    Comparison,
    Failed,
    Keys,
    Leaves,
    ListKeys,
    Request,
    TreeLeaves,
)
from dynkv.repair.listing import Lister, Unreadable
from dynkv.runtime import Clock, Slices, Tasks
from dynkv.trees import Trees

Reply = Callable[[Answer], None]

REFILLED = "it is being refilled"


class ExchangeAnswers:
    """The side of an exchange that is asked. `holds`: whether this node is a primary of (partition, n)."""

    def __init__(
        self,
        identity: Identity,
        trees: Trees,
        lister: Lister,
        holds: Callable[[int, int], bool],
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._trees = trees
        self._lister = lister
        self._holds = holds
        self._tasks = tasks
        self._clock = clock

    def compare(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """Of many roots, which are mine too."""
        assert isinstance(request, Compare)
        self._tasks.start("compare trees for an exchange", self._compare(request, reply))

    async def _compare(self, request: Compare, reply: Reply) -> None:
        comparisons = []
        slices = Slices(self._clock)  # the root of a tree in which all has changed takes a sixth of a millisecond
        for root in request.roots:
            inner, why = b"", ""
            if not request.refilling and root.partition < self._trees.partitions:
                why = "" if self._identity.complete_in(root.partition) else REFILLED
            tree = self._tree(root.partition, root.n)
            if isinstance(tree, str):
                why = tree
            elif not why and isinstance(answer := answer_root(tree, root.root), Inner):
                inner = pack_nodes(answer.nodes)
            comparisons.append(Comparison(root.partition, root.n, inner, why))
            await slices.end()
        reply(Compared(tuple(comparisons)))

    def leaves(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """The leaves under some inner nodes."""
        assert isinstance(request, TreeLeaves)
        tree = self._tree(request.partition, request.n)
        if isinstance(tree, str):
            reply(_unknown(tree))
            return
        answer = answer_leaves(tree, request.inner)
        reply(_unknown(answer.why) if isinstance(answer, Unknown) else Leaves(pack_nodes(answer.nodes)))

    def keys(self, node: str, request: Request, deadline: float, reply: Reply) -> None:
        """The keys of some leaves."""
        assert isinstance(request, ListKeys)
        tree = self._tree(request.partition, request.n)
        if isinstance(tree, str):
            reply(_unknown(tree))
        else:
            self._tasks.start("list keys for an exchange", self._list(request, reply))

    async def _list(self, request: ListKeys, reply: Reply) -> None:
        try:
            page = await self._lister.page(request.partition, request.n, request.leaves, request.after, b"")
        except Unreadable as error:
            reply(_unknown(str(error)))
        else:
            reply(Keys(tuple(page[0]), page[1]))

    def _tree(self, partition: int, n: int) -> HashTree | str:
        if partition >= self._trees.partitions or not self._holds(partition, n):
            return "it is no primary of the partition"
        return self._trees.tree(partition, n)


def _unknown(why: str) -> Failed:
    return Failed("unknown", why[:256], False)
