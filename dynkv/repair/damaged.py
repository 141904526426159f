"""Replacing damaged records by what their other replicas hold.

A damaged record may have held a write that only this node and one other acknowledged. So it is replaced only when
*every* other primary has said what it holds; until then it stays where it is, is served to nobody, and its hash tree is
unknown. If none of them holds anything, nothing is left to be had: the remains are removed, which is said as loudly as
it should be.

A primary that is itself being refilled is not waited for: what it lost it gets back from this node and from the others
that are asked here, so it will have nothing that they have not; and it may be waiting for this very tree. Nor does it
help to wait for one whose own copy of the record is damaged, too: it has nothing to give, and waits for us.
"""

from collections.abc import Callable

import structlog

from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord, StoreError
from dynkv.peer.asking import ask
from dynkv.peer.messages import Absent, Failed, Found, Read
from dynkv.peer.transport import Transport
from dynkv.repair.journal import Journal
from dynkv.replica import Replica
from dynkv.storage.keys import parse_record_key
from dynkv.trees import Trees
from dynkv.worker import IDLE
from dynkv.worker import Found as WorkFound

TIMEOUT_S = 5.0
RETRY_S = 1.0
STEP_RECORDS = 32

log = structlog.get_logger("dynkv.scrub")


class DamagedRecords:
    """`step` is a worker's step. `others(bucket, key)`: the key's other primaries."""

    def __init__(
        self,
        replica: Replica,
        trees: Trees,
        transport: Transport,
        journal: Journal,
        others: Callable[[str, bytes], tuple[str, ...]],
    ) -> None:
        self.replaced = 0
        self.lost = 0
        self._replica = replica
        self._trees = trees
        self._transport = transport
        self._journal = journal
        self._others = others

    async def step(self) -> WorkFound:
        """Replace some of what the scrub found."""
        found = False
        for partition in range(self._trees.partitions):
            for stored_key in sorted(self._trees.unreadable(partition))[:STEP_RECORDS]:
                found = True
                _, bucket, key = parse_record_key(stored_key)
                await self._replace(partition, bucket, key)
        return RETRY_S if found else IDLE

    async def _replace(self, partition: int, bucket: str, key: bytes) -> None:
        held: list[bytes] = []
        others = self._others(bucket, key)
        for peer in others:
            match await ask(self._transport, peer, Read(bucket, key, True), TIMEOUT_S):
                case Found(digest, record) if records.is_sound(record, digest):
                    held.append(record)
                case Absent() | Failed("damaged"):
                    pass  # it has nothing to give
                case _:
                    return
        if not others:
            return  # the only replica there is: nobody can help, and a backup of the operator's may
        try:
            merged = None
            for record in held:
                merged = record if merged is None else records.merge_encoded(merged, record)
            self._replica.replace_damaged(bucket, key, merged)
        except DamagedRecord as error:
            log.error("replicas contradict each other", bucket=bucket, error=str(error))
            return
        except StoreError as error:
            log.warning("a damaged record could not be replaced", error=str(error))
            return
        if merged is None:
            self.lost += 1
            log.error("a damaged record is lost: no other replica holds it", bucket=bucket, key=key[:80])
        else:
            self.replaced += 1
        words = "a damaged record was replaced" if merged else "a damaged record is lost: no replica holds it"
        self._journal.note("scrub", words, partition)
