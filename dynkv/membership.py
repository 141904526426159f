"""Who is in the cluster, where keys live, and how buckets are set: what all members come to agree on by gossip.

Two maps in which the newest entry wins, so merging them is order-free:

    member id   -> MemberEntry   what the member says of itself; larger start count wins
    bucket name -> Setting       larger (counter, node id) wins

Each heartbeat carries a digest of both (`summary`); two nodes whose digests differ exchange the maps whole. They are
kept in the store, so a node that starts alone knows the cluster.

Forming: where the replicas of a key go depends on every member's labels and weight, which only the member itself
knows. So a cluster is formed, and serves, once each of the configured members has been heard of, be it through another
member. From then on the set of members, their labels and weights are fixed: moving partitions is not built yet, and a
placement that changes without moving data would lose sight of acknowledged writes. A start that contradicts the stored
map is refused.

Going back in time: every start of a node has a larger start count and a random id, its life; a member remembers the
lives of its newest starts. (A node that runs for long counts on without a start, see marks.) An entry about *this* node
with a larger count than its own, or with a life that is not its own of that count, says that its directory was deleted
or an old copy restored. Then its copies miss writes that it once acknowledged, and it says so to whoever asks
(`Identity.complete`). A peer keeps such an entry against a newcomer that has forgotten it, however often the newcomer
was started: it is the only evidence.

Who may say that it did not: a peer whose own map began anew, with its directory, knows of this node what this node has
told it, and nothing else. A map is *whole* that was kept, on disk, since the cluster was formed: it has met that of
every other member, or that of a confirmed member that was whole. A node is confirmed (`Identity.confirmed`) once a peer
with a whole map, or every other member, has been heard and knows of no later start.
"""

import hashlib
from collections.abc import Callable, Iterable

import msgspec
import structlog

from dynkv.core.bucket import BUCKET_NAME, BucketSettings, Setting, newer
from dynkv.core.errors import BadConfig, NotFormed
from dynkv.core.plan import Plan
from dynkv.extents import Extents
from dynkv.identity import Identity
from dynkv.peer.gossip_messages import Gossip, GossipReply, Greeting, MemberEntry
from dynkv.storage.base import Store
from dynkv.storage.keys import meta_key
from ring.members import Member
from ring.placement import Placement
from ring.tokens import partition_of, token

log = structlog.get_logger("dynkv.membership")

# Of starts and of settings: nobody lives to see it, and one more can still be encoded.
COUNTER_MAX = 2**48

_MEMBERS = meta_key("members")
_SETTINGS = meta_key("settings")
_decode_settings = msgspec.msgpack.Decoder(tuple[Setting, ...]).decode
_encode = msgspec.msgpack.Encoder().encode


class StoredMap(msgspec.Struct, frozen=True, array_like=True):
    """The member map on disk. n: replicas that the placement was computed for; 0 while the cluster is not formed."""

    n: int
    members: tuple[MemberEntry, ...]
    whole: bool


_decode_map = msgspec.msgpack.Decoder(StoredMap).decode


class Membership:
    """The member map and bucket settings of one node. All methods run on the loop and do no waiting."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        own: MemberEntry,
        configured: Iterable[str],
        *,
        partitions: int,
        defaults: BucketSettings,
        went_back: Callable[[int], None],
        fell_short: Callable[[], None],
    ) -> None:
        self.extents = Extents(store, identity, fell_short)
        self._store = store
        self._identity = identity
        self._configured = frozenset(configured)
        self._partitions = partitions
        self._went_back = went_back
        self._plans: dict[tuple[int, int], Plan] = {}
        self._bucket_settings: dict[str, BucketSettings] = {}
        self.defaults = defaults
        self.placement: Placement | None = None
        self.members: dict[str, MemberEntry] = {}
        self.settings: dict[str, Setting] = {}
        self.strangers: set[str] = set()
        self.on_n_changed: Callable[[str], None] | None = None
        """Told of a bucket whose n is another now. It was empty when that was set, but records may have come before the
        news did."""
        self._behind = False  # this directory went back in time
        self._whole = False
        self._heard: set[str] = set()  # members heard in this life
        self._unsaved = False  # the store may lack what is in memory
        self._load(own)
        self.summary = self._digest()

    # --- where keys live ----------------------------------------------------------------------------------------------

    def plan(self, bucket: str, key: bytes, n: int) -> Plan:
        """The preference list of a key, cut at n. NotFormed until every configured member has been heard of."""
        return self.plan_of(partition_of(token(bucket, key), self._partitions), n)

    def plan_of(self, partition: int, n: int) -> Plan:
        """The same of a partition."""
        plan = self._plans.get((partition, n))
        if plan is None:
            if self.placement is None:
                raise NotFormed(f"the cluster is not formed yet: never heard of {', '.join(self.unheard())}")
            nodes = self.placement.preference(partition)
            plan = self._plans[(partition, n)] = Plan(partition, nodes[:n], nodes[n:])
        return plan

    def is_primary(self, node: str, bucket: str, key: bytes) -> bool:
        """Whether `node` is one of the key's primaries, by the bucket's n."""
        return node in self.plan(bucket, key, self.bucket(bucket).n).primaries

    def unheard(self) -> list[str]:
        """Configured members of which nothing is known."""
        return sorted(self._configured - self.members.keys())

    # --- buckets ------------------------------------------------------------------------------------------------------

    def bucket(self, name: str) -> BucketSettings:
        """The bucket's settings, or the cluster's defaults."""
        return self._bucket_settings.get(name, self.defaults)

    def set_bucket(self, name: str, settings: BucketSettings) -> None:
        """Replace the bucket's settings at this node; the caller sees to it that others have them too."""
        before = self.settings.get(name)
        counter = 1 if before is None else before.counter + 1
        node = self._identity.node
        self._take_settings((Setting(name, counter, node, settings.n, settings.r, settings.w, settings.conflict),))

    # --- gossip -------------------------------------------------------------------------------------------------------

    def greeting(self) -> Greeting:
        """What peers hear with each heartbeat."""
        return Greeting(self.summary, self.extents.own())

    def gossip(self, node: str) -> Gossip:
        """For this peer."""
        return Gossip(*self._all(), self.extents.of(node))

    def gossip_reply(self, node: str) -> GossipReply:
        """Likewise."""
        return GossipReply(*self._all(), self.extents.of(node))

    def _all(self) -> tuple[tuple[MemberEntry, ...], tuple[Setting, ...], bool, bool]:
        confirmed = self._identity.confirmed
        return tuple(self.members.values()), tuple(self.settings.values()), self._whole, confirmed

    @property
    def settled(self) -> bool:
        """Whether nothing is to be heard from a peer that knows of the same members and settings."""
        return self._behind or (self._whole and self._identity.confirmed)

    def take(self, said: Gossip | GossipReply, node: str) -> None:
        """Merge what the peer `node` knows. What it says of this node is judged, never taken."""
        own = self.members[self._identity.node]
        self._heard.add(node)
        self.extents.judge(said.heard)  # before this node is confirmed by the rest
        all_heard = self._heard >= self._configured - {own.node}
        changed = not self._whole and (all_heard or (said.whole and said.confirmed))
        self._whole |= changed
        for entry in said.members:
            if entry.node == own.node:
                self._hear_of_self(entry, said.whole or all_heard)
            elif not _possible(entry):
                log.warning("a peer knows a member that cannot be", member=entry.node)
            elif entry.node not in self._configured:
                self._meet_stranger(entry.node)
            else:
                before = self.members.get(entry.node)
                if before is None or _is_news(entry, before, node):
                    changed = self._take_member(before, entry) or changed
        if changed:
            self._form()
        self._take_settings(said.settings)
        self.summary = self._digest()
        if changed or self._unsaved:
            self._save()

    def hear_hello(self, node: str, start_count: int, incarnation: int) -> None:
        """A peer proved to be `node`. Its labels come with gossip; here only an older life is noticed."""
        known = self.members.get(node)
        if known is not None and start_count < known.start_count:
            log.warning(
                "a member came back with an older start count", member=node, now=start_count, known=known.start_count
            )

    def renew(self, own: MemberEntry) -> None:
        """This node says something else of itself without a restart: it counted on, or begins a new incarnation, as its
        store is about to accept writes again and may have lost what was saved last. Nothing can be written yet then;
        the next exchange, which the new summary brings, does."""
        self.members[own.node] = own
        self._unsaved = True
        self.summary = self._digest()

    def _hear_of_self(self, entry: MemberEntry, evidence: bool) -> None:
        """`evidence`: whether it would be known if there had been a later start."""
        ours = self._identity
        if entry.start_count > ours.start_count or _forgot(self.members[ours.node], entry):
            # Until this life ends: its copies miss writes, and its actors may have counted further than it knows.
            ours.complete = ours.confirmed = False
            self._behind = True
            self._went_back(entry.start_count)
        elif evidence and not self._behind:
            ours.confirmed = True

    def _meet_stranger(self, node: str) -> None:
        if node not in self.strangers:
            self.strangers.add(node)
            log.warning("a peer knows a member that is not among ours", member=node)

    def _take_member(self, before: MemberEntry | None, entry: MemberEntry) -> bool:
        if before is not None and _forgot(entry, before):
            log.warning("a member came back that has forgotten a start of its own", member=entry.node)
            return False
        if before is not None and self.placement is not None and _place(before) != _place(entry):
            log.warning(
                "a member changed labels or weight, which are fixed once a cluster is formed", member=entry.node
            )
            return False
        self.members[entry.node] = entry
        return True

    def _take_settings(self, settings: Iterable[Setting]) -> None:
        changed = False
        for setting in settings:
            if not self._acceptable(setting):
                log.warning("a peer has impossible settings of a bucket", bucket=setting.bucket[:128])
            elif newer(self.settings.get(setting.bucket), setting):
                n = self.bucket(setting.bucket).n
                self.settings[setting.bucket] = setting
                self._bucket_settings[setting.bucket] = setting.settings()
                changed = True
                if setting.n != n and self.on_n_changed is not None:
                    self.on_n_changed(setting.bucket)
        if changed:
            self.summary = self._digest()
            self._save()

    def _acceptable(self, setting: Setting) -> bool:
        in_range = (
            1 <= setting.n <= len(self._configured) and 1 <= setting.r <= setting.n and 1 <= setting.w <= setting.n
        )
        return in_range and 1 <= setting.counter <= COUNTER_MAX and BUCKET_NAME.match(setting.bucket) is not None

    # --- the stored map -----------------------------------------------------------------------------------------------

    def _load(self, own: MemberEntry) -> None:
        stored = self._store.get(_MEMBERS)
        if stored is not None:
            known = _decode_map(stored)
            self.members = {entry.node: entry for entry in known.members if entry.node in self._configured}
            self._whole = known.whole
            if known.n:
                self._check_unchanged(known, own)
        if (settings := self._store.get(_SETTINGS)) is not None:
            for setting in _decode_settings(settings):
                self.settings[setting.bucket] = setting
                self._bucket_settings[setting.bucket] = setting.settings()
        self.members[own.node] = own
        if self._configured == {own.node}:
            self._whole = self._identity.confirmed = True  # there is nobody who could know better
        self._form()
        self._save()

    def _save(self) -> None:
        """StoreError leaves it for the next exchange."""
        self._unsaved = True
        n = 0 if self.placement is None else self.defaults.n
        members = _encode(StoredMap(n, tuple(self.members.values()), self._whole))
        self._store.write(((_MEMBERS, members), (_SETTINGS, _encode(tuple(self.settings.values())))))
        self._unsaved = False

    def _check_unchanged(self, known: StoredMap, own: MemberEntry) -> None:
        """BadConfig if the configuration contradicts the cluster that was formed."""
        names = frozenset(entry.node for entry in known.members)
        if names != self._configured:
            raise BadConfig(
                f"members: {', '.join(sorted(self._configured))} were given, but this cluster was formed of "
                f"{', '.join(sorted(names))}; adding and removing members is not supported yet"
            )
        if known.n != self.defaults.n:
            raise BadConfig(f"cluster.n: is {self.defaults.n}, but this cluster was formed with {known.n}")
        before = _place(self.members[own.node])
        if before != _place(own):
            raise BadConfig(
                f"labels: region, zone, host and weight are fixed once a cluster is formed; {own.node} was formed "
                f"with {before}"
            )

    def _form(self) -> None:
        if self.placement is not None or self.unheard():
            return
        self.placement = Placement(map(_member, self.members.values()), partitions=self._partitions, n=self.defaults.n)
        log.info("cluster formed", members=sorted(self.members))

    def _digest(self) -> bytes:
        members = tuple(self.members[node] for node in sorted(self.members))
        settings = tuple(self.settings[name] for name in sorted(self.settings))
        return hashlib.blake2b(_encode((members, settings)), digest_size=16).digest()


def _member(entry: MemberEntry) -> Member:
    """ValueError or OverflowError if labels or weight are impossible."""
    # The ring wants whole relative weights; a hundredth is finer than any difference it can place.
    return Member(entry.node, max(1, round(100 * entry.weight)), entry.region, entry.zone, entry.host)


def _possible(entry: MemberEntry) -> bool:
    """Whether a member can say this of itself: what a peer sends is data."""
    try:
        _member(entry)
    except (ValueError, OverflowError):
        return False
    return 0 <= entry.start_count <= COUNTER_MAX


def _is_news(entry: MemberEntry, before: MemberEntry, sender: str) -> bool:
    """A later start, or what the member itself says now of the same one: its incarnation may have ended within it."""
    if entry.start_count == before.start_count:
        return entry.node == sender and entry != before
    return entry.start_count > before.start_count


def _forgot(newer: MemberEntry, older: MemberEntry) -> bool:
    """Whether the member of `newer` had another life at the start that `older` tells of; False if too long ago."""
    starts_ago = newer.start_count - older.start_count
    return 0 <= starts_ago < len(newer.lives) and newer.lives[-1 - starts_ago] != older.lives[-1]


def _place(entry: MemberEntry) -> tuple[str, str, str, float]:
    return entry.region, entry.zone, entry.host, entry.weight
