"""Settings of a client, each with what it means, its unit, and what rises and falls with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dynkv.client.codecs import JSON, Codec
from dynkv.client.resolvers import Resolver

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Options:
    """ValueError if one is out of range."""

    token: str = ""
    """What the nodes want in `Authorization: Bearer`, if the operator has set a client token."""

    timeout_s: float = 10.0
    """Deadline of a call, all its attempts and pauses together, unless the call says its own."""

    attempt_s: float = 2.5
    """How long one node is waited for before another is asked. Shorter: a node that hangs costs less. Longer: a slow
    quorum is not given up while it may still come. A call's first attempt may take no more than its deadline."""

    connect_s: float = 1.0
    """How long a connection may take to open; nothing was sent until then, so nothing is in doubt."""

    pause_s: float = 0.05
    """Before the second attempt a random time up to this; the bound doubles with each further one. Between the rounds
    of an update that others cross, up to what the last round took, if that is longer."""

    pause_max_s: float = 2.0
    """Where the doubling ends. Between the rounds of an update that others cross, it may go on to 64 rounds' time."""

    concurrency: int = 64
    """Requests under way at once, and connections kept open; more calls wait for their turn within their deadline."""

    ring_age_s: float = 60.0
    """How old the knowledge of who holds what may grow before it is asked for again, beside the calls. Old knowledge
    costs a forward between nodes, never a wrong answer."""

    route: bool = True
    """Whether to go straight to a node that holds the key. False: the addresses given are used and no others, as is
    needed behind a load balancer, and always so if one of them is https."""

    answer_bytes_max: int = 64 * MIB
    """The longest answer that is read."""

    objects: str = JSON
    """Content type of values that are neither bytes nor text."""

    codecs: Sequence[Codec] = ()
    """More content types, or others' places: see `Codec`."""

    resolve: Resolver | str | None = None
    """What makes one value of siblings, unless the bucket or the call has its own. None: ConflictError."""

    resolvers: Mapping[str, Resolver | str] = field(default_factory=dict)
    """By bucket."""

    def __post_init__(self) -> None:
        for name in ("timeout_s", "attempt_s", "connect_s", "pause_s", "pause_max_s", "ring_age_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: is {getattr(self, name)}; must be above 0")
        for name in ("concurrency", "answer_bytes_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: is {getattr(self, name)}; must be 1 or more")
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise ValueError("token: is not visible ASCII without blanks")


def seeds_of(addresses: str | Sequence[str]) -> list[str]:
    """The addresses as URLs without a slash at the end. "127.0.0.1:8101" is one, too. ValueError."""
    given = [addresses] if isinstance(addresses, str) else list(addresses)
    seeds = []
    for address in given:
        url = (address if "//" in address else f"http://{address}").rstrip("/")
        try:
            parts = urlsplit(url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            sound = sound and not (parts.query or parts.fragment or parts.username)
            # The first request would find it out, with an error that is none of a client's.
            sound = sound and url.isprintable() and " " not in url and parts.path.isascii()
            (parts.hostname or "").encode("idna")
        except ValueError:
            sound = False  # a port that is no number, half a pair of brackets, "a..b"
        if not sound:
            raise ValueError(f"{address!r} is not an address such as http://127.0.0.1:8101")
        seeds.append(url)
    if not seeds:
        raise ValueError("a client needs the address of at least one node")
    return list(dict.fromkeys(seeds))
