"""A client in a session with a `cluster_in_memory`: what it carries is only the token."""

from dynkv.coordinator.results import WriteResult
from dynkv.core.context import Tokens
from dynkv.core.levels import Levels
from dynkv.core.record import Vector
from dynkv.core.session import Session
from dynkv.core.write import Write
from dynkv.runtime import SystemRandom
from tests.unit.cluster_in_memory import BUCKET, Cluster, values

SESSIONS = Tokens(b"a secret of the tests").sessions


class Visitor:
    """Each request goes through a node of its choice."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.token = "new"

    @property
    def session(self) -> Session:
        return SESSIONS.parse(self.token)

    async def get(
        self, at: str, key: bytes, *, r: int = 2, pr: int = 0, sloppy: bool = True, wait_ms: int = 0
    ) -> list[bytes | None]:
        """All sibling values, sorted."""
        session = self.session
        demand = session.demand(BUCKET, key, wait_ms)
        levels = self._cluster.levels(r=r, pr=pr, sloppy=sloppy)
        result = await self._cluster.nodes[at].coordinator.get(BUCKET, key, levels, None, demand)
        self.token = SESSIONS.make(session.after_read(BUCKET, key, result.record))
        return values(result.record)

    async def put(
        self,
        at: str,
        key: bytes,
        value: bytes | None,
        *,
        context: Vector = (),
        write_id: bytes | None = None,
        levels: Levels | None = None,
        wait_ms: int = 0,
    ) -> WriteResult:
        session = self.session
        demand = session.demand(BUCKET, key, wait_ms)
        write_id = write_id or SystemRandom().token(8)
        write = Write(BUCKET, key, context, value, "text/plain", write_id, demand)
        levels = levels or self._cluster.levels()
        result = await self._cluster.nodes[at].coordinator.put(write, levels, "siblings")
        dot = (result.actor, result.counter) if result.counter else None
        self.token = SESSIONS.make(session.after_write(BUCKET, key, result.covering, dot))
        return result
