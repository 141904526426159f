"""GET /kv/{bucket}: the keys of a bucket, streamed, each once, without those that are deleted.

    GET /kv/{bucket}?prefix=&limit=&cursor=&r=&timeout=

    prefix     only keys that begin with these bytes, percent-encoded as in a path
    limit      1..1000000: no more keys than this; left out: all there are
    cursor     goes on where the answer that gave it ended; with the same bucket and prefix, at any node, at any time
    r          1..n, one, quorum, all: how many primaries of each partition must answer; left out: the bucket's
    timeout    1..60000 ms: how long the listing may get no further before it gives up; left out: 5000

The order is that of partitions, and within one of keys as bytes: always the same, so that it can be resumed, but not
alphabetical over the whole bucket. A key that is there all the while is listed exactly once; one that is written or
deleted meanwhile may be in it or not. By `Accept`, all streamed in the same constant memory:

    application/json (otherwise)    {"bucket": "b", "keys": ["k1", "caf%C3%A9", …],
                                     "count": 2, "complete": true, "missing": [], "cursor": null}
    application/x-ndjson            {"key": "k1"}                                       a line for each key, then
                                    {"count": 2, "complete": true, "missing": [], "cursor": null}
    application/cbor-seq            h'6b31'                                             a byte string for each key, then
                                    {"count": 2, "complete": true, "missing": [], "cursor": null}

Keys are bytes. In JSON they are percent-encoded: all but letters, digits and -._~, so they can be put into a path as
they are.

What the end says, and without that end an answer is cut off and says nothing (nor has its last chunk come):

    complete   whether nothing is missing among what this answer went over
    missing    [{"partition": 7, "why": "…"}]: too few of its primaries could be asked, or answered in time
    cursor     null if all is told. Else it goes on behind `limit`, and does what was missing, and only that: asking
               until it is null lists every key exactly once, as long as what is missing comes back.

If nothing can be listed the answer is 503, with who said what: an empty 200 means that there are no such keys.
A cursor is opaque. It is checked to be of this bucket and prefix and undamaged, else it is a 400; it grants nothing.
"""

from collections.abc import Sequence
from typing import Any

from dynkv.coordinator.results import Coordinator, Listed, Scanner
from dynkv.core.bucket import KEY_BYTES_MAX
from dynkv.core.errors import BadParameter, Overloaded
from dynkv.core.levels import resolve
from dynkv.http.accept import choose
from dynkv.http.cursor import make_cursor, parse_cursor
from dynkv.http.key_forms import FORMS, Form
from dynkv.http.paths import bucket_name, parameters
from dynkv.http.reply import Reply
from dynkv.http.request import ACCEPT, Request
from dynkv.http.session import refuse_session
from dynkv.http.stats import HttpStats
from dynkv.http.view import NodeView

LIMIT_MAX = 1_000_000
# At once at this node. Each may hold a page of some partitions, here and at each replica.
LISTINGS_MAX = 8
HEAD = "Vary: Accept\r\nCache-Control: no-store\r\n"
PARAMETERS = ("prefix", "limit", "cursor", "r", "timeout")


class Listing:
    """One client's listing; a `reply.Source`. The first step is made before, so that it may still fail."""

    endless = False

    def __init__(self, routes: "ListingRoutes", scanner: Scanner, listed: Listed, form: Form) -> None:
        self._routes = routes
        self._scanner = scanner
        self._listed = listed
        self._form = form
        self._next: Sequence[bytes] | None = None  # what the next chunk tells
        self._started = False
        self._ended = False
        self._closed = False
        self._count = 0

    async def begin(self) -> None:
        """The first keys. QuorumUnmet if there are none because something is missing."""
        self._next = await self._scanner.step()
        if not self._next and self._scanner.unmet is not None:
            raise self._scanner.unmet

    async def chunk(self) -> bytes:
        if self._ended or self._closed:
            return b""
        keys = self._next if self._next is not None else await self._scanner.step()
        self._next = None
        start = b"" if self._started else self._form.start(self._listed.bucket)
        self._started = True
        if keys:
            self._count += len(keys)
            return start + self._form.keys(keys)
        self._ended = True
        return start + self._form.end(self._told())

    def _told(self) -> dict[str, Any]:
        missing = self._scanner.missing
        return {
            "count": self._count,
            "complete": not missing,
            "missing": [{"partition": one.partition, "why": one.why} for one in missing],
            "cursor": make_cursor(self._listed.bucket, self._listed.prefix, self._scanner.rest()),
        }

    def close(self) -> None:
        self._closed = True
        self._routes.listings.discard(self)


class ListingRoutes:
    """The handler."""

    def __init__(self, view: NodeView, coordinator: Coordinator, stats: HttpStats) -> None:
        self.listings: set[Listing] = set()
        self._view = view
        self._coordinator = coordinator
        self._stats = stats

    async def get(self, request: Request) -> Reply:
        """503 Overloaded beyond LISTINGS_MAX; QuorumUnmet if nothing can be listed."""
        path, _, query = request.target.partition("?")
        bucket = bucket_name(path.removeprefix("/kv/"))
        found = parameters(query, PARAMETERS)
        prefix = found.pop("prefix", "").encode("latin-1")
        if len(prefix) > KEY_BYTES_MAX:
            raise BadParameter("prefix", f"has {len(prefix)} bytes", f"at most {KEY_BYTES_MAX} bytes")
        limit = _limit(found.pop("limit", None))
        cursor = found.pop("cursor", None)
        stretches = None if cursor is None else parse_cursor(bucket, prefix, cursor)
        settings = self._view.bucket_settings(bucket)
        listed = Listed(bucket, prefix, resolve(settings, found), settings.conflict)
        request.refuse_body()
        refuse_session(request)
        if len(self.listings) >= LISTINGS_MAX:
            self._stats.overloaded += 1
            raise Overloaded(f"{LISTINGS_MAX} listings are in progress at this node")
        form = FORMS[choose(request.headers.get(ACCEPT, ""), tuple(FORMS))]()
        listing = Listing(self, self._coordinator.scan(listed, stretches, limit), listed, form)
        self.listings.add(listing)
        try:
            await listing.begin()
        except BaseException:
            listing.close()
            raise
        return Reply(200, f"Content-Type: {form.content_type}\r\n{HEAD}", source=listing)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= LIMIT_MAX):
        raise BadParameter("limit", f"{text[:40]!r} is none", f"1..{LIMIT_MAX}")
    return int(text)
