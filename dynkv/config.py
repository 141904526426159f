"""Everything that can be set about a node, as prose.

Two kinds of settings, kept apart. `Cluster` is what all nodes must agree on: a node whose values differ is refused by
the others in their hello, or refuses its own data directory. All the rest is this node's own business and may differ
from node to node, the addresses of the others included (behind a proxy or NAT every node may see its own).

Each setting says what it means, its unit, what zero or empty means, and what rises and falls with it. The same prose
is written into the file that `dynkv serve --print-config` prints, and the bounds beside it are checked when the
settings are read; `validate` checks what takes more than one setting to see. An unknown name is an error: a misspelt
setting must not silently keep its default. Where the values come from (file, options, environment) is decided in one
place, `dynkv/cli/settings.py`.
"""

import hashlib
import ipaddress
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dynkv.core.errors import BadConfig

KIB = 1024
MIB = 1024 * KIB

NODE_ID = r"[a-z0-9][a-z0-9-]{0,62}"
LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"

# Shorter secrets can be guessed from one recorded hello; a generated one has 32 random bytes.
SECRET_BYTES_MIN = 16

Durability = Literal["synced", "relaxed"]
Level = Literal["debug", "info", "warning", "error"]
Form = Literal["auto", "json", "console"]


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every node of the cluster must agree on."""

    id: Annotated[str, Meta(min_length=1, max_length=128)] = "dynkv"
    """Name of the cluster. Nodes of different names refuse each other, so two clusters that meet by a wrong address
    never mix their data. Part of the data directory: it cannot change later."""

    partitions: Annotated[int, Meta(ge=1, le=65_536)] = 256
    """Equal slices of the key space, a power of two, fixed when the cluster is created. More slices spread load more
    evenly over many nodes (aim at 60 or more per node); each costs every node a hash tree (8 KiB)."""

    n: Annotated[int, Meta(ge=1, le=16)] = 3
    """Replicas of a key, for buckets without settings of their own. At most the members."""

    r: Annotated[int, Meta(ge=1, le=16)] = 2
    """Replicas that must answer a read, 1..n. With r + w > n a read meets the latest acknowledged write; a smaller r is
    quicker and outlives more failures, and may show an older value."""

    w: Annotated[int, Meta(ge=1, le=16)] = 2
    """Replicas that must have a write on disk before it is acknowledged, 1..n. A smaller w outlives more failures when
    writing and fewer afterwards."""

    secret: bytes = b""
    """Proof of membership between nodes, and what authenticates contexts. Read from a file or the environment. Empty:
    anybody who reaches a port can join, so this is for loopback only."""

    client_token: bytes = b""
    """What clients must say in `Authorization: Bearer`. Read from a file or the environment. Empty: nobody is asked.
    It goes over the wire as it is, so put TLS in front of HTTP where others may listen."""

    @property
    def key(self) -> bytes:
        """32 bytes for proofs and context tokens: from the secret and the name, or from the name alone."""
        return hashlib.blake2b(self.secret, key=hashlib.sha256(self.id.encode()).digest(), digest_size=32).digest()

    @property
    def tree_seed(self) -> int:
        """32 bits that hash trees are seeded with; from the key, so that nobody outside can aim at a collision."""
        return int.from_bytes(hashlib.blake2b(self.key, digest_size=4, person=b"dynkv trees").digest(), "big")

    def __repr__(self) -> str:
        # The secret must not reach a log or a traceback.
        return f"Cluster(id={self.id!r}, partitions={self.partitions}, n={self.n}, r={self.r}, w={self.w})"


class Labels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where this node stands; fixed once the cluster is formed. Replicas of a key go to distinct regions, zones and
    hosts as far as these exist."""

    region: str = ""
    """Region, such as `eu-west`. Empty: all nodes that leave it empty share one."""

    zone: str = ""
    """Zone or rack: what fails together. Empty: as for the region."""

    host: str = ""
    """Machine. Empty: this node has a machine of its own."""

    weight: Annotated[float, Meta(gt=0, le=100)] = 1.0
    """Share of the partitions relative to the other nodes: 2 holds twice as many as 1."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request, one key and all work in progress may take. Beyond them requests are refused, never delayed."""

    value_bytes_max: Annotated[int, Meta(ge=1, le=8 * MIB)] = MIB
    """Largest value, in bytes; larger ones get 413. A large value holds the event loop while it is checked and copied,
    and every other request waits: 1 MiB takes about a millisecond."""

    siblings_warn: Annotated[int, Meta(ge=2)] = 10
    """Siblings of one key from which the log warns: somebody writes without reading first."""

    siblings_max: Annotated[int, Meta(ge=2, le=1000)] = 100
    """Siblings of one key from which a write without a context is refused (409). Replication goes on beyond it."""

    requests_max: Annotated[int, Meta(ge=1)] = 1024
    """Client requests in progress at a time; one more gets 503 with Retry-After at once. Raise it for slow links, not
    for load: waiting work only makes answers late."""

    body_bytes_max: Annotated[int, Meta(ge=8 * MIB)] = 64 * MIB
    """Bytes of values of all requests in progress; a body beyond it gets 503 with Retry-After."""

    queue_bytes_max: Annotated[int, Meta(ge=64 * KIB)] = 64 * MIB
    """Bytes waiting to be sent to one peer. A peer that falls further behind counts as unreachable for new requests, so
    memory stays bounded by this times the number of peers."""

    connections_max: Annotated[int, Meta(ge=1)] = 4096
    """Open client connections; further ones are closed at once."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long this node waits for clients, in milliseconds. A request's own deadline is its parameter `timeout`."""

    header_ms: Annotated[int, Meta(ge=100)] = 10_000
    """From the first byte of a request to the end of its header; then the connection is closed."""

    body_ms: Annotated[int, Meta(ge=100)] = 30_000
    """From the end of the header to the end of the body; then 408."""

    idle_ms: Annotated[int, Meta(ge=100)] = 75_000
    """Without a request on a kept-alive connection, and before the first one."""

    stop_ms: Annotated[int, Meta(ge=0)] = 10_000
    """On SIGTERM, for requests in progress to finish. Zero: they are cut. Keep it below the supervisor's own patience
    (systemd 90 s, Kubernetes 30 s), or a clean stop becomes an unclean one."""


class Suspicion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a silent peer is suspected. A broken connection is suspected at once. All in milliseconds."""

    heartbeat_ms: Annotated[int, Meta(ge=20, le=10_000)] = 200
    """Between two signs of life to each peer. Smaller notices sooner and costs more."""

    silence_ms_min: Annotated[int, Meta(ge=50)] = 600
    """Silence that is never suspicious, however regular the peer was. Above the longest pause expected of a healthy
    node (disk, swap, noisy neighbours)."""

    silence_ms_max: Annotated[int, Meta(ge=100)] = 2_000
    """Silence that always is suspicious, however irregular the peer was. Bounds the time to notice."""


class Handoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast hints are paid to a node that came back. Faster converges sooner and takes more from client requests."""

    records_per_s: Annotated[int, Meta(ge=1)] = 5_000
    """Records a second, to each target."""

    bytes_per_s: Annotated[int, Meta(ge=64 * KIB)] = 32 * MIB
    """Bytes a second, to each target."""


class AntiEntropy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this node compares its replicas with those of others in the background, and checks its own records."""

    cycle_s: Annotated[float, Meta(ge=0.5, le=86_400)] = 60.0
    """Within so long every pair of replicas that this node compares is compared once, in seconds. Shorter finds a
    difference sooner; without differences a cycle costs a few KiB a peer."""

    bytes_per_s: Annotated[int, Meta(ge=64 * KIB)] = 32 * MIB
    """Bytes a second that comparisons and repairs may move, to all peers together. Faster converges sooner and takes
    more from client requests."""

    records_per_s: Annotated[int, Meta(ge=1)] = 4_000
    """Records a second that comparisons repair, with all peers together. A node that lost its disk is back sooner with
    more, and answers clients slower meanwhile."""

    share_beside_clients: Annotated[float, Meta(gt=0, le=1)] = 0.03125
    """Share of `records_per_s` and `bytes_per_s` at which repairs go while clients ask this node for something, or its
    peers do for theirs. What this node lost (its disk, some files) it gets back at the whole rates. 1 gives clients no
    precedence."""

    scrub_cycle_s: Annotated[int, Meta(ge=1)] = 86_400
    """Within so long every record is read once, its checksum verified and the hash trees checked, in seconds. One cycle
    begins at every start."""

    scrub_bytes_per_s: Annotated[int, Meta(ge=64 * KIB)] = 8 * MIB
    """Bytes of records a second that the scrub reads. Building trees that are not known is not held to it."""


class Tombstones(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the tombstone of a deleted key goes from the disk of a node that looks after it. It goes only once every
    member, none away, has said twice that nothing older than it is left; these settings say how patiently."""

    grace_s: Annotated[float, Meta(ge=0)] = 86_400.0
    """Least age of a tombstone, in seconds. Longer than any client repeats a write that it has no answer to: a write
    that was overwritten and deleted, and is repeated after the tombstone went, is a new write."""

    quiet_s: Annotated[float, Meta(ge=0)] = 180.0
    """Between the two times that everybody is asked, in seconds. Longer than the longest `timeout` of any request (at
    most 60 s) and the repairs it sets off (some 15 s), on all nodes: an old value on its way for longer than this could
    come back. Smaller is for trying things out, with short time-outs."""

    keys_per_s: Annotated[int, Meta(ge=1)] = 2_000
    """Tombstones a second that this node asks the others about."""


class PeerTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mutual TLS between nodes: all three files (PEM), or none for plain TCP. HTTP is left to a proxy."""

    cert: str = ""
    """This node's certificate, and what chains it to the authority."""

    key: str = ""
    """Its private key."""

    ca: str = ""
    """The authority that signs every node's certificate."""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to stderr, one event a line."""

    level: Level = "info"
    """debug, info, warning or error."""

    form: Form = "auto"
    """json, console (key=value), or auto: console on a terminal, else json."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one node."""

    id: str
    """This node's name in the cluster: lower-case letters, digits and `-`, at most 63. Part of the data directory: it
    cannot change later."""

    data: Annotated[str, Meta(min_length=1)]
    """Data directory; made if it is not there. One process at a time, never shared or copied."""

    http: str = "127.0.0.1:8101"
    """HOST:PORT for clients. Whoever reaches it can read and write everything, so any address but loopback asks for a
    secret and should have a proxy with TLS and a login in front."""

    peer: str = "127.0.0.1:9101"
    """HOST:PORT for the other nodes. Any address but loopback asks for a secret."""

    durability: Durability = "synced"
    """synced: a replica acknowledges once the write is synced to disk. relaxed: it acknowledges at once and syncs every
    second; a machine that loses power loses up to that second of its own acknowledgements."""

    members: dict[str, str]
    """Peer addresses of all nodes by id, this one included, as THIS node reaches them. They may differ from node to
    node: a peer is known by its id and its proof of the secret, never by its address."""

    cluster: Cluster = Cluster()
    labels: Labels = Labels()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    suspicion: Suspicion = Suspicion()
    handoff: Handoff = Handoff()
    antientropy: AntiEntropy = AntiEntropy()
    tombstones: Tombstones = Tombstones()
    peer_tls: PeerTls = PeerTls()
    log: Log = Log()

    rebuild: bool = False
    """Of one start, never of a file: set the database aside, begin with none, and be refilled by the replicas."""


def address(text: str) -> tuple[str, int]:
    """(host, port) of "HOST:PORT" or "[V6]:PORT"; ValueError if it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is not HOST:PORT (write an IPv6 address as [ADDRESS]:PORT)")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost is not trusted to stay here."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def validate(config: Config) -> Config:
    """`config` itself, or BadConfig with everything that is wrong with it in one line."""
    problems = [*_identity(config), *_addresses(config), *_cluster(config), *_bounds(config)]
    if problems:
        raise BadConfig("; ".join(problems))
    return config


def _identity(config: Config) -> list[str]:
    names = sorted({config.id, *config.members})
    problems = [f"node id {name[:80]!r}: must match {NODE_ID}" for name in names if not re.fullmatch(NODE_ID, name)]
    if config.id not in config.members:
        known = ", ".join(sorted(config.members)) or "none"
        problems.append(f"members: this node, {config.id!r}, is not among them ({known})")
    labels = {name: getattr(config.labels, name) for name in ("region", "zone", "host")}
    problems += [
        f"labels.{name}: {value[:80]!r} must match {LABEL}"
        for name, value in labels.items()
        if value and not re.fullmatch(LABEL, value)
    ]
    return problems


def _addresses(config: Config) -> list[str]:
    problems = []
    listening = {"http": config.http, "peer": config.peer}
    for name, text in (listening | {f"members.{peer}": text for peer, text in config.members.items()}).items():
        try:
            host, _ = address(text)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if name in listening and not config.cluster.secret and not is_loopback(host):
            problems.append(
                f"{name}: {text} can be reached from other machines and there is no secret; give one with "
                "--secret-file or DYNKV_SECRET, or listen on 127.0.0.1"
            )
    if config.http == config.peer:
        problems.append(f"http and peer: both are {config.http}")
    return problems


def _cluster(config: Config) -> list[str]:
    cluster, problems = config.cluster, []
    if cluster.partitions & (cluster.partitions - 1):
        problems.append(f"cluster.partitions: {cluster.partitions} is not a power of two")
    if cluster.n > len(config.members):
        problems.append(f"cluster.n: is {cluster.n}, but there are {len(config.members)} members")
    levels = {"r": cluster.r, "w": cluster.w}
    if any(byte <= 0x20 or byte >= 0x7F for byte in cluster.client_token):
        problems.append("client token: only printable ASCII without spaces can be said in a header")
    problems += [f"cluster.{k}: is {v}; must lie in 1..n ({cluster.n})" for k, v in levels.items() if v > cluster.n]
    if 0 < len(cluster.secret) < SECRET_BYTES_MIN:
        problems.append(f"secret: has {len(cluster.secret)} bytes; at least {SECRET_BYTES_MIN} are needed")
    return problems


def _bounds(config: Config) -> list[str]:
    problems = []
    limits, suspicion, tls = config.limits, config.suspicion, config.peer_tls
    if limits.siblings_warn > limits.siblings_max:
        problems.append(f"limits.siblings_warn: is {limits.siblings_warn}, above siblings_max ({limits.siblings_max})")
    if not suspicion.heartbeat_ms < suspicion.silence_ms_min < suspicion.silence_ms_max:
        problems.append("suspicion: heartbeat_ms < silence_ms_min < silence_ms_max must hold")
    if any((tls.cert, tls.key, tls.ca)) and not all((tls.cert, tls.key, tls.ca)):
        problems.append("peer_tls: give cert, key and ca, or none of them")
    return problems
