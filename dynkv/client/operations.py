"""What can be done with one key: the same for a client and for a session, which differ in how they read and write."""

from typing import Any

from dynkv.client.entry import Entry, Receipt
from dynkv.client.keys import key_of
from dynkv.client.requests import Body, Level, levels_of
from dynkv.client.resolvers import Resolver, keep, resolve_entry
from dynkv.client.types import TypedValues
from dynkv.client.update import Change, Updated, Updating, update


class KeyOperations(TypedValues):
    """All raise ClientError; what each argument means is said once, here.

    bucket, key: `key` is text or bytes. r, pr, w, pw: how many replicas must answer, 1..n, "one", "quorum" or "all";
    sloppy: whether stand-ins count. timeout: seconds for the whole call. What is None is as the bucket says.
    resolve: what makes one value of siblings: a callable, or "latest", "union", "maximum", "keep".
    """

    async def get(
        self,
        bucket: str,
        key: str | bytes,
        *,
        default: Any = None,
        resolve: Resolver | str | None = None,
        write_back: bool = False,
        raw: bool = False,
        r: Level | None = None,
        pr: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> Entry:
        """What is there; an entry with `default` as its value, and a context, if it is not there.

        ConflictError if there are siblings and nothing to resolve them by. write_back: a resolved value is also written
        in their place. raw: values are bytes, whatever their content type.
        """
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(timeout)
        resolver = core.resolvers.choose(bucket, resolve)
        entry = await self._requests().read(bucket, name, levels_of(r=r, pr=pr, sloppy=sloppy), deadline, raw=raw)
        if not entry.found:
            return entry.with_value(default, resolved=False)
        if len(entry.siblings) == 1 or resolver is keep:
            return entry
        resolved = resolve_entry(entry, resolver)
        if not write_back:
            return resolved
        data, content_type = core.codecs.encode_like(resolved.value, entry.content_type)
        write_id = core.new_write_id()
        receipt = await self._requests().write(
            bucket, name, Body(data, content_type), entry.context, write_id, {}, deadline
        )
        resolved.context, resolved.etag = receipt.context, receipt.etag
        return resolved

    async def put(
        self,
        bucket: str,
        key: str | bytes,
        value: Any,
        context: str | None = None,
        *,
        content_type: str | None = None,
        write_id: str | None = None,
        w: Level | None = None,
        pw: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> Receipt:
        """Write a value; with the context of a read it replaces what that read saw, without one it stands beside it.

        write_id: to repeat a write of before under, if its outcome was ambiguous; else one is made.
        """
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(timeout)
        body = Body(*core.codecs.encode(value, content_type))
        levels = levels_of(w=w, pw=pw, sloppy=sloppy)
        write_id = write_id or core.new_write_id()
        return await self._requests().write(bucket, name, body, context, write_id, levels, deadline)

    async def delete(
        self,
        bucket: str,
        key: str | bytes,
        context: str | None = None,
        *,
        write_id: str | None = None,
        w: Level | None = None,
        pw: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> Receipt:
        """Delete what a read saw whose context this is; without one, what a read sees now. Now is when a node gets to
        it: if the answer is lost, an attempt after it may delete what was written in between. Give a context where
        that matters."""
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(timeout)
        levels = levels_of(w=w, pw=pw, sloppy=sloppy)
        write_id = write_id or core.new_write_id()
        return await self._requests().write(bucket, name, Body(None), context, write_id, levels, deadline)

    async def exists(
        self,
        bucket: str,
        key: str | bytes,
        *,
        r: Level | None = None,
        pr: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> bool:
        """Whether there is any value; siblings count, a deletion does not."""
        name, deadline = key_of(bucket, key), self._core().caller.deadline(timeout)
        return await self._requests().exists(bucket, name, levels_of(r=r, pr=pr, sloppy=sloppy), deadline)

    async def update(
        self,
        bucket: str,
        key: str | bytes,
        fn: Change,
        *,
        default: Any = None,
        resolve: Resolver | str | None = None,
        content_type: str | None = None,
        r: Level | None = None,
        pr: Level | None = None,
        w: Level | None = None,
        pw: Level | None = None,
        sloppy: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one deadline for many attempts
    ) -> Updated:
        """Read, resolve, apply `fn` to the value (`default` if there is none), write what it returns with the context
        of the read; and again if others wrote meanwhile. `fn` may be a coroutine function.

        With a merging resolver (`union`, or your own marked `@merging`) it takes effect exactly once, whoever else
        writes. With another at least once, for a round that met another's write is repeated and may have been built
        on; and while clients reach the key through different nodes (one is down) what the resolver drops can be an
        update: count with a `counter`. `dynkv.client.update` has the whole of it. ConflictError if there are siblings
        and nothing to resolve them by; Contended.
        """
        core = self._core()
        name, deadline = key_of(bucket, key), core.caller.deadline(timeout)
        requests = self._requests()
        read_levels, write_levels = levels_of(r=r, pr=pr, sloppy=sloppy), levels_of(w=w, pw=pw, sloppy=sloppy)

        async def read() -> Entry:
            return await requests.read(bucket, name, read_levels, deadline)

        async def write(body: Body, seen: str) -> Receipt:
            return await requests.write(bucket, name, body, seen, core.new_write_id(), write_levels, deadline)

        resolver = core.resolvers.choose(bucket, resolve)
        return await update(core, Updating(bucket, name, resolver, content_type, deadline, read, write), fn, default)
