"""What HTTP needs of the node beside the coordinator: one Protocol, and the limits that it is held to."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dynkv.core.bucket import BucketSettings
from dynkv.core.context import Tokens
from dynkv.core.overview_rows import Overview
from dynkv.core.survey import NodeSurvey
from dynkv.core.whereabouts import Whereabouts
from dynkv.runtime import Clock, Random

MIB = 1024 * 1024


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client, and all of them together, may take. Beyond it requests are refused at once, never queued."""

    value_bytes_max: int = MIB
    """Largest value; a larger one gets 413."""

    requests_max: int = 1024
    """Key requests in progress; one more gets 503 with Retry-After. Health, metrics and status always answer."""

    body_bytes_max: int = 64 * MIB
    """Bytes of bodies of all requests in progress; a body beyond it gets 503 with Retry-After."""

    connections_max: int = 4096
    """Open connections; one more gets 503 and is closed."""

    header_s: float = 10.0
    """From the connection, or from the first byte of a later request, to the whole header; then 408 and close."""

    body_s: float = 30.0
    """From the whole header to the whole body; then 408 and close. Also for a client that does not read its answer."""

    idle_s: float = 75.0
    """Between requests on a kept-alive connection; then it is closed."""

    client_token: bytes = b""
    """What clients say in `Authorization: Bearer`. Empty: nobody is asked."""


class NodeView(Protocol):
    """The node as HTTP sees it. No method blocks or raises, unless its text says so.

    What `nodes`, `ring`, `locate` and `hints` return is sent as JSON as it is: dicts, lists, strings, numbers.
    """

    @property
    def node_id(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def random(self) -> Random: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def limits(self) -> HttpLimits: ...

    def bucket_settings(self, name: str) -> BucketSettings:
        """Of any bucket, the defaults if nobody set others. On the path of every request: a lookup."""
        ...

    async def set_bucket(self, name: str, settings: BucketSettings) -> None:
        """Validate, store durably, and spread. BadParameter, ServiceError."""
        ...

    def nodes(self) -> Mapping[str, Any]:
        """{"node": us, "nodes": [{"id", "state": "self" | "up" | "suspected" | "down", "http", "peer", ...}]}."""
        ...

    def ring(self) -> Mapping[str, Any]:
        """{"partitions": Q, "n": n, "members": [...], "preference": [[node, ...] per partition]}. ServiceError."""
        ...

    def locate(self, bucket: str, key: bytes) -> Mapping[str, Any]:
        """{"bucket", "key", "token", "partition", "preference": [node, ...]} of one key. ServiceError."""
        ...

    async def where(self, bucket: str, key: bytes, timeout_s: float) -> Whereabouts:
        """What every member holds of a key, as far as it says so in time; heals nothing. ServiceError."""
        ...

    def hints(self) -> Mapping[str, Any]:
        """{"targets": {node: {"count", "bytes", "oldest_age_s"}}}."""
        ...

    def survey(self) -> NodeSurvey:
        """What this node says of itself."""
        ...

    async def overview(self) -> Overview:
        """The cluster as all of its nodes tell it together: asks them, for at most about a second. ServiceError."""
        ...

    async def run_antientropy(self, partition: int | None, node: str | None) -> Mapping[str, Any]:
        """Have pairs compared now by whichever node compares them; only those of this partition, or node, if given.

        {node: pairs that it has begun to compare, None if it did not answer}. ServiceError.
        """
        ...

    def ready(self) -> Sequence[str]:
        """Why this node should get no client requests now; empty if it should."""
        ...

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...
