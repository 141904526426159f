"""Typed values for programs that block: `client.counter("b", "k").increment()`. What each does is said in `types`."""

from typing import Any, Generic, TypeVar

from dynkv.client import types
from dynkv.client.blocking import synced
from dynkv.client.portal import Portal

V = TypeVar("V", bound=types.TypedValue)


class TypedValue(Generic[V]):
    """A typed value, or a field of one."""

    value = synced(types.TypedValue.value)
    read = synced(types.TypedValue.read)

    def __init__(self, typed: V, portal: Portal) -> None:
        self._async = typed
        self._portal = portal

    def __repr__(self) -> str:
        return repr(self._async)


class Counter(TypedValue[types.Counter]):
    """`types.Counter`."""

    increment = synced(types.Counter.increment)
    decrement = synced(types.Counter.decrement)


class Set(TypedValue[types.Set]):
    """`types.Set`."""

    add = synced(types.Set.add)
    remove = synced(types.Set.remove)
    update = synced(types.Set.update)
    contains = synced(types.Set.contains)


class Flag(TypedValue[types.Flag]):
    """`types.Flag`."""

    enable = synced(types.Flag.enable)
    disable = synced(types.Flag.disable)


class Register(TypedValue[types.Register]):
    """`types.Register`."""

    set = synced(types.Register.set)


class Map(TypedValue[types.Map]):
    """`types.Map`."""

    update = synced(types.Map.update)
    remove = synced(types.Map.remove)

    def counter(self, name: str) -> Counter:
        return Counter(self._async.counter(name), self._portal)

    def set(self, name: str) -> Set:
        return Set(self._async.set(name), self._portal)

    def flag(self, name: str) -> Flag:
        return Flag(self._async.flag(name), self._portal)

    def register(self, name: str) -> Register:
        return Register(self._async.register(name), self._portal)

    def map(self, name: str) -> "Map":
        return Map(self._async.map(name), self._portal)


class TypedValues:
    """What has typed values: a client, and a session."""

    _async: Any
    _portal: Portal

    def counter(self, bucket: str, key: str | bytes) -> Counter:
        return Counter(self._async.counter(bucket, key), self._portal)

    def set(self, bucket: str, key: str | bytes) -> Set:
        return Set(self._async.set(bucket, key), self._portal)

    def flag(self, bucket: str, key: str | bytes) -> Flag:
        return Flag(self._async.flag(bucket, key), self._portal)

    def register(self, bucket: str, key: str | bytes) -> Register:
        return Register(self._async.register(bucket, key), self._portal)

    def map(self, bucket: str, key: str | bytes) -> Map:
        return Map(self._async.map(bucket, key), self._portal)
