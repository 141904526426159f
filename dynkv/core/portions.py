"""Dividing what is to be sent into messages of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def portions(
    items: Iterable[Item], size_of: Callable[[Item], int], count_max: int, bytes_max: int
) -> Iterator[list[Item]]:
    """All items, in order, in lists of at most `count_max` that have at most `bytes_max` together; one that is larger
    is alone. No list is empty."""
    assert count_max > 0
    portion: list[Item] = []
    held = 0
    for item in items:
        size = size_of(item)
        if portion and (len(portion) == count_max or held + size > bytes_max):
            yield portion
            portion, held = [], 0
        portion.append(item)
        held += size
    if portion:
        yield portion
