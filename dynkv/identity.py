"""What this node's life is called, and for which of its partitions it may speak."""

import msgspec


class Identity(msgspec.Struct):
    """`lives`: ids of its newest starts, as in MemberEntry.

    `confirmed`: a peer knows of no later start of this node and of no other life, so actors of this incarnation are
    safe to count on. `complete`: it has lost nothing that it once acknowledged; while it is false, `refilled` are the
    partitions that have been compared with all their other replicas since the loss, and hold what those hold.
    """

    node: str
    incarnation: int
    start_count: int
    lives: tuple[int, ...]
    confirmed: bool = False
    complete: bool = True
    refilled: set[int] = msgspec.field(default_factory=set)

    def complete_in(self, partition: int) -> bool:
        """Whether this node's answers about the partition count to a quorum."""
        return self.complete or partition in self.refilled
