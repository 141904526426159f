"""Settings: bounds, what only shows between two of them, and secrets that stay secret."""

from typing import Any

import msgspec
import pytest

from dynkv import config
from dynkv.cli.settings import docs
from dynkv.config import Cluster, Config, Labels, Limits, PeerTls, Suspicion, address, is_loopback, validate
from dynkv.core.errors import BadConfig

SECRET = b"0123456789abcdef"
MEMBERS = {"n1": "127.0.0.1:9101", "n2": "127.0.0.1:9102", "n3": "127.0.0.1:9103"}


def settings(**given: Any) -> Config:
    return Config(**({"id": "n1", "data": "data", "members": MEMBERS} | given))


def test_the_defaults_are_valid() -> None:
    assert validate(settings()).durability == "synced"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"id": "n4"}, "members: this node, 'n4', is not among them (n1, n2, n3)"),
        ({"id": "N1", "members": MEMBERS | {"N1": "h:1"}}, "node id 'N1'"),
        ({"id": "n1\n"}, "node id 'n1\\n'"),
        ({"members": MEMBERS | {"n2": "9102"}}, "members.n2: '9102' is not HOST:PORT"),
        ({"http": "127.0.0.1:0"}, "http: '127.0.0.1:0' is not HOST:PORT"),
        ({"http": "127.0.0.1:65536"}, "http:"),
        ({"http": "::1:8101"}, "[ADDRESS]:PORT"),
        ({"peer": "127.0.0.1:8101"}, "http and peer: both are 127.0.0.1:8101"),
        ({"http": "0.0.0.0:8101"}, "http: 0.0.0.0:8101 can be reached from other machines and there is no secret"),
        ({"peer": "node1.example:9101"}, "peer: node1.example:9101 can be reached"),
        ({"labels": Labels(zone="a b")}, "labels.zone"),
        ({"cluster": Cluster(partitions=100)}, "cluster.partitions: 100 is not a power of two"),
        ({"cluster": Cluster(n=4)}, "cluster.n: is 4, but there are 3 members"),
        ({"cluster": Cluster(n=2, w=3)}, "cluster.w: is 3; must lie in 1..n (2)"),
        ({"cluster": Cluster(secret=b"short")}, "secret: has 5 bytes; at least 16 are needed"),
        ({"cluster": Cluster(client_token=b"two words")}, "client token"),
        ({"limits": Limits(siblings_warn=9, siblings_max=8)}, "limits.siblings_warn: is 9, above siblings_max (8)"),
        ({"suspicion": Suspicion(heartbeat_ms=700)}, "heartbeat_ms < silence_ms_min < silence_ms_max"),
        ({"peer_tls": PeerTls(cert="cert.pem")}, "peer_tls: give cert, key and ca, or none"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadConfig) as refused:
        validate(settings(**given))
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadConfig, match=r"http: .*; cluster\.n: "):
        validate(settings(http="x", cluster=Cluster(n=5)))


def test_a_secret_opens_other_addresses() -> None:
    secret = Cluster(secret=SECRET)
    assert validate(settings(http="0.0.0.0:8101", peer="[::]:9101", cluster=secret)).http == "0.0.0.0:8101"


def test_addresses() -> None:
    assert address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert address("[::1]:80") == ("::1", 80)
    assert address("node-1.example:65535") == ("node-1.example", 65535)
    for wrong in ("", ":80", "host", "host:", "host:x", "host:-1", "host:+1", "host:٣", "a:b:80"):
        with pytest.raises(ValueError, match="is not HOST:PORT"):
            address(wrong)


def test_only_what_cannot_leave_the_machine_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))


def test_the_secret_is_in_no_representation() -> None:
    shown = repr(settings(cluster=Cluster(secret=SECRET, client_token=SECRET)))
    assert SECRET.decode() not in shown
    assert "MDEyMzQ1" not in shown


def test_the_key_depends_on_name_and_secret() -> None:
    keys = {
        cluster.key
        for cluster in (Cluster(), Cluster(id="other"), Cluster(secret=SECRET), Cluster(id="other", secret=SECRET))
    }
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert Cluster(secret=SECRET).key == Cluster(secret=SECRET, n=1).key


def test_settings_survive_the_way_to_the_nodes_process() -> None:
    given = settings(cluster=Cluster(secret=SECRET), labels=Labels(zone="a", weight=2))
    assert msgspec.json.decode(msgspec.json.encode(given), type=Config) == given


def test_every_setting_has_prose() -> None:
    prose = docs()
    sections = [one for one in vars(config).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    assert len(sections) > 5
    for section in sections:
        assert prose[section.__name__, ""]
        for field in msgspec.structs.fields(section):
            # A section within a section has its prose with its own fields.
            if not (isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)):
                assert prose.get((section.__name__, field.name)), f"{section.__name__}.{field.name}"
