"""Sessions over four copies of each of two keys: everything that can happen between their requests, and within one.

Nodes 0 to 2 are the keys' primaries; node 3 is a fallback that takes writes, hands its copies off and drops them. Any
node may hear of any other's copy at any time, a primary may lose its disk and be refilled, and deletions are reaped. A
request reaches some nodes and not others, and copies move while it asks around.

What must hold is said in events, without vectors and dots: `causality_oracle` holds each copy against the events that
reached it, and of each session the events are kept that it wrote or that stood behind what it was shown (`View`).

    read your writes, monotonic reads           what a read shows stands for all events of its session
    monotonic writes, writes follow reads       a copy that has a session's write has all that the session had seen
    nothing is asked for in vain                only a request that did not reach everybody is told "behind"

Events that were reaped by common consent are asked for no more. Subclasses break one rule each.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dynkv.core.context import Tokens
from dynkv.core.record import Record, Vector, is_deleted, merge, put
from dynkv.core.search import Search, is_covered
from dynkv.core.session import TOKENS_MAX, Demand, Session
from tests.property.causality_oracle import NOTHING, History, Oracle, Violation

PRIMARIES = (0, 1, 2)
FALLBACK = 3
NODES = (*PRIMARIES, FALLBACK)
KEYS = (b"a", b"b")
BUCKET = "bucket"
TOKENS = Tokens(b"secret of the cluster").sessions
_WORD = 2**64 - 1

node_numbers = st.sampled_from(NODES)
keys = st.sampled_from(KEYS)
reached = st.sampled_from([NODES] * 2 + [PRIMARIES, (0, 1, 3), (1, 2), (0, 3), (2,)])
orders = st.permutations(NODES)
Move = tuple[str, int, int]
# What moves: a copy from one to another, the fallback's to a primary, or away altogether.
moves = st.lists(
    st.tuples(st.just("copy"), node_numbers, node_numbers)
    | st.tuples(st.just("hand off"), st.just(FALLBACK), st.sampled_from(PRIMARIES))
    | st.just(("reap", 0, 0)),
    max_size=5,
)
visits = st.integers(0, 2)


class View(NamedTuple):
    """A token, and the events that a session with it has seen and those of them that it wrote, by key."""

    token: str
    seen: dict[bytes, History]
    own: dict[bytes, History]


class Visit:
    """One session: the tokens to send next, and those that were sent last."""

    def __init__(self) -> None:
        self.views: tuple[View, ...]
        self.before: tuple[View, ...]
        self.views = self.before = (View("new", dict.fromkeys(KEYS, NOTHING), dict.fromkeys(KEYS, NOTHING)),)
        self.contexts: dict[bytes, tuple[Vector, History]] = dict.fromkeys(KEYS, ((), NOTHING))


class Copy(NamedTuple):
    record: Record
    actor: int


class SessionMachine(RuleBasedStateMachine):
    """The world as it should be."""

    catches_up: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.minted = self.written = 0
        self.copies: list[dict[bytes, Copy]] = [{} for _ in NODES]
        self.oracles = {key: Oracle(len(NODES)) for key in KEYS}
        self.whole = dict.fromkeys(PRIMARIES, True)
        self.visits = [Visit() for _ in range(3)]
        self.must: dict[tuple[bytes, int], History] = {}  # (key, event): what a copy that has it must have

    # --- sessions -----------------------------------------------------------------------------------------------------

    @rule(
        visit=visits, key=keys, asked=orders, count=st.integers(1, 2), near=reached, moves=moves, beside=st.booleans()
    )
    def read(
        self,
        visit: int,
        key: bytes,
        asked: Sequence[int],
        count: int,
        near: Sequence[int],
        moves: list[Move],
        beside: bool,
    ) -> None:
        """A read at r = `count`, and what it sees. `beside`: sent before the last answer had come."""
        at = self.visits[visit]
        views = at.before if beside and len(at.views) < TOKENS_MAX else at.views
        session = self.session_of(views)
        demand = session.demand(BUCKET, key)
        oracle = self.oracles[key]
        heard, record = NOTHING, None
        for node in [node for node in asked if node in near][:count]:
            record, heard = self.take_in(key, node, record, heard)
        if self.searches and not is_covered(record, demand.vector):
            found = self.search(key, demand, record, heard, asked, near, moves)
            if found is None:
                return
            record, heard = found
        write_ids = [] if record is None else [sibling.write_id for sibling in record.siblings]
        if sorted(write_ids) != sorted(oracle.events[event].write_id for event in oracle.survivors(heard)):
            raise Violation(f"a read shows {write_ids} of {heard}")
        seen = NOTHING.union(*(view.seen[key] for view in views))
        lost = seen - heard - oracle.buried
        if lost:
            own = NOTHING.union(*(view.own[key] for view in views))
            raise Violation(f"{'read your writes' if lost & own else 'monotonic reads'}: {lost} not in {heard}")
        if record is not None:
            at.contexts[key] = (record.vector, heard)
        self.end(at, views, session.after_read(BUCKET, key, record), key, heard, NOTHING, beside)

    @rule(
        visit=visits,
        key=keys,
        node=node_numbers,
        asked=orders,
        near=reached,
        moves=moves,
        informed=st.booleans(),
        deletes=st.booleans(),
        beside=st.booleans(),
    )
    def write(
        self,
        visit: int,
        key: bytes,
        node: int,
        asked: Sequence[int],
        near: Sequence[int],
        moves: list[Move],
        informed: bool,
        deletes: bool,
        beside: bool,
    ) -> None:
        """A write at one node, with the context of the session's last read of the key if `informed`."""
        at = self.visits[visit]
        views = at.before if beside and len(at.views) < TOKENS_MAX else at.views
        session = self.session_of(views)
        demand = session.demand(BUCKET, key)
        oracle = self.oracles[key]
        record, heard = self.take_in(key, node, None, NOTHING)
        if self.catches_up and not is_covered(record, demand.vector):
            found = self.search(key, demand, record, heard, asked, {*near, node}, moves)
            if found is None:
                return
            if found[0] is not None:
                self.learn(key, node, *found)
        context, read = at.contexts[key] if informed else ((), NOTHING)
        write_id = b"w%d" % self.written
        self.written += 1
        actor, counter = self.coordinate(key, node, context, demand, write_id, deletes)
        own = NOTHING.union(*(view.own[key] for view in views))
        seen = NOTHING.union(*(view.seen[key] for view in views))
        event = oracle.wrote(node, write_id, deletes, read | own)
        self.must[key, event] = seen
        after = session.after_write(BUCKET, key, ((actor, counter),), (actor, counter))
        self.end(at, views, after, key, seen | {event}, own | {event}, beside)

    @rule(visit=visits, key=keys, primary=st.sampled_from(PRIMARIES), asked=orders)
    def read_what_is_on_its_way(self, visit: int, key: bytes, primary: int, asked: Sequence[int]) -> None:
        """Write at the fallback; the copy is handed off after its new place was asked and before its old one is."""
        still: list[Move] = []
        self.write(visit, key, FALLBACK, asked, NODES, still, informed=False, deletes=False, beside=False)
        order = [primary, *(node for node in asked if node not in (primary, FALLBACK)), FALLBACK]
        self.read(visit, key, order, 1, NODES, [("hand off", FALLBACK, primary)], beside=False)

    def session_of(self, views: Sequence[View]) -> Session:
        return TOKENS.parse(", ".join(view.token for view in views))

    def end(
        self,
        at: Visit,
        views: Sequence[View],
        session: Session,
        key: bytes,
        seen: History,
        own: History,
        beside: bool,
    ) -> None:
        """The answer has come."""
        view = View(
            TOKENS.make(session),
            {name: NOTHING.union(*(view.seen[name] for view in views)) for name in KEYS},
            {name: NOTHING.union(*(view.own[name] for view in views)) for name in KEYS},
        )
        view.seen[key] |= seen
        view.own[key] |= own
        kept = tuple(other for other in at.views if other not in views) if beside else ()
        at.before, at.views = at.views, (*kept, view)

    def coordinate(
        self, key: bytes, node: int, context: Vector, demand: Demand, write_id: bytes, deletes: bool
    ) -> tuple[int, int]:
        """The dot that the write gets at this copy."""
        copy = self.copies[node].get(key)
        actor = copy.actor if copy is not None and copy.actor else self.mint()
        before = None if copy is None else copy.record
        record = put(before, context, actor, 0, None if deletes else write_id, "", write_id, self.own_of(demand))
        self.copies[node][key] = Copy(record, actor)
        return actor, dict(record.vector)[actor]

    def own_of(self, demand: Demand) -> Vector:
        return demand.own

    def mint(self) -> int:
        """Actors that never repeat and come in no order."""
        self.minted += 1
        return (self.minted * 0x9E3779B97F4A7C15) & _WORD

    # --- the search ---------------------------------------------------------------------------------------------------

    def search(
        self,
        key: bytes,
        demand: Demand,
        record: Record | None,
        heard: History,
        order: Sequence[int],
        near: Sequence[int] | set[int],
        moves: list[Move],
    ) -> tuple[Record | None, History] | None:
        """What is found, and the events behind it; None if the request fails. Things move after every answer."""
        search = self.look(demand, record)
        left = list(moves)
        while True:
            for node in [node for node in order if str(node) in search.awaited]:
                if node not in near:
                    search.silent(str(node), "unreachable")
                    continue
                copy = self.copies[node].get(key)
                search.hear(str(node), None if copy is None else copy.record, self.whole.get(node, True))
                heard |= self.oracles[key].held[node]
                if search.covered:
                    return search.merged, heard
                if left:
                    self.move(key, *left.pop())
            if self.given_up(search):
                return search.merged, heard
            if not search.ask_again():
                break
        if len(near) == len(NODES) and all(self.whole.values()):
            raise Violation("everybody was asked, and the session is told that it is behind")
        return None

    def look(self, demand: Demand, record: Record | None) -> Search:
        return Search(demand.vector, [str(node) for node in PRIMARIES], [str(FALLBACK)], record)

    def given_up(self, search: Search) -> bool:
        return search.nowhere

    def take_in(self, key: bytes, node: int, record: Record | None, heard: History) -> tuple[Record | None, History]:
        """`record` and the events behind it, with this node's copy."""
        copy = self.copies[node].get(key)
        if copy is not None:
            record = copy.record if record is None else merge(record, copy.record)
        return record, heard | self.oracles[key].held[node]

    # --- copies -------------------------------------------------------------------------------------------------------

    @rule(key=keys, moves=moves)
    def move_about(self, key: bytes, moves: list[Move]) -> None:
        for move in moves:
            self.move(key, *move)

    def move(self, key: bytes, what: str, source: int, target: int) -> None:
        if what == "reap":
            self.reap(key)
        elif source != target and (copy := self.copies[source].get(key)) is not None:
            self.learn(key, target, copy.record, self.oracles[key].held[source])
            if what == "hand off":
                self.drop(key, FALLBACK)

    def learn(self, key: bytes, node: int, record: Record | None, history: History) -> None:
        """`record` reaches this node's copy."""
        assert record is not None
        ours = self.copies[node].get(key)
        self.copies[node][key] = Copy(record, 0) if ours is None else Copy(merge(ours.record, record), ours.actor)
        self.oracles[key].learned(node, history)

    def drop(self, key: bytes, node: int) -> None:
        del self.copies[node][key]
        self.oracles[key].dropped(node)

    def reap(self, key: bytes) -> None:
        """All agree that it is deleted, and nobody else has anything: it is forgotten."""
        copies = [self.copies[node].get(key) for node in PRIMARIES]
        first = copies[0]
        if first is None or key in self.copies[FALLBACK] or not is_deleted(first.record):
            return
        if all(copy is not None and copy.record == first.record for copy in copies) and all(self.whole.values()):
            for node in PRIMARIES:
                del self.copies[node][key]
            self.oracles[key].reaped(set(PRIMARIES))

    @rule(node=st.sampled_from(PRIMARIES))
    def lose(self, node: int) -> None:
        """A disk dies whose records others have, too."""
        for key in KEYS:
            held = self.oracles[key].held
            if not held[node] <= NOTHING.union(*(held[other] for other in NODES if other != node)):
                return
        for key in list(self.copies[node]):
            self.drop(key, node)
        self.whole[node] = False

    @rule(node=st.sampled_from(PRIMARIES))
    def refill(self, node: int) -> None:
        for key in KEYS:
            for other in NODES:
                self.move(key, "copy", other, node)
        self.whole[node] = True

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def copies_are_what_their_histories_say(self) -> None:
        for key, oracle in self.oracles.items():
            for node in NODES:
                copy = self.copies[node].get(key)
                siblings = () if copy is None else copy.record.siblings
                oracle.check(node, [(sibling.write_id, sibling.value is None) for sibling in siblings])

    @invariant()
    def who_has_a_write_has_what_its_session_had_seen(self) -> None:
        for (key, event), seen in self.must.items():
            oracle = self.oracles[key]
            for node in NODES:
                if event in oracle.held[node] and (lost := seen - oracle.held[node] - oracle.buried):
                    raise Violation(f"monotonic writes, writes follow reads: node {node} has {event} and not {lost}")
