"""How much data a change of the member map moves, beside how much it must move."""

from dataclasses import dataclass

from ring.placement import Placement


@dataclass(frozen=True, slots=True)
class Movement:
    """Both in partition replicas."""

    moved: int
    """Replicas that a member is to hold and did not."""
    minimum: float
    """What members gain in fair share: less cannot be moved if the new placement is to be as fair as the old."""

    @property
    def ratio(self) -> float:
        """1.0 is the ideal; below it, the old or the new placement uses the slack of the load bound."""
        if self.minimum:
            return self.moved / self.minimum
        return float("inf") if self.moved else 1.0


def movement(old: Placement, new: Placement) -> Movement:
    """Of the primaries, from one placement to another of the same partitions."""
    if old.partitions != new.partitions:
        raise ValueError(
            f"placements of {old.partitions} and of {new.partitions} partitions have no partition in common"
        )
    moved = 0
    for partition in range(new.partitions):
        moved += len(set(new.primaries(partition)).difference(old.primaries(partition)))
    gains = [share - old.shares.get(member_id, 0) for member_id, share in new.shares.items()]
    return Movement(moved, float(new.partitions * sum(gain for gain in gains if gain > 0)))
