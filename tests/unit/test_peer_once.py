"""Which calls of a connection came already."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.peer import once as module
from dynkv.peer.once import Once


@given(st.lists(st.integers(1, 40), max_size=200), st.integers(1, 10))
def test_none_is_the_first_twice_and_none_of_the_last_is_taken_for_an_old_one(ids: list[int], kept: int) -> None:
    before, module.KEPT_MAX = module.KEPT_MAX, kept
    try:
        once, came = Once(), set[int]()
        for call_id in ids:
            first = once.first(call_id)
            if call_id in came:
                assert not first
            elif len(came) <= kept or call_id > max(came):
                assert first
            came.add(call_id)
            assert len(once._came) <= kept
    finally:
        module.KEPT_MAX = before
