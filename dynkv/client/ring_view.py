"""The cluster as its nodes describe it in `/ring` and `/nodes`: where a key's replicas are and how to reach them.

A node is reached under the address at which the user reaches it, if one of those given leads to it (each node says who
it is), else under the one that the cluster knows it by. The latter may mean nothing here: a node that listens on all
addresses says 0.0.0.0, and its loopback is not ours. Such a node is left to whoever can reach it: every node takes
every request.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dynkv.client.errors import NotDynkv
from ring.tokens import check_partitions, partition_of, token


class RingView:
    """Immutable. `addresses`: node -> URL, without those that cannot be reached from here."""

    __slots__ = ("_preference", "addresses", "partitions")

    def __init__(self, preference: Sequence[Sequence[str]], addresses: Mapping[str, str]) -> None:
        """`preference`: per partition the nodes in order. ValueError if there cannot be so many partitions."""
        self.partitions = check_partitions(len(preference))
        self.addresses = dict(addresses)
        lists = {
            nodes: tuple(addresses[node] for node in nodes if node in addresses) for nodes in map(tuple, preference)
        }
        self._preference = [lists[tuple(nodes)] for nodes in preference]

    def order(self, bucket: str, key: bytes) -> tuple[str, ...]:
        """The URLs of the nodes that should hold a key, the first primary first."""
        return self._preference[partition_of(token(bucket, key), self.partitions)]


def parse(ring: Any, nodes: Any, reached: Mapping[str, str], asked: str) -> RingView:
    """Of the decoded answers to GET /ring and GET /nodes. NotDynkv if they are anything else.

    reached: node -> the address given by the user that leads to it. asked: the address that answered.
    """
    try:
        preference = ring["preference"]
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in preference):
            raise TypeError("preference is no list of lists of names")
        addresses: dict[str, str] = {}
        for node in nodes["nodes"]:
            name, said = str(node["id"]), node.get("http")
            if name in reached:
                addresses[name] = reached[name]
            elif isinstance(said, str) and means_the_same_here(said, asked):
                addresses[name] = f"http://{said}"
        return RingView(preference, addresses)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotDynkv(f"/ring and /nodes do not describe a cluster: {error!r}") from error


def means_the_same_here(said: str, asked: str) -> bool:
    """Whether HOST:PORT, as said by the node at the URL `asked`, is an address to send requests and a token to."""
    parts = urlsplit(asked)
    host = urlsplit(f"//{said}").hostname or ""
    if parts.scheme != "http" or not host:
        return False  # who took care to come by https is not led to plain http
    if _is_loopback(host):
        return _is_loopback(parts.hostname or "")
    return host not in ("0.0.0.0", "::")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name
