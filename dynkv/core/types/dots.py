"""The updates that still have an effect, as dots; what is seen and not among them is gone (the package's text)."""

from itertools import pairwise
from operator import itemgetter
from typing import Annotated

from msgspec import Meta

from dynkv.core.errors import DamagedRecord
from dynkv.core.record import Actor, Counter, Vector, covers
from dynkv.core.types.lineage import Both, Dot, Twins

KEPT_MAX = 4
"""Of updates that did one and the same thing, one after another."""

Dots = Annotated[tuple[tuple[Actor, Counter], ...], Meta(max_length=4096)]
"""Ascending."""


def joined(ours: Dots, theirs: Dots, both: Both) -> Dots:
    """What both keep, and what one keeps and the other has not seen."""
    if ours == theirs:
        return ours
    stays = {dot for dot in ours if dot in theirs or dot not in both.theirs}
    stays.update(dot for dot in theirs if dot not in both.ours)
    return tuple(sorted(stays))


def without(dots: Dots, vector: Vector) -> Dots:
    """Those that `vector` does not cover."""
    return tuple(dot for dot in dots if not covers(vector, *dot))


def added(dots: Dots, new: Dot) -> Dots:
    """With one more, whose author has seen all of these. They stay, so that the new one can be taken back (`settled`)
    without them, but for the older ones of many."""
    older = sorted(dots, key=itemgetter(1))[1 - KEPT_MAX :]
    return tuple(sorted((*older, new)))


def settled(dots: Dots, twins: Twins) -> Dots:
    """Those of which no twin is gone."""
    return tuple(dot for dot in dots if all(twin in dots for twin in twins.get(dot, ())))


def check(dots: Dots, *, empty: bool = False) -> None:
    """DamagedRecord unless they ascend; `empty`: there may be none."""
    if not dots and not empty:
        raise DamagedRecord("an element without a dot")
    if len(dots) > 1 and any(one >= other for one, other in pairwise(dots)):
        raise DamagedRecord("dots do not ascend")
