"""The algebra of states: what makes readers agree whatever their replicas heard, in whatever order, how often."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.core.errors import DamagedRecord
from dynkv.core.types.state import State, decode, encode, join, joined
from tests.property.types_histories import OPERATIONS, states

histories = st.sampled_from(sorted(OPERATIONS)).flatmap(states)
FEW = settings(max_examples=300)


@st.composite
def three(draw: st.DrawFn) -> tuple[State, State, State]:
    """Any three states of one history, possibly the same."""
    known = draw(histories)
    a, b, c = (draw(st.sampled_from(known)) for _ in range(3))
    return a, b, c


@FEW
@given(three())
def test_join_is_commutative_associative_and_idempotent(picked: tuple[State, State, State]) -> None:
    a, b, c = picked
    assert encode(join(a, b)) == encode(join(b, a))
    assert encode(join(join(a, b), c)) == encode(join(a, join(b, c)))
    assert join(a, a) == a
    assert join(join(a, b), b) == join(a, b)


@FEW
@given(histories, st.randoms(use_true_random=False))
def test_any_order_and_repetition_ends_in_the_same_bytes_and_the_same_value(known: list[State], random: Random) -> None:
    ends = set()
    for _ in range(3):
        order = known * 2
        random.shuffle(order)
        end = joined(order)
        ends.add((encode(end), msgspec.json.encode(end.show())))
    assert len(ends) == 1


@FEW
@given(three())
def test_states_and_their_joins_have_one_form_in_bytes(picked: tuple[State, State, State]) -> None:
    a, b, _ = picked
    for state in (a, b, join(a, b)):
        assert decode(encode(state)) == state


@FEW
@given(histories, st.data())
def test_bytes_that_are_no_state_are_damaged_and_never_another_error(known: list[State], data: st.DataObject) -> None:
    """Cut, changed or made up: either the canonical bytes of some state, or refused."""
    whole = encode(data.draw(st.sampled_from(known)))
    place = data.draw(st.integers(0, len(whole) - 1))
    for broken in (
        whole[:place],
        whole[:place] + data.draw(st.binary(min_size=1, max_size=3)) + whole[place + 1 :],
        whole + b"\x00",
        data.draw(st.binary(max_size=40)),
    ):
        try:
            state = decode(broken)
        except DamagedRecord:
            continue
        assert encode(state) == broken
        assert encode(join(state, state)) == broken
        state.show()


@FEW
@given(three(), st.data())
def test_states_that_no_history_makes_are_joined_and_shown_without_an_error(
    picked: tuple[State, State, State], data: st.DataObject
) -> None:
    """A client may write bytes of its own under a type's name: what passes for a state is joined with real ones."""
    a, b, _ = picked
    bits = bytearray(encode(a))
    for _ in range(data.draw(st.integers(1, 3))):
        bits[data.draw(st.integers(0, len(bits) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        forged = decode(bytes(bits))
    except DamagedRecord:
        return
    if type(forged.body) is type(b.body):
        end = join(forged, b)
        assert encode(end) == encode(join(b, forged))
        end.show()


@pytest.mark.parametrize("depth", [5, 2_000, 200_000])
def test_states_nested_without_end_are_damaged(depth: int) -> None:
    inner = b"\x92\x05\x91\x93\xa1f\x91\x92\x01\x01" * depth + b"\x92\x05\x90"
    with pytest.raises(DamagedRecord):
        decode(b"\x94\x01\x90\x90" + inner)
