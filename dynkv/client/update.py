"""Read, resolve, apply, write, and again if others wrote meanwhile.

There is no lock and no compare-and-set behind it: a write of a leaderless store is never refused because another came
first, it becomes a sibling of the other. So a round whose answer says "one value" has replaced exactly what it read,
and one that says "several" has not, and stands in the store beside what it did not know of.

What that means depends on the resolver:

- A *merging* one (`union`, or your own marked `@merging`) finds what the round brought among the siblings, now or at
  any later read. The update is done with its first write, whatever else happened, and what it brought is kept for good,
  also when it was written through one node and others through another. Nothing is done twice.
- Another (`latest`, `maximum`, your own) may drop it. So the update goes round again, until it has replaced all that it
  read. Somebody else may have read a round that failed, and built on it; then `fn` has taken effect more than once: at
  least once is what is promised, for writers that meet at one coordinator. They do, since every client goes to the
  key's first primary; where some had to go to another node (theirs is down), two updates may both be told "one value",
  and what the resolver drops of them is lost. Counting is what a counter is for.

Within one client updates of a key wait for each other, so that it never competes with itself. Before it writes, an
update waits until the ring is known: two clients that each ask some node would make conflicts of what is none.
"""

import copy
import inspect
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynkv.client.core import Core
from dynkv.client.entry import Entry, Receipt
from dynkv.client.errors import ClientError, Contended, TooManySiblings
from dynkv.client.keys import Key
from dynkv.client.requests import Body
from dynkv.client.resolvers import Resolver, merges, resolve_entry
from dynkv.client.turns import NoTurn
from dynkv.runtime import pause

Change = Callable[[Any], Any]
"""From the value that is there to the one that should be; or to an awaitable of it."""

DOUBLINGS_MAX = 16
# Rounds that a pause is long at most: about as many writers can meet at a key before they mostly meet in vain.
CROWD = 64


class Updated(NamedTuple):
    """value: what was written. receipt: of that write. rounds: how many it took."""

    value: Any
    receipt: Receipt
    rounds: int


@dataclass(frozen=True)
class Updating:
    """Which key is updated, and how it is read and written. content_type: None, as the value that is replaced."""

    bucket: str
    key: Key
    resolver: Resolver | None
    content_type: str | None
    deadline: float
    read: Callable[[], Awaitable[Entry]]
    write: Callable[[Body, str], Awaitable[Receipt]]


async def update(core: Core, what: Updating, change: Change, default: Any) -> Updated:
    """See the module's text. ConflictError, Contended, and whatever reading and writing raise."""
    now = core.clock.now
    await core.routing.known(what.deadline - now())
    try:
        async with core.turns.turn((what.bucket, what.key.data), what.deadline - now()):
            return await _rounds(core, what, change, default)
    except NoTurn:
        raise Contended(f"{what.bucket}/{what.key.text}: other updates of this client took all the time") from None


async def _rounds(core: Core, what: Updating, change: Change, default: Any) -> Updated:
    landed = False
    for count in itertools.count(1):
        began = core.clock.now()
        try:
            entry = await what.read()
            value = await _changed(entry, what, change, default)
            receipt = await what.write(_body(core, what, entry, value), entry.context)
        except TooManySiblings:
            pass  # nothing was written; the next round's read covers those that are in the way
        except ClientError as error:
            if landed and error.outcome != "ambiguous":
                error.outcome = "applied"  # what an earlier round wrote is there
            raise
        else:
            if receipt.siblings <= 1 or (what.resolver is not None and merges(what.resolver)):
                return Updated(value, receipt, count)
            landed = True
        await _pause(core, what, count, core.clock.now() - began, landed=landed)
    raise AssertionError("counting ends")


async def _changed(entry: Entry, what: Updating, change: Change, default: Any) -> Any:
    """What is to be written."""
    if entry.found:
        value = change(resolve_entry(entry, what.resolver).value)
    else:
        value = change(copy.deepcopy(default))  # a function may change what it is given, and is asked again
    if inspect.isawaitable(value):
        value = await value
    if value is None:
        raise TypeError(f"the update of {what.bucket}/{what.key.text} made no value: its function returned None")
    return value


def _body(core: Core, what: Updating, entry: Entry, value: Any) -> Body:
    if what.content_type is not None:
        return Body(*core.codecs.encode(value, what.content_type))
    return Body(*core.codecs.encode_like(value, entry.content_type))


async def _pause(core: Core, what: Updating, count: int, round_s: float, *, landed: bool) -> None:
    """A random time, up to a bound that doubles with each round. Contended if the deadline comes before.

    The bound is measured in rounds too (`round_s`, of the last one), not by the options alone: writers that rest
    for less than the rounds of all others take never find the key alone, and go round for ever.
    """
    options = core.options
    left_s = what.deadline - core.clock.now()
    unit_s = max(options.pause_s, round_s)
    bound = min(max(options.pause_max_s, CROWD * round_s), unit_s * 2.0 ** min(count - 1, DOUBLINGS_MAX))
    wait_s = core.random.uniform(0.0, min(bound, max(unit_s, left_s / 2)))
    if wait_s >= left_s:
        detail = f"{what.bucket}/{what.key.text}: others wrote it in each of {count} rounds"
        raise Contended(detail, outcome="applied" if landed else None)
    await pause(wait_s)
