"""The blocking forms of methods that are written for asyncio: they run through the `_portal` of what they belong to."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from dynkv.client.portal import Portal

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


def synced(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The blocking form of a method of `_async`."""

    @wraps(method)
    def blocking(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        portal: Portal = self._portal
        return portal.run(method(self._async, *args, **kwargs))

    return blocking
