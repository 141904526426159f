"""Clients that read, write and delete a few keys, each one thing at a time, over HTTP, through any node.

A client remembers the context of what it last saw of a key, for a while, so its writes replace what is new and what is
long since overwritten, and some replace nothing. An unanswered or ambiguous write is often tried again through another
node under its write id, sometimes late; what stays open after that is left open, as people do.

Now and then a client outside of sessions puts several keys in one batch, new ones and others.

New keys come all the time, and are looked at. Some are graves: written, deleted, and then only looked at, so that there
is time to forget their tombstones; now and then somebody writes to one again.

Every second client works in a session, with other nodes and after other deaths: its token is all that it brings along.

Keys whose name begins with `s` are used strictly (`sloppy=false`): with r + w > n their reads must see every
acknowledged write. On the others a fallback may stand in, so a read may be older.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dynkv.core.context import Tokens
from dynkv.core.record import Vector
from dynkv.core.session import NEW as NEW_SESSION
from dynkv.peer.sockets import HostPort
from dynkv.runtime import Tasks, pause
from dynkv.sim.batch import Put, body_of, results_of
from dynkv.sim.chance import Chance
from dynkv.sim.client import Answer, HttpClient, Unanswered, values_of
from dynkv.sim.history import Attempt, History, Kind, Op, bit, number_in, value_of
from dynkv.sim.journal import Journal
from dynkv.sim.network import Net, Site
from dynkv.sim.world import World

BUCKET = "b"
KINDS: tuple[tuple[Kind, float], ...] = (("get", 0.45), ("put", 0.45), ("delete", 0.1))
GRAVE, VISIT, NEW, BATCH = 0.04, 0.12, 0.04, 0.04
BATCH_KEYS = 4
SIZES = ((10, 0.6), (200, 0.3), (5_000, 0.1))
ATTEMPTS_MAX = 4
# A client waits longer than the request's own deadline: the answer that says how it went is on its way.
PATIENCE = 1.5


class Memory(NamedTuple):
    """A context that a client has got: as it travels, what is in it, and the writes that stand behind it."""

    token: str
    vector: Vector
    seen: int


NOTHING = Memory("", (), 0)


class Habits(NamedTuple):
    """`clients`: how many. `keys`: names. Between two operations a client thinks for up to `think_s`; the whole takes
    about `seconds`."""

    clients: int
    keys: Sequence[str]
    think_s: float
    seconds: float
    timeout_s: float


class Workload:
    """All clients. `acknowledged(op)`: told at once of each write's first acknowledgement."""

    def __init__(
        self,
        world: World,
        net: Net,
        site: Site,
        addresses: Mapping[str, HostPort],
        tokens: Tokens,
        habits: Habits,
        *,
        seed: int,
        journal: Journal,
        history: History,
        acknowledged: Callable[[Op], None],
    ) -> None:
        self.history = history
        self.done = 0
        self._world = world
        self._tokens = tokens
        self._habits = habits
        self._journal = journal
        self._acknowledged = acknowledged
        self._stopping = False
        self._clients = [
            Client(
                self,
                f"c{number}",
                HttpClient(net, site, addresses),
                Chance(seed, f"client {number}"),
                addresses,
                NEW_SESSION if number % 2 == 0 else "",
            )
            for number in range(1, habits.clients + 1)
        ]

    async def run(self, tasks: Tasks) -> None:
        """Work until `stop`; returns when every client has finished what it was doing."""
        await asyncio.gather(*(tasks.start(client.name, client.run()) for client in self._clients))

    async def read_all(self, keys: Sequence[tuple[str, str]]) -> list[Op]:
        """Read (key, node), one after the other."""
        return [await self._clients[0].look(key, node) for key, node in keys]

    def stop(self) -> None:
        self._stopping = True


class Client:
    """One client. `session`: the token that it begins with; "" for none."""

    def __init__(
        self,
        all_clients: Workload,
        name: str,
        http: HttpClient,
        chance: Chance,
        nodes: Mapping[str, HostPort],
        session: str,
    ) -> None:
        self.name = name
        self._all = all_clients
        self._http = http
        self._chance = chance
        self._nodes = list(nodes)
        self._session = session
        self._own: dict[str, Op] = {}  # the session's last acknowledged write of each key, which its next one replaces
        self._forgotten: set[str] = set()  # keys of which the session no longer knows all that it had seen
        self._memory: dict[str, Memory] = {}
        self._graves: list[str] = []
        self._dying: list[tuple[float, str]] = []  # when to delete what
        self._new = 0

    async def run(self) -> None:
        habits = self._all._habits
        while not self._all._stopping:
            await self._delete_what_is_due()
            if self._chance.odds(GRAVE):
                self._new += 1
                await self._bury(f"g{self.name[1:]}.{self._new}")
            elif self._chance.odds(NEW):
                self._new += 1
                await self._found(f"{self._chance.pick('fs')}{self.name[1:]}.{self._new}")
            elif not self._session and self._chance.odds(BATCH):
                self._new += 1
                await self._batch()
            elif self._graves and self._chance.odds(VISIT):
                await self._operate("put" if self._chance.odds(0.1) else "get", self._chance.pick(self._graves))
            else:
                await self._operate(self._chance.weighted(KINDS), self._chance.pick(habits.keys))
            await pause(self._chance.uniform(0, habits.think_s))
        self._http.hang_up()

    async def _bury(self, key: str) -> None:
        for _ in range(1 + self._chance.below(2)):
            await self._operate("put", key)
        living_s = self._chance.pick((0.0, 0.05, 0.15)) * self._all._habits.seconds
        self._dying.append((self._all._world.now + living_s, key))

    async def _delete_what_is_due(self) -> None:
        now = self._all._world.now
        due, self._dying = [key for at, key in self._dying if at <= now], [one for one in self._dying if one[0] > now]
        for key in due:
            await self._operate("delete", key)
            self._graves.append(key)

    async def _found(self, key: str) -> None:
        """Write a key that was not there before, and look at it for a while."""
        for kind in ("put", "get", "get"):
            await self._operate(kind, key)
            await pause(self._chance.uniform(0, 0.5))

    async def _operate(self, kind: Kind, key: str) -> None:
        everything = self._all
        op = self._begin(kind, key)
        if kind == "get":
            await self.read(op)
        else:
            await self._write(op)
        self._finish(op)
        everything.done += 1

    def _begin(self, kind: Kind, key: str) -> Op:
        everything = self._all
        op = everything.history.begin(self.name, kind, key, key.startswith("s"), everything._world.now)
        if self._session:
            if not everything._tokens.sessions.parse(self._session).remembers(BUCKET, key.encode()):
                self._forgotten.add(key)
            op.session = op.strict or key not in self._forgotten
        return op

    def _finish(self, op: Op) -> None:
        op.ended = self._all._world.now
        self._all._journal.note(self.name, f"{op.kind} {op.key}", **_told(op))

    # --- reading ------------------------------------------------------------------------------------------------------

    async def look(self, key: str, node: str) -> Op:
        """Read a key at one node, outside of any session."""
        self._session = ""
        op = self._all.history.begin(self.name, "get", key, key.startswith("s"), self._all._world.now)
        await self.read(op, [node])
        self._finish(op)
        return op

    async def read(self, op: Op, nodes: Sequence[str] = ()) -> None:
        """Ask one node after the other until one answers: `nodes`, or some in chance order."""
        op.outcome = "failed"
        for node in nodes or self._chance.some(self._nodes, len(self._nodes))[:3]:
            answer = await self._ask(op, node, "GET", {"Accept": "application/json"}, b"")
            if answer is not None and answer.status in (200, 300, 404):
                op.outcome = "ok"
                self._take_in(op, answer)
                return

    def _take_in(self, op: Op, answer: Answer) -> None:
        ops = self._all.history.ops
        shown = [number_in(value) for value in values_of(answer)]
        op.shows = tuple(sorted(set(shown)))
        op.repeats = len(shown) > len(op.shows)
        seen = 0
        for number in op.shows:
            seen |= bit(number) | ops[number].seen
        op.seen = seen
        memory = self._keep(op, answer.fields.get("dynkv-context"), seen)
        op.vector = None if memory is None else memory.vector

    def _keep(self, op: Op, token: str | None, seen: int) -> Memory | None:
        if not token:
            return None
        memory = Memory(token, self._all._tokens.parse(BUCKET, op.key.encode(), token), seen)
        self._memory[op.key] = memory
        return memory

    # --- writing ------------------------------------------------------------------------------------------------------

    async def _write(self, op: Op) -> None:
        chance = self._chance
        memory = self._memory.get(op.key, NOTHING)
        if op.kind == "put" and chance.odds(0.15):
            memory = NOTHING
        elif memory is NOTHING or chance.odds(0.5):
            looked = self._begin("get", op.key)
            await self.read(looked)
            self._finish(looked)
            memory = self._memory.get(op.key, NOTHING)
            if op.kind == "delete" and memory is NOTHING:
                op.outcome = "not_applied"  # there is nothing to delete
                return
        op.context, op.seen = memory.vector, memory.seen
        if self._session and op.key in self._own:
            op.seen |= bit(self._own[op.key].number)
        fields = {"Idempotency-Key": op.write_id.decode()}
        if memory.token:
            fields["Dynkv-Context"] = memory.token
        body = value_of(op, chance.weighted(SIZES)) if op.kind == "put" else b""
        await self._attempt(op, "PUT" if op.kind == "put" else "DELETE", fields, body)

    async def _attempt(self, op: Op, method: str, fields: Mapping[str, str], body: bytes) -> None:
        chance = self._chance
        for number, node in enumerate([*chance.some(self._nodes, len(self._nodes)), chance.pick(self._nodes)]):
            if number == ATTEMPTS_MAX or (op.reached and chance.odds(0.3)):
                break
            if number and chance.odds(0.2):
                await pause(chance.uniform(0.1, 4.0))
            answer = await self._ask(op, node, method, fields, body)
            attempt = op.attempts[-1]
            if answer is not None:
                attempt.outcome = answer.fields.get("dynkv-outcome", "")
                if attempt.outcome == "applied":
                    self._applied(op, answer.fields.get("dynkv-dot"), answer.fields.get("dynkv-context"))
                    return
                if answer.status == 409:
                    break  # too many siblings: the way out is to read
        op.outcome = "ambiguous" if op.reached else "not_applied"

    def _applied(self, op: Op, receipt: str | None, token: str | None) -> None:
        op.outcome = "applied"
        self._own[op.key] = op
        if receipt:
            actor, _, counter = receipt.partition("-")
            op.dots.append((int(actor, 16), int(counter)))
        if self._chance.odds(0.7):
            self._keep(op, token, op.seen | bit(op.number))
        self._all._acknowledged(op)

    async def _batch(self) -> None:
        """Put several keys at once; what is not answered for certain is tried again through another node."""
        chance, habits = self._chance, self._all._habits
        keys = [f"f{self.name[1:]}.{self._new}.{place}" for place in range(BATCH_KEYS)]
        keys += chance.some(list(habits.keys), min(BATCH_KEYS, len(habits.keys)))
        puts: list[Put] = []
        for key in keys:
            op = self._begin("put", key)
            memory = self._memory.get(key, NOTHING)
            op.context, op.seen = memory.vector, memory.seen
            puts.append(Put(op, value_of(op, chance.weighted(SIZES)), memory.token))
        left = puts
        for node in chance.some(self._nodes, len(self._nodes))[:ATTEMPTS_MAX]:
            left = await self._put_together(left, node)
            if not left or chance.odds(0.3):
                break
        for put in puts:
            self._finish(put.op)
            self._all.done += 1

    async def _put_together(self, puts: list[Put], node: str) -> list[Put]:
        """One attempt; those that may be tried again."""
        target = f"/batch?timeout={int(self._all._habits.timeout_s * 1000)}"
        fields = {"Content-Type": "application/json"}
        attempts = [Attempt(node, self._all._world.now) for _ in puts]
        for put, attempt in zip(puts, attempts, strict=True):
            put.op.attempts.append(attempt)
        answer = await self._request(attempts, node, "POST", target, fields, body_of(BUCKET, puts))
        results = [] if answer is None else results_of(answer, len(puts))
        for put, attempt, result in zip(puts, attempts, results, strict=False):
            attempt.outcome = result.outcome
            if result.outcome == "applied":
                self._applied(put.op, result.dot, result.context)
        left = [put for put in puts if not put.op.acknowledged]
        for put in left:
            put.op.outcome = "ambiguous" if put.op.reached else "not_applied"
        return left

    async def _ask(self, op: Op, node: str, method: str, fields: Mapping[str, str], body: bytes) -> Answer | None:
        attempt = Attempt(node, self._all._world.now)
        op.attempts.append(attempt)
        sloppy = "&sloppy=false" if op.strict else ""
        target = f"/kv/{BUCKET}/{op.key}?timeout={int(self._all._habits.timeout_s * 1000)}{sloppy}"
        return await self._request([attempt], node, method, target, fields, body)

    async def _request(
        self,
        attempts: Sequence[Attempt],
        node: str,
        method: str,
        target: str,
        fields: Mapping[str, str],
        body: bytes,
    ) -> Answer | None:
        """The answer, None if none came; the attempts are told when it was over, and what became of it then."""
        everything, timeout_s = self._all, self._all._habits.timeout_s
        answer = None
        if self._session:
            fields = {**fields, "Dynkv-Session": self._session}
        try:
            answer = await self._http.ask(node, method, target, fields, body, PATIENCE * timeout_s)
        except Unanswered as error:
            for attempt in attempts:
                attempt.outcome = "" if error.sent else "not sent"
        for attempt in attempts:
            attempt.ended = everything._world.now
        if answer is not None and self._session:
            self._session = answer.fields.get("dynkv-session", self._session)
        if answer is not None and answer.status not in (200, 204, 300, 404, 409, 503):
            everything._journal.defect(self.name, f"{method} {target} at {node}: {answer.status} {answer.body!r}", None)
        return answer


def _told(op: Op) -> dict[str, object]:
    tried = ",".join(attempt.node for attempt in op.attempts)
    told: dict[str, object] = {"op": op.number, "outcome": op.outcome, "via": tried or "-"}
    if op.kind == "get":
        told["shows"] = ",".join(map(str, op.shows)) or "-"
    else:
        told["seen"] = op.seen.bit_count()
    return told
