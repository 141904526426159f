"""One value of siblings: laws that hold for any siblings, and what each resolver does with a few."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.client import ConflictError, Entry, Sibling, Unresolvable, keep, latest, maximum, merging, union, union_with
from dynkv.client.resolvers import identity, merges, resolve_entry, resolver_of

EPOCH = datetime(2027, 1, 1, tzinfo=UTC)

SCALARS = st.integers(-3, 3) | st.booleans() | st.sampled_from([0.0, 1.0, 2.5]) | st.text("ab", max_size=2)
LISTS = st.lists(SCALARS, max_size=5)
SETS = st.frozensets(SCALARS, max_size=5)
# Under one key always one kind of thing: union does not choose between kinds.
MAPS = st.fixed_dictionaries(
    {}, optional={"a": LISTS, "b": SETS, "c": st.dictionaries(st.text("ab", max_size=1), LISTS)}
)
NUMBERS = st.integers(-5, 5) | st.floats(-5, 5)


def made(values: Sequence[Any], times: Sequence[int] = ()) -> list[Sibling]:
    """Siblings with these values, each with a dot of its own."""
    return [
        Sibling(value, f"{place % 3 + 1:016x}-{place + 1}", EPOCH + timedelta(seconds=seconds), "", b"")
        for place, (value, seconds) in enumerate(zip(values, times or range(len(values)), strict=False))
    ]


@st.composite
def siblings(draw: Callable[[Any], Any], values: st.SearchStrategy[Any]) -> list[Sibling]:
    """One to five, whose times may be the same."""
    chosen = draw(st.lists(values, min_size=1, max_size=5))
    times = draw(st.lists(st.integers(0, 3), min_size=len(chosen), max_size=len(chosen)))
    return made(chosen, times)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down; sets by what is in them."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, set | frozenset):
        return isinstance(other, set | frozenset) and one == other
    return repr(one) == repr(other)


# --- laws -------------------------------------------------------------------------------------------------------------

ANY = siblings(SCALARS | LISTS | MAPS)
LAWS = [
    (latest, ANY),
    (maximum, siblings(NUMBERS)),
    (maximum, siblings(st.text())),
    (union, siblings(SETS)),
    (union, siblings(LISTS)),
    (union, siblings(MAPS)),
    (union_with(latest), siblings(MAPS | st.dictionaries(st.text("abc", max_size=1), SCALARS))),
]


@given(st.data())
@pytest.mark.parametrize("law", range(len(LAWS)))
def test_the_order_of_siblings_changes_nothing(law: int, data: st.DataObject) -> None:
    resolver, strategy = LAWS[law]
    some = data.draw(strategy)
    other = data.draw(st.permutations(some))
    assert same(_resolved(resolver, some), _resolved(resolver, other))


@given(st.data())
@pytest.mark.parametrize("law", range(len(LAWS)))
def test_one_value_however_often_is_that_value(law: int, data: st.DataObject) -> None:
    resolver, strategy = LAWS[law]
    (value, *_) = [sibling.value for sibling in data.draw(strategy)]
    again = made([value] * data.draw(st.integers(1, 4)))
    result = resolver(again)
    assert Counter(map(repr, result)) == Counter(map(repr, value)) if isinstance(value, set) else same(result, value)


@given(st.data())
@pytest.mark.parametrize(("resolver", "values"), [(union, SETS), (union, LISTS), (union, MAPS), (maximum, NUMBERS)])
def test_a_resolution_that_meets_what_it_was_made_of_again_stays(
    resolver: Any, values: Any, data: st.DataObject
) -> None:
    """What a client has written back, another's late sibling of before does not change, but for the order of lists."""
    some = data.draw(siblings(values))
    once = resolver(some)
    late = data.draw(st.sampled_from(some))
    newest = dataclasses.replace(late, value=once, time=EPOCH + timedelta(days=1), dot=f"{9:016x}-1")
    assert _counted(resolver([late, newest])) == _counted(once)


@given(siblings(LISTS))
def test_union_of_lists_has_each_element_as_often_as_the_list_that_has_it_most_often(some: list[Sibling]) -> None:
    """Beside the slow and obvious way to count."""
    counts = [Counter(identity(element) for element in sibling.value) for sibling in some]
    expected: Counter[Any] = Counter()
    for count in counts:
        expected |= count
    assert Counter(identity(element) for element in union(some)) == expected


@given(siblings(MAPS))
def test_union_of_maps_loses_no_key(some: list[Sibling]) -> None:
    assert union(some).keys() == set().union(*(sibling.value.keys() for sibling in some))


def _resolved(resolver: Any, some: Sequence[Sibling]) -> Any:
    try:
        return resolver(some)
    except Unresolvable as error:
        return type(error)


def _counted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _counted(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list):
        return Counter(identity(element) for element in value)
    return value


# --- each by itself ---------------------------------------------------------------------------------------------------


def test_latest_goes_by_time_and_then_by_dot() -> None:
    assert latest(made(["old", "new"], [1, 2])) == "new"
    assert latest(made(["new", "old"], [2, 1])) == "new"
    two = [
        dataclasses.replace(sibling, dot=f"{1:016x}-{count}")
        for sibling, count in zip(made("ab", [1, 1]), (9, 10), strict=True)
    ]
    assert latest(two) == "b"


@pytest.mark.parametrize(
    ("values", "united"),
    [
        ([{1, 2}, {2, 3}], {1, 2, 3}),
        ([["a", "b"], ["b", "c"]], ["a", "b", "c"]),
        ([["a", "a"], ["a"]], ["a", "a"]),
        ([[1], [True], [1.0]], [1, True, 1.0]),
        ([[{"x": 1}], [{"x": 1}, {"x": 2}]], [{"x": 1}, {"x": 2}]),
        ([{"a": [1]}, {"a": [2], "b": [3]}], {"a": [1, 2], "b": [3]}),
        ([{"a": {"x": {1}}}, {"a": {"y": {2}}}], {"a": {"x": {1}, "y": {2}}}),
        ([{"a": 1, "b": [1]}, {"a": 1, "c": 2}], {"a": 1, "b": [1], "c": 2}),
        ([5, 5], 5),
    ],
)
def test_union(values: list[Any], united: Any) -> None:
    assert union(made(values)) == united


@pytest.mark.parametrize(
    "values",
    [[1, 2], [1, True], [[1], {1}], [{"a": 1}, {"a": 2}], [{"a": 1}, [1]], ["x", "y"], [[{1}, {object()}], [1]]],
)
def test_union_does_not_choose(values: list[Any]) -> None:
    with pytest.raises(Unresolvable):
        union(made(values))


def test_union_with_lets_another_choose() -> None:
    carts = made([{"tea": 2, "milk": 1}, {"tea": 1, "bread": 1}])
    assert union_with(maximum)(carts) == {"tea": 2, "milk": 1, "bread": 1}
    assert union_with(latest)(carts) == {"tea": 1, "milk": 1, "bread": 1}


@pytest.mark.parametrize("values", [[1, "x"], [{1}, {2}], [{"a": 1}, {"a": 2}], [1.0, float("nan")], [None, None]])
def test_maximum_needs_an_order(values: list[Any]) -> None:
    with pytest.raises(Unresolvable):
        maximum(made(values))


def test_which_resolvers_keep_what_each_sibling_brought() -> None:
    @merging
    def mine(siblings: Sequence[Sibling]) -> int:
        return sum(sibling.value for sibling in siblings)

    assert [merges(resolver) for resolver in (union, union_with(latest), mine)] == [True] * 3
    assert [merges(resolver) for resolver in (latest, maximum, keep, len)] == [False] * 4


def test_names() -> None:
    assert [resolver_of(name) for name in ("latest", "maximum", "union", "keep")] == [latest, maximum, union, keep]
    with pytest.raises(ValueError, match="no resolver"):
        resolver_of("max")


def test_a_key_with_one_value_needs_no_resolver_and_one_with_several_does() -> None:
    one, two = Entry("b", "k", made([1])), Entry("b", "k", made([1, 2]), "context")
    assert resolve_entry(one, None).value == 1
    resolved = resolve_entry(two, maximum)
    assert (resolved.value, resolved.resolved, resolved.values, resolved.context) == (2, True, [1, 2], "context")
    for resolver in (None, keep):
        with pytest.raises(ConflictError) as met:
            resolve_entry(two, resolver)
        assert met.value.values == [1, 2]
