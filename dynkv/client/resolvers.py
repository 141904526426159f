"""Resolvers: functions from the siblings of a key to one value.

    latest      the one written last, by the nodes' clocks
    maximum     the greatest of values that can be compared
    union       everything that is in any of them: of sets and lists; of maps key by key
    keep        nothing is resolved; the siblings are handed back as they are
    any callable that takes a sequence of `Sibling` and returns a value

A resolver may be asked by several clients, in any order and again and again, and they should all come to the same: so
those here depend on the set of siblings and not on their order, and one sibling alone is its own resolution.

A *merging* resolver keeps what each sibling brought: `union` does, `latest` and `maximum` drop all but one. `update`
looks at that: what a merging resolver would keep is in the store once it is written, and what another would drop is
done again. Mark a merging function of your own with `@merging`.

`union` loses nothing that was added and so brings back what was removed on one side only. It refuses to choose between
two scalars under one key of a map; `union_with(maximum)` chooses the greater, `union_with(latest)` the later.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import cbor2

from dynkv.client.entry import Entry, Sibling

Resolver = Callable[[Sequence[Sibling]], Any]
R = TypeVar("R", bound=Resolver)


class Unresolvable(ValueError):
    """These values cannot be made one; becomes a ConflictError with all of them."""


def merging(resolver: R) -> R:
    """Declare that `resolver` keeps what each sibling brought."""
    resolver.merges = True  # type: ignore[attr-defined]  # functions take attributes; their type does not say so
    return resolver


def merges(resolver: Resolver) -> bool:
    return bool(getattr(resolver, "merges", False))


def keep(siblings: Sequence[Sibling]) -> Any:
    """Hand all siblings back. Recognised by name: it makes no value."""
    raise Unresolvable("the siblings were kept as they are")


def latest(siblings: Sequence[Sibling]) -> Any:
    """Of the value written last; ties go to the greater dot."""
    return max(siblings, key=lambda sibling: sibling.order).value


def maximum(siblings: Sequence[Sibling]) -> Any:
    """The greatest value. Sets and maps have no greatest, and what is not a number has no place among numbers."""
    values = _ordered(siblings)
    greatest = values[0]
    for value in values:
        if isinstance(value, set | frozenset | Mapping) or value != value:
            raise Unresolvable(f"a {type(value).__name__} such as {_shown(value)} has no place in an order")
        try:
            greatest = value if value > greatest else greatest
        except TypeError as error:
            raise Unresolvable(str(error)) from error
    return greatest


def union_with(scalars: Resolver) -> Resolver:
    """`union` that lets `scalars` choose where a key of a map has several values which are no collections."""

    @merging
    def resolver(siblings: Sequence[Sibling]) -> Any:
        return _unite(sorted(siblings, key=lambda sibling: sibling.order), scalars)

    return resolver


def _refuse(siblings: Sequence[Sibling]) -> Any:
    shown = " and ".join(_shown(sibling.value) for sibling in siblings[:2])
    raise Unresolvable(f"union cannot choose between {shown}")


union: Resolver = union_with(_refuse)

NAMED: dict[str, Resolver] = {"latest": latest, "maximum": maximum, "union": union, "keep": keep}


def resolver_of(given: Resolver | str | None) -> Resolver | None:
    """The resolver of a name, or the callable itself. ValueError for a name that is none."""
    if isinstance(given, str):
        try:
            return NAMED[given]
        except KeyError:
            raise ValueError(f"no resolver is called {given!r}; there are {', '.join(NAMED)}") from None
    return given


class Resolvers:
    """Which resolver a read uses: its own, else its bucket's, else the client's."""

    def __init__(self, default: Resolver | str | None, buckets: Mapping[str, Resolver | str]) -> None:
        self._default = resolver_of(default)
        self._buckets = {bucket: resolver_of(given) for bucket, given in buckets.items()}

    def choose(self, bucket: str, given: Resolver | str | None) -> Resolver | None:
        return resolver_of(given) or self._buckets.get(bucket) or self._default


def resolve_entry(entry: Entry, resolver: Resolver | None) -> Entry:
    """The entry with one value. ConflictError if it has several and `resolver` makes none of them."""
    if len(entry.siblings) <= 1:
        return entry
    if resolver is None:
        raise entry.conflict("no resolver was given")
    try:
        value = resolver(entry.siblings)
    except Exception as error:
        why = str(error) if isinstance(error, Unresolvable) else f"the resolver failed: {error!r}"
        raise entry.conflict(why) from error
    return entry.with_value(value, resolved=True)


# --- union ------------------------------------------------------------------------------------------------------------


def _unite(siblings: Sequence[Sibling], scalars: Resolver) -> Any:
    """Of siblings in their order."""
    values = [sibling.value for sibling in siblings]
    first = values[0]
    if isinstance(first, set | frozenset) and all(isinstance(value, set | frozenset) for value in values):
        return set().union(*values)
    if isinstance(first, list | tuple) and all(isinstance(value, list | tuple) for value in values):
        return _lists(values)
    if isinstance(first, Mapping) and all(isinstance(value, Mapping) for value in values):
        return _maps(siblings, scalars)
    identities = {identity(value) for value in values}
    return first if len(identities) == 1 else scalars(siblings)


def _lists(values: Sequence[Sequence[Any]]) -> list[Any]:
    """Each element as often as the list has it that has it most often, in the order in which they come."""
    united: list[Any] = []
    have: dict[Hashable, int] = {}
    for value in values:
        count: dict[Hashable, int] = {}
        for element in value:
            name = identity(element)
            count[name] = count.get(name, 0) + 1
            if count[name] > have.get(name, 0):
                have[name] = count[name]
                united.append(element)
    return united


def _maps(siblings: Sequence[Sibling], scalars: Resolver) -> dict[Any, Any]:
    under: dict[Any, list[Sibling]] = {}
    for sibling in siblings:
        for key, value in sibling.value.items():
            part = Sibling(value, sibling.dot, sibling.time, sibling.content_type, sibling.data)
            under.setdefault(key, []).append(part)
    return {key: _unite(parts, scalars) for key, parts in under.items()}


def identity(value: Any) -> Hashable:
    """Equal for values that are the same, and of one type: 1, 1.0 and True are three."""
    try:
        hash(value)
        return type(value), value if value == value else repr(value)
    except TypeError:
        pass  # a list or a map: by its bytes
    try:
        return cbor2.dumps(value, canonical=True)
    except Exception as error:
        raise Unresolvable(f"cannot tell whether {_shown(value)} is the same as another: {error}") from error


def _ordered(siblings: Sequence[Sibling]) -> list[Any]:
    return [sibling.value for sibling in sorted(siblings, key=lambda sibling: sibling.order)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
