"""First attempts that come after their retry was overwritten."""

from collections.abc import Callable

from dynkv.core.record import Record
from dynkv.core.types.operation import BY_CONTENT_TYPE


def without_late_attempts(before: Record, merged: Record, replaced: Callable[[bytes], bool]) -> Record:
    """`merged` without siblings that are not in `before` and whose write this copy has had under another dot, and has
    replaced. Whoever overwrote the write meant all of it. The vector knows of the dot, so the sibling goes wherever
    this record comes to, and replicas become equal.

    `replaced` tells it by the write id. What has been forgotten stays, as a sibling; so do typed values, which undo
    what one write did twice themselves; and so does the last sibling there is.
    """
    late = [
        sibling
        for sibling in merged.siblings
        if replaced(sibling.write_id) and sibling not in before.siblings and sibling.content_type not in BY_CONTENT_TYPE
    ]
    if not late or len(late) == len(merged.siblings):
        return merged
    return Record(merged.vector, tuple(sibling for sibling in merged.siblings if sibling not in late))
