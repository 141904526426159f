"""Messages of bounded size: nothing is lost, moved or larger than allowed, and none could have been longer."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.portions import portions

SIZES = st.lists(st.integers(0, 20))


@given(SIZES, st.integers(1, 8), st.integers(0, 40))
def test_all_items_in_order_in_as_few_portions_as_their_order_allows(
    sizes: list[int], count_max: int, bytes_max: int
) -> None:
    made = list(portions(sizes, lambda size: size, count_max, bytes_max))
    assert [size for portion in made for size in portion] == sizes
    for portion in made:
        assert 1 <= len(portion) <= count_max
        assert len(portion) == 1 or sum(portion) <= bytes_max
    for portion, following in pairwise(made):
        assert len(portion) == count_max or sum(portion) + following[0] > bytes_max
